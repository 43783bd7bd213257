"""Keras layers that Keras does not have: dilated-with-everything, unshared and tiled convolution, Lp pooling."""

from layers.contrast import (
    DivisiveNormalization1D,
    DivisiveNormalization2D,
    DivisiveNormalization3D,
    LocalContrastNormalization1D,
    LocalContrastNormalization2D,
    LocalContrastNormalization3D,
    LocalResponseNormalization,
    SubtractiveNormalization1D,
    SubtractiveNormalization2D,
    SubtractiveNormalization3D,
)
from layers.dilated import DilatedConv1D, DilatedConv2D, DilatedConv3D
from layers.filters import FilterBank2D
from layers.locally_connected import (
    LocallyConnected1D,
    LocallyConnected2D,
    convert_keras2_weights,
    load_keras2_weights,
)
from layers.normalization import FusedBatchNormalization
from layers.pooling import L2Pooling2D, LpPooling2D
from layers.tiled import TiledConv1D, TiledConv2D, TiledConv3D
from layers.unshared import UnsharedConv1D, UnsharedConv2D, UnsharedConv3D

__all__ = [
    "DilatedConv1D",
    "DilatedConv2D",
    "DilatedConv3D",
    "DivisiveNormalization1D",
    "DivisiveNormalization2D",
    "DivisiveNormalization3D",
    "FilterBank2D",
    "FusedBatchNormalization",
    "L2Pooling2D",
    "LocalContrastNormalization1D",
    "LocalContrastNormalization2D",
    "LocalContrastNormalization3D",
    "LocalResponseNormalization",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "LpPooling2D",
    "SubtractiveNormalization1D",
    "SubtractiveNormalization2D",
    "SubtractiveNormalization3D",
    "TiledConv1D",
    "TiledConv2D",
    "TiledConv3D",
    "UnsharedConv1D",
    "UnsharedConv2D",
    "UnsharedConv3D",
    "convert_keras2_weights",
    "load_keras2_weights",
]
