"""The two places of a network where a kind of layer is plugged in: a convolution and a pooling."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras

from layers import DilatedConv2D, L2Pooling2D, TiledConv2D, UnsharedConv2D

__all__ = ["CONVOLUTIONS", "POOLINGS", "convolution", "pooling"]

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
