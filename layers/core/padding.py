"""Padding a channels-last tensor in numpy's modes, on every backend, also where sizes are only known at run time."""

from __future__ import annotations

from typing import Any

from keras import ops

from .geometry import ConvGeometry
from .slicing import slice_axis

__all__ = ["pad"]


def pad(x: Any, geometry: ConvGeometry, value: float = 0.0) -> Any:
    """Pad the axes between batch and channels as `geometry` says.

    Args:
        x: tensor `(batch, *sizes, channels)`, any dtype.
        geometry: gives amounts and mode.
        value: what the mode "constant" fills with.

    Returns:
        Tensor `(batch, *padded sizes, channels)`.

    Raises:
        ValueError: if a known size is too small for the mode.
    """
    static = tuple(x.shape[1:-1])
    sizes = ops.shape(x)[1:-1]
    pads = [
        _runtime_same(geometry, axis, sizes[axis]) if pair is None else pair
        for axis, pair in enumerate(geometry.pads(static))
    ]
    if all(isinstance(amount, int) and amount == 0 for pair in pads for amount in pair):
        return x
    if geometry.padding_mode == "constant":
        return ops.pad(x, [(0, 0), *pads, (0, 0)], mode="constant", constant_values=value)
    for axis, pair in enumerate(pads):
        x = _pad_axis(x, axis + 1, pair, geometry.padding_mode)
    return x


def _runtime_same(geometry: ConvGeometry, axis: int, size: Any) -> tuple[Any, Any]:
    extent, stride = geometry.extent[axis], geometry.strides[axis]
    remainder = size % stride
    total = ops.maximum(extent - ops.where(remainder == 0, stride, remainder), 0)
    return total // 2, total - total // 2


def _pad_axis(x: Any, axis: int, pair: tuple[Any, Any], mode: str) -> Any:
    # Slices and a concatenation: keras.ops.pad knows neither "edge" nor "wrap" on TensorFlow.
    before, after = pair
    if isinstance(before, int) and isinstance(after, int) and before == after == 0:
        return x
    size = ops.shape(x)[axis]
    if mode == "edge":
        first, last = slice_axis(x, axis, 0, 1), slice_axis(x, axis, size - 1, 1)
        return ops.concatenate([_repeat(first, axis, before), x, _repeat(last, axis, after)], axis=axis)
    if mode == "wrap":
        return ops.concatenate(
            [slice_axis(x, axis, size - before, before), x, slice_axis(x, axis, 0, after)], axis=axis
        )
    skip = 1 if mode == "reflect" else 0  # reflect does not repeat the border itself
    head = slice_axis(x, axis, skip, before)
    tail = slice_axis(x, axis, size - skip - after, after)
    return ops.concatenate([ops.flip(head, axis), x, ops.flip(tail, axis)], axis=axis)


def _repeat(x: Any, axis: int, times: Any) -> Any:
    shape = list(ops.shape(x))
    shape[axis] = times
    return ops.broadcast_to(x, shape)
