"""A large kernel as a few separable ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from ..core.geometry import normalize_padding, positive_int
from .dilated_conv import DilatedConv2D

__all__ = ["LowRank", "low_rank_kernels"]


@dataclass(frozen=True)
class LowRank:
    """What stands in for a convolution, and how well.

    Args:
        layer: a column convolution and then a row convolution, built, with the original's name, bias and activation.
        error: Frobenius norm of the difference of the kernels, as a share of the original's.
        cost: multiply-adds an output as a share of the original's, with stride 1.
    """

    layer: keras.Sequential
    error: float
    cost: float


def low_rank_kernels(layer: keras.layers.Layer, rank: int) -> LowRank:
    """Replace a convolution of images by columns and then rows: the nearest there is, by singular values.

    A kernel of `height * width` becomes one of `height * 1` to `rank` channels and one of `1 * width` from those. With
    the kernel as the matrix `M` of (height, input channels) by (width, filters), `M ~ (U sqrt(S)) (sqrt(S) V)` of the
    `rank` largest singular values is nearest in the Frobenius norm. A depthwise kernel is one such matrix, height by
    width, for every channel and multiplier, and one of several groups one for every group.

    Args:
        layer: a built `keras.layers.Conv2D`, `keras.layers.DepthwiseConv2D` or `layers.DilatedConv2D`; its strides,
            padding, dilation, groups, data format, activation and dtype are kept.
        rank: int; channels between column and row (for every group, or for every depthwise kernel). More than the
            matrix's rank is lowered to it: from there on the result is exact.

    Returns:
        `LowRank`: the new layer, the relative error of its kernel, and its cost relative to the original's.

    Raises:
        ValueError: if the layer is of another kind or not built, or `rank` is no integer >= 1; or the padding holds
            numbers other than 0 and so cannot be added an axis at a time.

    Example:
        >>> import keras, layers
        >>> layer = keras.layers.Conv2D(8, 9, padding="same", data_format="channels_last")
        >>> layer.build((None, 32, 32, 4))
        >>> small = layers.low_rank_kernels(layer, 8)
        >>> small.layer(keras.ops.ones((1, 32, 32, 4))).shape == (1, 32, 32, 8), 0 < small.error < 1, small.cost < 0.4
        (True, True, True)

    Reference:
        Jaderberg, Vedaldi and Zisserman, 2014, "Speeding up convolutional neural networks with low rank expansions".
    """
    rank = positive_int(rank, "rank")
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, DilatedConv2D)
    if not isinstance(layer, kinds) or not layer.built:
        raise ValueError(
            "`layer` must be a built Conv2D, DepthwiseConv2D or DilatedConv2D. "
            f"Received: layer={type(layer).__name__}, built={layer.built}."
        )
    if getattr(layer, "padding_value", 0.0) != 0:
        raise ValueError(f"`layer` must be padded with zeros. Received: padding_value={layer.padding_value}.")
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    kernel = ops.convert_to_numpy(ops.cast(layer.kernel, "float64"))
    if depthwise:
        # One group a channel; a multiplier's kernels have no column in common.
        height, width, groups, multiplier = kernel.shape
        blocks = kernel.transpose(2, 3, 0, 1).reshape(groups * multiplier, height, 1, width, 1)
    else:
        groups, multiplier = layer.groups, 1
        height, width, inputs, filters = kernel.shape
        blocks = kernel.reshape(height, width, inputs, groups, filters // groups).transpose(3, 0, 2, 1, 4)
    columns, rows, error = _factors(blocks, rank)
    # From (block, height, inputs, rank) and (block, rank, width, filters) to kernels of grouped convolutions.
    first = columns.transpose(1, 2, 0, 3).reshape(height, 1, columns.shape[2], -1)
    second = rows.transpose(2, 1, 0, 3).reshape(1, width, rows.shape[1], -1)
    cost = (first.size + second.size) / kernel.size
    return LowRank(_sequential(layer, first, second, groups, groups * multiplier), float(error), cost)


def _factors(blocks: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return columns `(block, height, inputs, rank)`, rows `(block, rank, width, filters)`, and the relative error."""
    count, height, inputs, width, filters = blocks.shape
    u, values, v = np.linalg.svd(blocks.reshape(count, height * inputs, width * filters), full_matrices=False)
    rank = min(rank, values.shape[1])
    total = np.sum(values**2)
    error = np.sqrt(np.sum(values[:, rank:] ** 2) / total) if total else 0.0
    root = np.sqrt(values[:, :rank])
    columns = (u[:, :, :rank] * root[:, None]).reshape(count, height, inputs, rank)
    return columns, (root[:, :, None] * v[:, :rank]).reshape(count, rank, width, filters), error


def _sequential(layer: Any, first: np.ndarray, second: np.ndarray, groups: int, second_groups: int) -> keras.Sequential:
    strides, dilation, padding = (
        (value, value) if isinstance(value, int) else value
        for value in (layer.strides, layer.dilation_rate, layer.padding)
    )
    pairs = padding if isinstance(padding, str) else normalize_padding(padding, 2)
    common = {
        "padding_mode": getattr(layer, "padding_mode", "constant"),
        "flip_kernel": getattr(layer, "flip_kernel", False),
        "data_format": layer.data_format,
        "dtype": keras.dtype_policies.get(layer.dtype_policy),
    }
    column, row = (pairs, pairs) if isinstance(pairs, str) else ((pairs[0], (0, 0)), ((0, 0), pairs[1]))
    parts = [
        DilatedConv2D(
            first.shape[-1], (first.shape[0], 1), (strides[0], 1), column, dilation_rate=(dilation[0], 1),
            groups=groups, use_bias=False, name=f"{layer.name}_columns", **common,
        ),
        DilatedConv2D(
            second.shape[-1], (1, second.shape[1]), (1, strides[1]), row, dilation_rate=(1, dilation[1]),
            groups=second_groups, use_bias=layer.use_bias, activation=layer.activation, name=f"{layer.name}_rows",
            **common,
        ),
    ]  # fmt: skip
    channels = first.shape[2] * groups
    shape = (None, None, channels) if layer.data_format == "channels_last" else (channels, None, None)
    model = keras.Sequential([keras.Input(shape), *parts], name=layer.name)
    parts[0].kernel.assign(first)
    parts[1].kernel.assign(second)
    if layer.use_bias:
        parts[1].bias.assign(layer.bias)  # type: ignore[union-attr]
    return model
