"""What networks are built of: the places where a kind of layer is plugged in, and what surrounds a convolution."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras

from layers import DilatedConv2D, FusedBatchNormalization, L2Pooling2D, TiledConv2D, UnsharedConv2D

__all__ = ["CONVOLUTIONS", "PLAIN", "POOLINGS", "convolution", "normalized", "pooling"]

CONVOLUTIONS: dict[str, Callable[..., keras.Layer]] = {
    "standard": keras.layers.Conv2D,
    "dilated": functools.partial(DilatedConv2D, dilation_rate=2),
    "tiled": functools.partial(TiledConv2D, tile_shape=2),
    "unshared": UnsharedConv2D,
}
"""The kinds of convolution by name: dilation 2, tiles of 2 x 2 kernels, a kernel of its own at every position."""

POOLINGS: dict[str, Callable[..., keras.Layer]] = {
    "max": keras.layers.MaxPooling2D,
    "average": keras.layers.AveragePooling2D,
    "l2": L2Pooling2D,
}
"""The kinds of pooling by name."""

PLAIN: dict[str, Any] = {"use_bias": False, "kernel_initializer": "he_normal"}
"""Arguments of a convolution that normalization follows."""


def convolution(kind: str, filters: int, kernel_size: int, **arguments: object) -> keras.Layer:
    """Make a convolution of a kind.

    Args:
        kind: "standard", "dilated", "tiled" or "unshared".
        filters: number of output channels.
        kernel_size: height and width of the kernel.
        **arguments: further arguments that all kinds share, as of ``keras.layers.Conv2D``.

    Returns:
        A layer from (batch, height, width, channels) to (batch, new height, new width, filters).
    """
    return CONVOLUTIONS[kind](filters, kernel_size, **arguments)


def pooling(kind: str, **arguments: object) -> keras.Layer:
    """Make a 2 x 2 pooling with stride 2 of a kind: "max", "average" or "l2"."""
    return POOLINGS[kind](pool_size=2, **arguments)


def normalized(x: keras.KerasTensor, layer: keras.layers.Layer) -> keras.KerasTensor:
    """Apply a convolution, batch normalization and the rectifier."""
    x = FusedBatchNormalization(momentum=0.9, name=f"{layer.name}_norm")(layer(x))
    return keras.layers.ReLU(name=f"{layer.name}_relu")(x)
