"""The p-norm of windows, safe where powers leave the range of the dtype, at the price of two elementwise passes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ..core.geometry import ConvGeometry
from ..core.padding import pad
from ..core.slicing import every, slice_axis
from .pool_ops import average_pool

__all__ = ["LARGE", "axis_norms", "mean_norms", "power", "root", "scaled_norms", "window_norms"]

LARGE = 16  # from here on the power of a hundredth is 0 in float32


def window_norms(x: Any, p: float, geometry: ConvGeometry, *, average: bool = False) -> Any:
    """Return the p-norm of every window, with gradient 0 at a window of zeros.

    Whether an example needs scaling is read off the pooled powers, a fraction of the input's size, and the gradient is
    written out: automatic differentiation would add up gradients from both branches of the condition.

    Args:
        x: tensor `(batch, *sizes, channels)`, float32 or float64.
        p: number >= 1.
        geometry: where the windows lie; its padding adds nothing.
        average: whether the mean of the powers is taken, over real positions alone, and not their sum.

    Returns:
        Tensor `(batch, *output sizes, channels)`.

    Example:
        >>> import numpy as np
        >>> from layers.core.geometry import ConvGeometry
        >>> from layers.pooling.norm_ops import window_norms
        >>> float(window_norms(np.array([[[3.0], [-4.0]]], "float32"), 2, ConvGeometry((2,)))[0, 0, 0])
        5.0
    """
    x = ops.convert_to_tensor(x)
    if p > LARGE:
        return _norms_of_taps(x, p, geometry, average)

    def shared(y: Any, like: Any) -> Any:
        # Found anew each time: JAX lets a custom gradient close over nothing that is traced.
        share = _padding_share(like, geometry) if average else None
        return y if share is None else y * share

    def mean(powers: Any) -> Any:
        return shared(average_pool(pad(powers, geometry), geometry.kernel_size, geometry.strides), powers)

    def times_spread(slopes: Any, y: Any) -> Any:
        return _times_spread(slopes, shared(y, slopes), geometry)

    return mean_norms(x, p, geometry.positions, mean, times_spread, average=average)


def mean_norms(
    x: Any,
    p: float,
    positions: int,
    mean: Callable[[Any], Any],
    times_spread: Callable[[Any, Any], Any],
    *,
    average: bool = False,
) -> Any:
    """Return `mean(|x| ** p) ** (1 / p)`, or the sum in place of the mean, with gradient 0 where it is 0.

    Args:
        x: tensor `(batch, ...)`, float32 or float64.
        p: number >= 1.
        positions: how many powers a mean is of.
        mean: linear, from the powers to their means `(batch, ...)`, example by example.
        times_spread: from a tensor like x, and y like the means, to the product of the first with the transpose of
            `positions * mean` applied to y.
        average: whether the mean of the powers is taken and not their sum.

    Returns:
        Tensor, as `mean` gives.

    Example:
        >>> from keras import ops
        >>> from layers.pooling.norm_ops import mean_norms
        >>> x = ops.convert_to_tensor([[3e30, 4e30]])
        >>> mean = lambda powers: ops.mean(powers, axis=1, keepdims=True)
        >>> round(float(mean_norms(x, 2, 2, mean, ops.multiply)[0, 0]) / 1e30, 4)
        5.0
    """
    factor = 1.0 if average else positions ** (1 / p)

    def mean_powers(x: Any) -> Any:
        return mean(power(x, p) if p in (1, 2, 3, 4) else _bare_power(ops.abs(x), p))

    def gradient_of(upstream: Any, x: Any, means: Any) -> Any:
        return times_spread(_slope(x, p), _by_means(upstream, means, p, factor / positions))

    @ops.custom_gradient
    def norms(x: Any) -> Any:
        plain = mean_powers(x)
        needed = _leaves_the_range(plain)

        def scaled() -> Any:
            scale = _largest(x)
            return _bare_root(mean_powers(x / scale), p) * factor * scale

        def scaled_gradient(upstream: Any) -> Any:
            scale = _largest(x)  # drops out itself: the norm's gradient does not depend on it
            return gradient_of(upstream, x / scale, mean_powers(x / scale))

        def gradient(*args: Any, upstream: Any = None) -> Any:
            upstream = args[0] if upstream is None else upstream
            return ops.cond(needed, lambda: scaled_gradient(upstream), lambda: gradient_of(upstream, x, plain))

        return ops.cond(needed, scaled, lambda: _times(_bare_root(plain, p), factor)), gradient

    return norms(x)


def scaled_norms(x: Any, p: float, norms: Callable[[Any], Any]) -> Any:
    """Return `norms(x)` of a norm that is made of p-th powers, found on scaled examples where powers leave the range.

    For norms whose gradient is left to automatic differentiation.

    Args:
        x: tensor `(batch, ...)`, float32 or float64.
        p: number >= 1.
        norms: function with `norms(c * x) == c * norms(x)` for `c > 0`, to a tensor of the same rank.

    Returns:
        Tensor, as `norms` gives.

    Example:
        >>> from keras import ops
        >>> from layers.pooling.norm_ops import power, root, scaled_norms
        >>> norms = lambda x: root(ops.sum(power(x, 2), 1, keepdims=True), 2)
        >>> y = scaled_norms(ops.convert_to_tensor([[3e30, 4e30]]), 2, norms)
        >>> round(float(y[0, 0]) / 1e30, 4)
        5.0
    """
    low, high = (limit ** (1 / p) for limit in _range(x))
    scale = _largest(ops.stop_gradient(x))
    scale = ops.where(ops.logical_or(scale < low, scale > high), scale, ops.ones_like(scale))
    return ops.cond(ops.any(scale != 1), lambda: _multiply(norms(_divide(x, scale)), scale), lambda: norms(x))


@ops.custom_gradient
def _divide(x: Any, scale: Any) -> Any:
    """Return `x / scale`, with the upstream gradient as the gradient of `x`, and none of `scale`.

    A norm's gradient does not depend on the scale, so `_divide` before and `_multiply` after cancel; multiplied out,
    they would overflow on the way.
    """

    def gradient(*args: Any, upstream: Any = None) -> Any:
        return (args[0] if upstream is None else upstream), ops.zeros_like(scale)

    return x / scale, gradient


@ops.custom_gradient
def _multiply(x: Any, scale: Any) -> Any:
    def gradient(*args: Any, upstream: Any = None) -> Any:
        return (args[0] if upstream is None else upstream), ops.zeros_like(scale)

    return x * scale, gradient


def power(x: Any, p: float) -> Any:
    """Return `|x| ** p`; small whole powers by multiplication, several times faster than the general one."""
    if p == 2:
        return ops.square(x)
    if p == 4:
        return ops.square(ops.square(x))
    x = ops.abs(x)
    if p == 1:
        return x
    return x * ops.square(x) if p == 3 else ops.power(x, p)


def root(x: Any, p: float) -> Any:
    """Return `x ** (1 / p)` for x >= 0, with the gradient 0 at 0 in place of infinity."""
    if p == 1:
        return x
    tiny = float(np.finfo(keras.backend.standardize_dtype(x.dtype)).tiny)
    above = ops.maximum(x, tiny)
    return ops.where(x > tiny, ops.sqrt(above) if p == 2 else ops.power(above, 1 / p), ops.minimum(x, 0))


def _bare_root(x: Any, p: float) -> Any:
    """Return `x ** (1 / p)`, for a gradient written out elsewhere."""
    if p == 1:
        return x
    return ops.sqrt(x) if p == 2 else _bare_power(x, 1 / p)


def _bare_power(x: Any, p: float) -> Any:
    """Return `x ** p` for x >= 0, for a gradient written out elsewhere.

    On TensorFlow several times faster than `ops.power`, and good to a few units of the sixth digit.
    """
    return ops.exp(ops.log(x) * p)


def _by_means(upstream: Any, means: Any, p: float, factor: float) -> Any:
    """Return `factor * upstream * means ** (1 / p - 1)`, and 0 where the means are."""
    upstream = _times(upstream, factor)
    if p == 1:
        return upstream
    if p == 2:
        return ops.divide_no_nan(upstream, ops.sqrt(means))
    limit = float(np.finfo(keras.backend.standardize_dtype(means.dtype)).max)
    return ops.clip(upstream * ops.divide_no_nan(_bare_root(means, p), means), -limit, limit)


def _times(x: Any, factor: float) -> Any:
    return x if factor == 1 else x * factor


def _slope(x: Any, p: float) -> Any:
    """Return `sign(x) * |x| ** (p - 1)`."""
    if p == 2:
        return x
    if p == 1:
        return ops.sign(x)
    if p == 3:
        return x * ops.abs(x)
    return x * ops.square(x) if p == 4 else ops.sign(x) * _bare_power(ops.abs(x), p - 1)


# === When to scale, and by what ===


def _range(x: Any) -> tuple[float, float]:
    """Return the smallest and largest powers that leave room for sums of them, and for smaller ones beside them."""
    limits = np.finfo(keras.backend.standardize_dtype(x.dtype))
    return float(limits.tiny) * 2.0**40, float(limits.max) * 2.0**-10


def _leaves_the_range(means: Any) -> Any:
    """Return whether the powers of any example overflow, come near to nothing, or are all zero."""
    low, high = _range(means)
    largest = ops.max(means, tuple(range(1, len(means.shape))), initial=0)
    return ops.logical_not(ops.all(ops.logical_and(largest >= low, largest <= high)))


def _largest(x: Any) -> Any:
    """Return each example's largest finite magnitude, `(batch, 1, ...)`, and 1 for an example that has none but 0."""
    magnitudes, limit = ops.abs(x), float(np.finfo(keras.backend.standardize_dtype(x.dtype)).max)
    magnitudes = ops.where(magnitudes <= limit, magnitudes, ops.zeros_like(magnitudes))
    largest = ops.max(magnitudes, tuple(range(1, len(x.shape))), keepdims=True, initial=0)
    return ops.where(largest > 0, largest, ops.ones_like(largest))


