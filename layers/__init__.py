"""Keras layers that Keras does not have: dilated-with-everything, unshared and tiled convolution, Lp pooling."""

from layers.dilated import DilatedConv1D, DilatedConv2D, DilatedConv3D
from layers.normalization import FusedBatchNormalization
from layers.pooling import L2Pooling2D, LpPooling2D
from layers.tiled import TiledConv1D, TiledConv2D, TiledConv3D
from layers.unshared import UnsharedConv1D, UnsharedConv2D, UnsharedConv3D

__all__ = [
    "DilatedConv1D",
    "DilatedConv2D",
    "DilatedConv3D",
    "FusedBatchNormalization",
    "L2Pooling2D",
    "LpPooling2D",
    "TiledConv1D",
    "TiledConv2D",
    "TiledConv3D",
    "UnsharedConv1D",
    "UnsharedConv2D",
    "UnsharedConv3D",
]
