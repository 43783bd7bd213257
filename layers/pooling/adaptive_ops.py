"""Means, maxima and norms of a fixed number of windows: pure functions, any rank, sizes known or not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from .norm_ops import LARGE, axis_norms, power, root, scaled_norms
from .pool_ops import average_pool, max_pool

__all__ = ["adaptive_average", "adaptive_max", "adaptive_norm", "check_not_empty", "in_single"]


def adaptive_average(x: Any, output_size: tuple[int, ...]) -> Any:
    """Return the mean of each window, which on an axis runs from `floor(j * n / m)` to `ceil((j + 1) * n / m)`.

    Args:
        x: tensor `(batch, *sizes, channels)`, float32 or float64.
        output_size: `m`, one int an axis.

    Returns:
        Tensor `(batch, *output_size, channels)`.

    Example:
        >>> from keras import ops
        >>> from layers.pooling.adaptive_ops import adaptive_average
        >>> y = adaptive_average(ops.reshape(ops.convert_to_tensor([1.0, 2.0, 3.0]), (1, 3, 1)), (2,))
        >>> [float(mean) for mean in ops.reshape(y, (2,))]
        [1.5, 2.5]
    """
    window = _equal_windows(x, output_size)
    if window:
        return average_pool(x, window, window)
    for axis, windows in enumerate(output_size, start=1):
        x = _average_axis(x, axis, windows)
    return x


def adaptive_max(x: Any, output_size: tuple[int, ...]) -> Any:
    """Return the largest entry of each window, which runs from `floor(j * n / m)` to `ceil((j + 1) * n / m)`.

    Args:
        x: tensor `(batch, *sizes, channels)`, any floating dtype.
        output_size: `m`, one int an axis.

    Returns:
        Tensor `(batch, *output_size, channels)`.

    Example:
        >>> from keras import ops
        >>> from layers.pooling.adaptive_ops import adaptive_max
        >>> y = adaptive_max(ops.reshape(ops.convert_to_tensor([1.0, 2.0, 3.0]), (1, 3, 1)), (2,))
        >>> [float(largest) for largest in ops.reshape(y, (2,))]
        [2.0, 3.0]
    """
    window = _equal_windows(x, output_size)
    if window:
        return max_pool(x, window, window)
    for axis, windows in enumerate(output_size, start=1):
        x = ops.max(_gather(x, axis, windows)[0], (axis + 1,), initial=-math.inf)  # else refuses a batch of 0
    return x


def adaptive_norm(x: Any, output_size: tuple[int, ...], p: float, *, average: bool = True) -> Any:
    """Return the p-norm of each window, which on an axis runs from `floor(j * n / m)` to `ceil((j + 1) * n / m)`.

    Args:
        x: tensor `(batch, *sizes, channels)`, float32 or float64.
        output_size: `m`, one int an axis.
        p: number >= 1, or infinity for the largest magnitude.
        average: whether the mean of the powers is taken and not their sum.

    Returns:
        Tensor `(batch, *output_size, channels)`.

    Example:
        >>> from keras import ops
        >>> from layers.pooling.adaptive_ops import adaptive_norm
        >>> y = adaptive_norm(ops.reshape(ops.convert_to_tensor([3.0, 4.0]), (1, 2, 1)), (1,), 2, average=False)
        >>> float(y[0, 0, 0])
        5.0
    """
    if math.isinf(p):
        return adaptive_max(ops.abs(x), output_size)
    counts = 1.0
    for axis, windows in enumerate(output_size, start=1):
        starts, ends = _windows(ops.shape(x)[axis], windows)
        shape = [windows if i == axis else 1 for i in range(len(x.shape))]
        counts = counts * ops.reshape(ops.cast(ends - starts, x.dtype), shape)
    if p > LARGE:
        norms = _norms_by_axes(x, output_size, p)
        return norms / ops.power(counts, 1 / p) if average else norms
    norms = scaled_norms(x, p, lambda x: root(adaptive_average(power(x, p), output_size), p))
    return norms if average else norms * ops.power(counts, 1 / p)


def check_not_empty(sizes: tuple[int | None, ...]) -> None:
    """Refuse an axis of size 0, which no window can be taken from.

    Raises:
        ValueError: if a size is 0.
    """
    if 0 in sizes:
        raise ValueError(f"The axes to pool must not be empty. Received: input sizes {tuple(sizes)}.")


def in_single(pool: Callable[..., Any], x: Any, *arguments: Any, **keywords: Any) -> Any:
    """Return `pool(x, ...)` in the dtype of `x`, computed in float32 where `x` has too few bits to sum in."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    if dtype in ("float16", "bfloat16"):
        x = ops.cast(x, "float32")
    return ops.cast(pool(x, *arguments, **keywords), dtype)


def _equal_windows(x: Any, output_size: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the size that all windows have, side by side, if that is known."""
    sizes = tuple(x.shape[1:-1])
    if x.shape[0] == 0 or any(n is None or n % m for n, m in zip(sizes, output_size, strict=True)):
        return None
    return tuple(n // m for n, m in zip(sizes, output_size, strict=True))


def _windows(size: Any, windows: int) -> tuple[Any, Any]:
    """Return where the windows of an axis start and end."""
    index = np.arange(windows, dtype="int32")
    if not isinstance(size, int):
        index = ops.convert_to_tensor(index)
    return index * size // windows, -(-(index + 1) * size // windows)


def _average_axis(x: Any, axis: int, windows: int) -> Any:
    shape = ops.shape(x)
    starts, ends = _windows(shape[axis], windows)
    places = ops.expand_dims(ops.arange(shape[axis], dtype="int32"), 0)
    starts, ends = ops.expand_dims(starts, 1), ops.expand_dims(ends, 1)
    inside = ops.cast(ops.logical_and(places >= starts, places < ends), x.dtype)
    # One product of matrices for all that lies after the axis.
    rows = ops.reshape(x, (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])))
    means = ops.matmul(inside / ops.cast(ends - starts, x.dtype), rows)
    return ops.reshape(means, (*shape[:axis], windows, *shape[axis + 1 :]))


def _gather(x: Any, axis: int, windows: int) -> tuple[Any, Any]:
    """Return the windows of an axis with their entries on a new axis after it, and which entries are not repeats.

    Windows shorter than the longest repeat their last entry.
    """
    size = ops.shape(x)[axis]
    starts, ends = _windows(size, windows)
    longest = int((ends - starts).max()) if isinstance(size, int) else ops.max(ends - starts)
    places = ops.expand_dims(starts, 1) + ops.expand_dims(ops.arange(longest, dtype="int32"), 0)
    last = ops.expand_dims(ends, 1) - 1
    return ops.take(x, ops.minimum(places, last), axis), places <= last


def _norms_by_axes(x: Any, output_size: tuple[int, ...], p: float) -> Any:
    # The norm of a window is the norm of the norms of its rows.
    for axis, windows in enumerate(output_size, start=1):
        entries, real = _gather(x, axis, windows)
        real = ops.reshape(ops.cast(real, x.dtype), (windows, -1, *[1] * (len(x.shape) - 1 - axis)))
        x = ops.squeeze(axis_norms(entries * real, p, axis + 1), axis + 1)
    return x