# === The transpose of average pooling ===


def _padding_share(x: Any, geometry: ConvGeometry) -> Any:
    """Return how many positions a window has for each that is real, `(1, *output sizes, 1)`; None for 1 everywhere."""
    if geometry.padding == "valid":
        return None
    ones = pad(ops.ones((1, *ops.shape(x)[1:-1], 1), x.dtype), geometry)
    return 1 / average_pool(ones, geometry.kernel_size, geometry.strides)


def _times_spread(x: Any, y: Any, geometry: ConvGeometry) -> Any:
    """Return `x` times, at each position, the sum of `y` over the windows that hold it."""
    kernel_size, sizes = geometry.kernel_size, ops.shape(x)[1:-1]
    axes = list(zip(sizes, kernel_size, strict=True))
    if kernel_size != geometry.strides or any(not isinstance(n, int) or n % k for n, k in axes):
        return x * _spread(y, geometry, sizes)
    # Windows side by side: broadcasting over blocks saves writing the spread down.
    batch, channels = ops.shape(x)[0], x.shape[-1]
    blocks = [part for n, k in axes for part in (n // k, k)]
    singles = [part for n, k in axes for part in (n // k, 1)]
    product = ops.reshape(x, (batch, *blocks, channels)) * ops.reshape(y, (batch, *singles, channels))
    return ops.reshape(product, ops.shape(x))


def _spread(y: Any, geometry: ConvGeometry, sizes: tuple[Any, ...]) -> Any:
    window, pads, firsts = [], [], []
    for axis, (k, s, size) in enumerate(zip(geometry.kernel_size, geometry.strides, sizes, strict=True), start=1):
        missing = (ops.shape(y)[axis] - 1) * s + k - size  # what "same" has padded
        firsts.append((max(missing, 0) if isinstance(missing, int) else ops.maximum(missing, 0)) // 2)
        y = _stretch(y, axis, k if k <= s else 1, s)
        window.append(k if k > s else 1)
        pads.append((k - 1, k - s) if k > s else (0, 0))
    if max(window) > 1:
        y = average_pool(ops.pad(y, [(0, 0), *pads, (0, 0)]), tuple(window), (1,) * len(window))
        y = y * math.prod(window)
    for axis, (first, size) in enumerate(zip(firsts, sizes, strict=True), start=1):
        y = _fit(y, axis, first, size)
    return y


def _stretch(x: Any, axis: int, copies: int, length: int) -> Any:
    """Return `x` with each entry of one axis written `copies` times, then zeros up to `length`."""
    if copies == length:
        return x if length == 1 else ops.repeat(x, length, axis)
    shape = list(ops.shape(x))
    x = ops.repeat(ops.reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :])), copies, axis + 1)
    x = ops.pad(x, [(0, length - copies if i == axis + 1 else 0) for i in range(len(x.shape))])
    return ops.reshape(x, (*shape[:axis], shape[axis] * length, *shape[axis + 1 :]))


def _fit(x: Any, axis: int, first: Any, size: Any) -> Any:
    """Return `size` entries of one axis from `first` on, zeros where there are no more."""
    missing = first + size - ops.shape(x)[axis]
    if isinstance(missing, int) and missing == 0 and isinstance(first, int) and first == 0:
        return x
    more = max(missing, 0) if isinstance(missing, int) else ops.maximum(missing, 0)
    if not isinstance(more, int) or more:
        x = ops.pad(x, [(0, more if i == axis else 0) for i in range(len(x.shape))])
    return slice_axis(x, axis, first, size)


# === Large p ===


def axis_norms(x: Any, p: float, axis: int) -> Any:
    """Return the p-norms along one axis, which is kept with size 1, each scaled by its own largest magnitude.

    Args:
        x: tensor, float32 or float64.
        p: number >= 1.
        axis: which axis.

    Returns:
        Tensor of the shape of x but for that axis.

    Example:
        >>> from keras import ops
        >>> from layers.pooling.norm_ops import axis_norms
        >>> round(float(axis_norms(ops.convert_to_tensor([[3e-30, 3e-30]]), 200, 1)[0, 0]) * 1e30, 3)
        3.01
    """
    largest = ops.stop_gradient(ops.max(ops.abs(x), (axis,), keepdims=True, initial=0))
    scale = ops.where(largest > 0, largest, ops.ones_like(largest))
    total = ops.sum(power(_divide(x, scale), p), (axis,), keepdims=True)
    return _multiply(root(total, p), scale)


def _norms_of_taps(x: Any, p: float, geometry: ConvGeometry, average: bool) -> Any:
    # Where p is large a few halvings below the largest of its example a value's power is already 0.
    share = _padding_share(x, geometry)
    x = pad(x, geometry)
    windows = zip(ops.shape(x)[1:-1], geometry.kernel_size, geometry.strides, strict=True)
    sizes = [(n - k) // s + 1 for n, k, s in windows]
    taps = []
    for offsets in itertools.product(*map(range, geometry.kernel_size)):
        tap = x
        for axis, (offset, stride, size) in enumerate(zip(offsets, geometry.strides, sizes, strict=True), start=1):
            tap = slice_axis(every(tap, axis, offset, stride), axis, 0, size)
        taps.append(tap)
    norms = ops.squeeze(axis_norms(ops.stack(taps, -1), p, geometry.rank + 2), geometry.rank + 2)
    if not average:
        return norms
    return norms * (1 / geometry.positions if share is None else share / geometry.positions) ** (1 / p)
