"""What networks are built of: the places where a kind of layer is plugged in, and what surrounds a convolution."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from layers import DilatedConv2D, FusedBatchNormalization, L2Pooling2D, TiledConv2D, UnsharedConv2D

__all__ = ["CONVOLUTIONS", "PLAIN", "POOLINGS", "BilinearDoubling", "convolution", "normalized", "pooling"]

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


@keras.saving.register_keras_serializable(package="cnnapp")
class BilinearDoubling(keras.layers.UpSampling2D):
    """Maps of twice the height and width, linear between positions, whose sizes a graph need not know.

    Keras's own bilinear upsampling cannot be traced for maps of unknown size.

    Args:
        **arguments: of a layer, such as ``name``.

    Example:
        >>> keras.ops.squeeze(BilinearDoubling()(keras.ops.reshape([0.0, 4.0], (1, 1, 2, 1)))).tolist()[0]
        [0.0, 1.0, 3.0, 4.0]
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(2, data_format="channels_last", interpolation="bilinear", **arguments)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, without those of Keras's own layer that are always the same here."""
        fixed = ("size", "data_format", "interpolation")
        return {name: value for name, value in super().get_config().items() if name not in fixed}

    def call(self, inputs: Any) -> Any:
        """Map (batch, height, width, channels) to (batch, 2 height, 2 width, channels)."""
        # At twice the size every sample lies at a quarter between positions, which float32 holds exactly: a piece of a
        # map is doubled as it is within the whole.
        return tf.image.resize(inputs, 2 * tf.shape(inputs)[1:3])
