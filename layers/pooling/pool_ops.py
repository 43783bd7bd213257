"""Average and max pooling of whole windows, also of volumes in float64, which TensorFlow's own lack on a CPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

__all__ = ["average_pool", "max_pool"]


def average_pool(x: Any, pool_size: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """Return the mean of every whole window.

    Args:
        x: tensor `(batch, *sizes, channels)`, floating.
        pool_size: one int an axis.
        strides: likewise.

    Returns:
        Tensor `(batch, *output sizes, channels)`.

    Example:
        >>> from keras import ops
        >>> from layers.pooling.pool_ops import average_pool
        >>> float(average_pool(ops.ones((1, 2, 2, 2, 1), "float64"), (2, 2, 2), (2, 2, 2))[0, 0, 0, 0, 0])
        1.0
    """
    return _pool(ops.average_pool, x, pool_size, strides)


def max_pool(x: Any, pool_size: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """Return the largest entry of every whole window.

    Args:
        x: tensor `(batch, *sizes, channels)`, floating.
        pool_size: one int an axis.
        strides: likewise.

    Returns:
        Tensor `(batch, *output sizes, channels)`.

    Example:
        >>> from keras import ops
        >>> from layers.pooling.pool_ops import max_pool
        >>> float(max_pool(ops.ones((1, 2, 2, 2, 1), "float64"), (2, 2, 2), (2, 2, 2))[0, 0, 0, 0, 0])
        1.0
    """
    return _pool(ops.max_pool, x, pool_size, strides)


def _pool(pool: Callable[..., Any], x: Any, pool_size: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    if len(pool_size) < 3 or keras.backend.standardize_dtype(x.dtype) != "float64":
        return pool(x, pool_size, strides, "valid", "channels_last")
    batch, depth, *sizes, channels = ops.shape(x)
    x = ops.reshape(x, (batch * depth, *sizes, channels))  # each slice an image
    x = pool(x, pool_size[1:], strides[1:], "valid", "channels_last")
    sizes = list(ops.shape(x)[1:-1])
    x = ops.reshape(x, (batch, depth, math.prod(sizes), channels))
    x = pool(x, (pool_size[0], 1), (strides[0], 1), "valid", "channels_last")
    return ops.reshape(x, (batch, ops.shape(x)[1], *sizes, channels))
