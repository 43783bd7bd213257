"""LeNet-5, as printed in 1998, with any kind of convolution and pooling in its place."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from layers.pooling.subsampling import Subsampling2D
from pipelines.models.blocks import convolution, pooling

__all__ = ["CONNECTIONS", "POOL", "ConnectionTable", "default_size", "lenet5", "scaled_tanh"]

POOL = "subsampling"
"""The pooling the network was published with."""

# Table I: which of the six maps of S2 each of the sixteen maps of C3 sees.
CONNECTIONS: tuple[tuple[int, ...], ...] = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


@keras.saving.register_keras_serializable(package="cnnapp")
def scaled_tanh(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return 1.7159 tanh(2/3 x), the squashing function of LeNet-5 (appendix A): f(1) = 1 and f(-1) = -1."""
    return 1.7159 * ops.tanh(x * (2.0 / 3.0))


@keras.saving.register_keras_serializable(package="cnnapp")
class ConnectionTable(keras.constraints.Constraint):
    """Keep a kernel's weights at zero wherever a table says that two maps are not connected.

    Args:
        table: for each output map, the numbers of the input maps it sees.
        inputs: the number of input maps.

    The kernel's last axis is the output maps; the axis before it is the input maps, or kernel positions times input
    maps with the maps counted fastest, as in an unshared kernel.
    """

    def __init__(self, table: tuple[tuple[int, ...], ...], inputs: int) -> None:
        self.table = tuple(tuple(row) for row in table)
        self.inputs = inputs

    def __call__(self, kernel: keras.KerasTensor) -> keras.KerasTensor:
        """Return the kernel with its unconnected weights set to zero."""
        mask = np.zeros((self.inputs, len(self.table)), "float32")
        for output, row in enumerate(self.table):
            mask[list(row), output] = 1.0
        return kernel * ops.cast(np.tile(mask, (kernel.shape[-2] // self.inputs, 1)), kernel.dtype)

    def get_config(self) -> dict[str, object]:
        """Return the arguments."""
        return {"table": self.table, "inputs": self.inputs}


def default_size(native: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) the network sees by default: 32 x 32, or 28 x 28 with a border of two around it."""
    return native if native == (28, 28) else (32, 32)


def lenet5(
    input_shape: tuple[int, int, int],
    classes: int,
    conv: str = "standard",
    pool: str = POOL,
) -> keras.Model:
    """Build LeNet-5: C1 6@5x5, S2, C3 16@5x5 by the connection table, S4, C5 120@5x5, F6 84, and the output.

    Its own pooling is the trainable subsampling followed by the squashing function; "max", "average" and "l2" are the
    modern ones. With standard convolutions on 32 x 32 x 1 the layers have the published numbers of free parameters:
    156, 12, 1,516, 32, 48,120 and 10,164. The published output compares F6 with drawn bitmaps of the ten characters;
    here it is a dense layer, so that any classes can be learned.

    Args:
        input_shape: (height, width, channels). Sides of 28 to 31 get the border that makes them 32.
        classes: number of classes.
        conv: "standard", "dilated", "tiled" or "unshared"; all three convolutions are of that kind.
        pool: "subsampling" (its own), "max", "average" or "l2".

    Returns:
        A model from standardised float images of shape (batch, height, width, channels) to logits (batch, classes).

    Raises:
        ValueError: if a side is shorter than 28.

    Example:
        >>> lenet5((32, 32, 1), 10).output_shape
        (None, 10)

    Reference:
        LeCun, Bottou, Bengio, Haffner (1998), "Gradient-Based Learning Applied to Document Recognition".
    """
    height, width, _ = input_shape
    if min(height, width) < 28:
        raise ValueError(f"lenet5 needs sides of at least 28 pixels; received input_shape={input_shape}")
    images = keras.Input(input_shape, name="images")
    x: keras.KerasTensor = images
    if min(height, width) < 32:
        x = keras.layers.ZeroPadding2D((_border(height), _border(width)), name="border")(x)
    x = _squashed(_convolution(conv, 6, name="c1"), x)
    x = _subsample(pool, x, "s2")
    x = _squashed(_table_convolution(conv, x.shape[1:], "c3"), x)
    x = _subsample(pool, x, "s4")
    x = _squashed(_convolution(conv, 120, name="c5"), x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Activation(scaled_tanh, name="f6_activation")(keras.layers.Dense(84, name="f6")(x))
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name="lenet5")


def _border(side: int) -> tuple[int, int]:
    missing = max(0, 32 - side)
    return missing // 2, missing - missing // 2


def _squashed(layer: keras.Layer, x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.Activation(scaled_tanh, name=f"{layer.name}_activation")(layer(x))


def _convolution(conv: str, filters: int, **arguments: object) -> keras.Layer:
    # With dilation 2 a kernel of 5 spans nine positions; a border of two keeps every map at its published size.
    padding = 2 if conv == "dilated" else "valid"
    return convolution(conv, filters, 5, padding=padding, **arguments)


def _table_convolution(conv: str, input_shape: tuple[int, ...], name: str) -> keras.Layer:
    table = ConnectionTable(CONNECTIONS, inputs=6)
    layer = _convolution(conv, 16, kernel_constraint=table, name=name)
    layer.build((None, *input_shape))
    # A constraint acts after an update only; the weights must keep to the table before the first one too.
    layer.kernel.assign(table(layer.kernel))
    return layer


def _subsample(pool: str, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    if pool == "subsampling":
        return keras.layers.Activation(scaled_tanh, name=f"{name}_activation")(Subsampling2D(name=name)(x))
    return pooling(pool, name=name)(x)
