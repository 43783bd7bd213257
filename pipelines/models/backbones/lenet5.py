"""LeNet-5, as printed in 1998, with any kind of convolution and pooling in its place."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from pipelines.core.errors import ConfigError
from pipelines.models.backbones.backbone import Backbone, Features, Size
from pipelines.models.blocks import convolution, normalized, pooling, standardised
from pipelines.models.names import named_kind

__all__ = ["CONNECTIONS", "LENET5", "ConnectionTable", "lenet5", "scaled_tanh"]

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


def lenet5(
    pixels: keras.KerasTensor,
    mean: float,
    deviation: float,
    *,
    conv: str = "standard",
    pool: str = "subsampling",
    norm: str = "none",
) -> Features:
    """Build the convolutions of LeNet-5: C1 6@5x5, S2, C3 16@5x5 by the connection table, S4, C5 120@5x5.

    Its own pooling is the trainable subsampling followed by the squashing function. With standard convolutions on
    32 x 32 x 1 the layers have the published numbers of free parameters: 156, 12, 1,516, 32, 48,120 and, of F6 behind
    them, 10,164. The published output compares F6 with drawn bitmaps of the ten characters; a classifier of this
    project has a dense layer there, so that any classes can be learned.

    Args:
        pixels: images, 0 to 255. Sides of 28 to 31 get the border that makes them 32.
        mean: of the training pixels.
        deviation: their standard deviation.
        conv: kind of all three convolutions.
        pool: kind of the poolings; "subsampling" is its own.
        norm: kind of the normalization behind each convolution; the published network has none.

    Returns:
        What C1, C3 and C5 give, at strides of 1, 2 and 4.

    Reference:
        LeCun, Bottou, Bengio, Haffner (1998), "Gradient-Based Learning Applied to Document Recognition".
    """
    sizes = tuple(pixels.shape[1:3])
    x = standardised(pixels, mean, deviation)
    if None not in sizes and min(sizes) < 32:
        x = keras.layers.ZeroPadding2D((_border(sizes[0]), _border(sizes[1])), name="border")(x)
    open_sizes = None in sizes
    c1 = _squashed(x, conv, _convolution(conv, 6, open_sizes, name="c1"), norm)
    s2 = _subsample(pool, c1, "s2")
    c3 = _squashed(s2, conv, _table_convolution(conv, s2.shape[1:], open_sizes, "c3"), norm)
    s4 = _subsample(pool, c3, "s4")
    c5 = _squashed(s4, conv, _convolution(conv, 120, open_sizes, name="c5"), norm)
    return {1: c1, 2: c3, 4: c5}


def _f6(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.Activation(scaled_tanh, name="f6_activation")(keras.layers.Dense(84, name="f6")(x))


def _default_size(native: Size) -> Size:
    """Return 32 x 32, or 28 x 28 with a border of two around it."""
    return native if native == (28, 28) else (32, 32)


def _border(side: int) -> tuple[int, int]:
    missing = max(0, 32 - side)
    return missing // 2, missing - missing // 2


def _squash(name: str) -> keras.layers.Layer:
    return keras.layers.Activation(scaled_tanh, name=name)


def _squashed(x: keras.KerasTensor, conv: str, layer: keras.layers.Layer, norm: str) -> keras.KerasTensor:
    return normalized(x, layer, norm, conv, _squash, "activation")


def _convolution(conv: str, filters: int, open_sizes: bool, **arguments: Any) -> keras.layers.Layer:
    # With dilation 2 a kernel of 5 spans nine positions; a border of two keeps every map at its published size. What
    # is to look the same wherever a window lies must not have it.
    rate = named_kind("conv", conv).arguments.get("dilation_rate", 1)
    padding = "valid" if open_sizes or rate == 1 else 2 * (rate - 1)
    return convolution(conv, filters, 5, padding=padding, **arguments)


def _table_convolution(
    conv: str, input_shape: tuple[int | None, ...], open_sizes: bool, name: str
) -> keras.layers.Layer:
    kind = named_kind("conv", conv)
    if not kind.dense_kernel:
        raise ConfigError(
            f"conv {conv!r} does not fit backbone 'lenet5': its connection table leaves weights out of a kernel, and "
            "this kind has none"
        )
    # Of a kind that makes several channels for a filter, all of them see what the filter sees.
    rows = tuple(row for row in CONNECTIONS for _ in range(kind.pieces))
    table = ConnectionTable(rows, inputs=6)
    layer = _convolution(conv, 16, open_sizes, kernel_constraint=table, name=name)
    layer.build((None, *input_shape))
    # A constraint acts after an update only; the weights must keep to the table before the first one too.
    layer.kernel.assign(table(layer.kernel))
    return layer


def _subsample(pool: str, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = pooling(pool, name=name)(x)
    return _squash(f"{name}_activation")(x) if pool == "subsampling" else x


LENET5 = Backbone(
    name="lenet5",
    function=lenet5,
    strides=(1, 2, 4),
    padding=("valid",),
    exact=True,
    smallest=28,
    head="flatten",
    top=_f6,
    default_size=_default_size,
)
