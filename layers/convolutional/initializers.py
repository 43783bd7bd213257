"""Initial values of kernels that are not shared: every site must look like a kernel of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import initializers, ops

__all__ = ["per_site"]


def per_site(initializer: Callable[..., Any], sites: tuple[int, ...], shape: tuple[int, ...]) -> Callable[..., Any]:
    """Return an initializer that fills one kernel a site, each as `initializer` would fill it alone.

    Fans are those of one site: taken from the whole weight, Glorot's standard deviation would come out too small by
    the square root of the number of sites.

    Args:
        initializer: a Keras initializer or a function `(shape, dtype) -> tensor`. One that draws elements
            independently draws the whole weight at once; any other is called once a site.
        sites: how many kernels there are, an axis at a time; `()` for a single one.
        shape: of the kernel at one site, which the initializer sees: `(*kernel_size, channels // groups, filters)`.

    Returns:
        A function `(shape, dtype) -> tensor`, whose shape may flatten axes of `(*sites, *shape)`.
    """
    if not sites:
        return initializer

    def fill(weight_shape: tuple[int, ...], dtype: Any = None) -> Any:
        whole = (*sites, *shape)
        if isinstance(initializer, initializers.VarianceScaling):
            value = initializer(whole, dtype=dtype) * math.sqrt(_fan(initializer, whole) / _fan(initializer, shape))
        elif isinstance(initializer, _ELEMENTWISE) or _is_scalar_constant(initializer):
            value = initializer(whole, dtype=dtype)
        elif isinstance(initializer, initializers.Orthogonal):
            value = _orthogonal(initializer, sites, shape, dtype)
        elif isinstance(initializer, initializers.Constant) and np.shape(initializer.value) == tuple(weight_shape):
            value = initializer(weight_shape, dtype=dtype)
        else:
            value = ops.stack([initializer(shape, dtype=dtype) for _ in range(math.prod(sites))])
        return ops.reshape(value, weight_shape)

    return fill


_ELEMENTWISE = (
    initializers.Zeros,
    initializers.Ones,
    initializers.RandomNormal,
    initializers.RandomUniform,
    initializers.TruncatedNormal,
)


def _is_scalar_constant(initializer: Callable[..., Any]) -> bool:
    return isinstance(initializer, initializers.Constant) and not np.shape(initializer.value)


def _fan(initializer: initializers.VarianceScaling, shape: tuple[int, ...]) -> float:
    """Return the fan that Keras divides the scale by, for a weight of this shape."""
    field = math.prod(shape[:-2])
    fan_in, fan_out = (shape[-2] * field, shape[-1] * field) if len(shape) > 1 else (shape[0], shape[0])
    return max(1.0, {"fan_in": fan_in, "fan_out": fan_out}.get(initializer.mode, (fan_in + fan_out) / 2))


def _orthogonal(initializer: Any, sites: tuple[int, ...], shape: tuple[int, ...], dtype: Any) -> Any:
    # One batched decomposition: a call a site would repeat the same draw, since initializers hold a fixed seed.
    rows, columns = math.prod(shape[:-1]), shape[-1]
    flat = (math.prod(sites), max(rows, columns), min(rows, columns))
    q, r = ops.qr(keras.random.normal(flat, dtype=dtype, seed=initializer.seed))
    q = q * ops.expand_dims(ops.sign(ops.diagonal(r, axis1=-2, axis2=-1)), -2)
    return initializer.gain * (ops.swapaxes(q, -1, -2) if rows < columns else q)
