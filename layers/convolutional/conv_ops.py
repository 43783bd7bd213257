"""Convolution with any stride, dilation, groups and padding together, by the best route there is."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from ..core.backend import has_native_convolution, native_convolution
from ..core.geometry import ConvGeometry
from ..core.padding import pad
from ..core.slicing import every, slice_axis, subsample

__all__ = ["convolve"]


def convolve(
    x: Any,
    kernel: Any,
    strides: tuple[int, ...],
    dilation_rate: tuple[int, ...],
    padding: str | tuple[tuple[int, int], ...] = "valid",
) -> Any:
    """Convolve without flipping, with any stride, dilation and groups together.

    Args:
        x: tensor `(batch, *sizes, channels)`, floating.
        kernel: tensor `(*kernel_size, channels // groups, filters)` of the same dtype.
        strides: one int an axis.
        dilation_rate: one int an axis.
        padding: "valid", "same", or one (before, after) pair an axis; with zeros.

    Returns:
        Tensor `(batch, *output sizes, filters)`.
    """
    geometry = ConvGeometry(tuple(kernel.shape[:-2]), strides, dilation_rate, padding)
    if keras.backend.backend() == "tensorflow":
        return _in_tensorflow(x, kernel, geometry)
    if padding != "same":
        x = pad(x, geometry)
    padding = "same" if padding == "same" else "valid"
    return ops.conv(x, kernel, strides, padding, "channels_last", dilation_rate)


def _in_tensorflow(x: Any, kernel: Any, geometry: ConvGeometry) -> Any:
    if x.shape[0] == 0:  # oneDNN gets the channels of an empty batch wrong, and fails in its gradient
        one = ops.pad(x, [(0, 1)] + [(0, 0)] * (geometry.rank + 1))
        return slice_axis(_in_tensorflow(one, kernel, geometry), 0, 0, 0)
    if geometry.rank == 1:  # as one row, so that what is native for images serves here
        y = _in_tensorflow(ops.expand_dims(x, 1), ops.expand_dims(kernel, 0), _as_row(geometry))
        return y[:, 0]  # not squeezed: without a native convolution its height of 1 is not known in a graph
    factors = tuple(
        stride if size == 1 else math.gcd(stride, dilation)
        for size, stride, dilation in zip(geometry.kernel_size, geometry.strides, geometry.dilation_rate, strict=True)
    )
    if max(factors) > 1:
        return _without_common_factor(x, kernel, geometry, factors)
    if _misread(x, geometry):
        x, kernel = (ops.concatenate([part, ops.zeros_like(part)], axis) for part, axis in ((x, -1), (kernel, -2)))
    groups, dilated = x.shape[-1] // kernel.shape[-2], max(geometry.dilation_rate) > 1
    plain = groups == 1 and not dilated
    if not plain and isinstance(geometry.padding, tuple):  # native, but without a gradient when run eagerly
        x = pad(x, geometry)
        geometry = ConvGeometry(geometry.kernel_size, geometry.strides, geometry.dilation_rate)
    if geometry.rank == 2 and has_native_convolution(keras.backend.standardize_dtype(x.dtype), dilated, groups > 1):
        return native_convolution(x, kernel, geometry)
    if plain and geometry.padding == "same":
        return ops.conv(x, kernel, geometry.strides, "same", "channels_last")
    x = pad(x, geometry)
    if plain:
        return ops.conv(x, kernel, geometry.strides, "valid", "channels_last")
    if geometry.rank == 3:
        return _by_depth(x, kernel, geometry.strides, geometry.dilation_rate)
    if groups > 1:
        # keras.ops.conv would compile each shape anew with XLA, which on CPU takes seconds and runs slower.
        parts = zip(_split(x, groups), _split(kernel, groups), strict=True)
        one_group = ConvGeometry(geometry.kernel_size, geometry.strides, geometry.dilation_rate)
        return ops.concatenate([_in_tensorflow(*part, one_group) for part in parts], axis=-1)
    if max(geometry.strides) > 1:
        return _by_phases(x, kernel, geometry.strides, geometry.dilation_rate)
    return ops.conv(x, kernel, 1, "valid", "channels_last", geometry.dilation_rate)


def _as_row(geometry: ConvGeometry) -> ConvGeometry:
    padding = geometry.padding if isinstance(geometry.padding, str) else ((0, 0), *geometry.padding)
    return ConvGeometry((1, *geometry.kernel_size), (1, *geometry.strides), (1, *geometry.dilation_rate), padding)


def _misread(x: Any, geometry: ConvGeometry) -> bool:
    """Return whether oneDNN may read memory that is not its own, as it does in TensorFlow 2.21.

    It does for images, and for volumes, of one channel, several rows high, where the strides differ and the output is
    one wide.
    """
    if x.shape[-1] != 1 or len(set(geometry.strides)) == 1 or x.shape[-3] == 1:
        return False
    return geometry.output_sizes((None,) * (geometry.rank - 1) + (x.shape[-2],))[-1] in (None, 1)


def _split(x: Any, parts: int) -> list[Any]:
    """Return equal parts along the last axis."""
    length = x.shape[-1] // parts
    return [slice_axis(x, len(x.shape) - 1, i * length, length) for i in range(parts)]


def _without_common_factor(x: Any, kernel: Any, geometry: ConvGeometry, factors: tuple[int, ...]) -> Any:
    """Convolve over every g-th entry, all that is ever read, with `g = gcd(stride, dilation)`.

    Native convolution takes stride and dilation at once, but a training step with it costs 2 to 3 times as much; and
    the gradient of a kernel of 1 x 1 with strides that differ ends the process.
    """
    window = zip(geometry.kernel_size, geometry.strides, geometry.dilation_rate, factors, strict=True)
    strides, dilation_rate = zip(*((s // g, d // g if k > 1 else 1) for k, s, d, g in window), strict=True)
    reduced = ConvGeometry(geometry.kernel_size, strides, dilation_rate)
    sizes = tuple(x.shape[1:-1])
    if None in sizes:
        return _in_tensorflow(subsample(pad(x, geometry), factors, (0,) * len(factors)), kernel, reduced)
    # Of the padded axis every g-th entry is read; the first that is no padding is entry `-before mod g`. Padded after
    # that, a smaller tensor is copied.
    pads = [pair for pair in geometry.pads(sizes) if pair is not None]
    starts = tuple(-before % factor for (before, _), factor in zip(pads, factors, strict=True))
    if any(start >= size for start, size in zip(starts, sizes, strict=True)):  # on an axis padding alone is read
        return _in_tensorflow(subsample(pad(x, geometry), factors, (0,) * len(factors)), kernel, reduced)
    x = subsample(x, factors, starts)
    padding = []
    for axis, outputs in enumerate(geometry.output_sizes(sizes)):
        before = (pads[axis][0] + starts[axis]) // factors[axis]
        needed = ((outputs or 1) - 1) * strides[axis] + reduced.extent[axis]
        after = needed - before - x.shape[axis + 1]
        if after < 0:
            x = slice_axis(x, axis + 1, 0, x.shape[axis + 1] + after)
        padding.append((before, max(after, 0)))
    reduced = ConvGeometry(geometry.kernel_size, strides, dilation_rate, tuple(padding))
    return _in_tensorflow(x, kernel, reduced)


def _by_depth(x: Any, kernel: Any, strides: tuple[int, ...], dilation_rate: tuple[int, ...]) -> Any:
    """Convolve a volume as the sum, over the kernel's depth, of convolutions of its slices as images.

    TensorFlow has neither dilation nor groups for volumes on CPU, and both for images.
    """
    stride, dilation = strides[0], dilation_rate[0]
    batch, size = ops.shape(x)[:2]
    depth = (size - (kernel.shape[0] - 1) * dilation - 1) // stride + 1
    total = None
    for i in range(kernel.shape[0]):
        part = slice_axis(every(x, 1, i * dilation, stride), 1, 0, depth)
        images = ops.reshape(part, (batch * depth, *ops.shape(x)[2:]))
        weights = ops.squeeze(slice_axis(kernel, 0, i, 1), 0)
        y = convolve(images, weights, strides[1:], dilation_rate[1:])
        total = y if total is None else total + y
    return ops.reshape(total, (batch, depth, *ops.shape(total)[1:]))


def _by_phases(x: Any, kernel: Any, strides: tuple[int, ...], dilation_rate: tuple[int, ...]) -> Any:
    """Convolve with stride s and dilation d without common factor, where the backend refuses both at once.

    Kernel entries `i = s q + r` read `x[s (j + d q) + d r]`: for each `r < s` a convolution with stride 1 and dilation
    d over every s-th pixel from `d r` on. Nothing is computed to be thrown away.
    """
    sizes = ConvGeometry(tuple(kernel.shape[:-2]), strides, dilation_rate)
    lengths = [
        (size - extent) // stride + 1
        for size, extent, stride in zip(ops.shape(x)[1:-1], sizes.extent, strides, strict=True)
    ]
    terms = [(x, kernel)]
    for axis, (stride, dilation) in enumerate(zip(strides, dilation_rate, strict=True)):
        terms = [
            (every(part, axis + 1, dilation * r, stride), every(weights, axis, r, stride))
            for part, weights in terms
            for r in range(min(stride, weights.shape[axis]))
        ]
    total = None
    for part, weights in terms:
        y = ops.conv(part, weights, 1, "valid", "channels_last", dilation_rate)
        # A phase with fewer kernel entries, or with pixels left over, gives outputs that do not exist.
        y = ops.slice(y, [0] * len(y.shape), [ops.shape(y)[0], *lengths, kernel.shape[-1]])
        total = y if total is None else total + y
    return total
