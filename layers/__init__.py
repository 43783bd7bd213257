"""Keras layers that Keras does not have: dilated-with-everything, unshared and tiled convolution, Lp pooling."""

from layers.dilated import DilatedConv2D
from layers.normalization import FusedBatchNormalization
from layers.pooling import L2Pooling2D, LpPooling2D
from layers.tiled import TiledConv2D
from layers.unshared import UnsharedConv2D

__all__ = ["DilatedConv2D", "FusedBatchNormalization", "L2Pooling2D", "LpPooling2D", "TiledConv2D", "UnsharedConv2D"]
