"""Channels first or last, and the precision that sums need."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["at_least_float32", "channels_last", "from_channels_last", "normalize_data_format", "spatial"]


def normalize_data_format(value: str | None) -> str:
    """Return the data format, Keras's own setting for None.

    Raises:
        ValueError: if it is neither "channels_last" nor "channels_first".
    """
    value = keras.config.image_data_format() if value is None else value
    if value not in ("channels_last", "channels_first"):
        raise ValueError(f"`data_format` must be 'channels_last' or 'channels_first'. Received: data_format={value!r}.")
    return value


def spatial(shape: Any, data_format: str) -> tuple[int | None, ...]:
    """Return the sizes between batch and channels."""
    return tuple(shape[1:-1] if data_format == "channels_last" else shape[2:])


def channels_last(x: Any, data_format: str) -> Any:
    """Return `x` with its channels moved to the end, if they are not there."""
    return x if data_format == "channels_last" else ops.transpose(x, (0, *range(2, len(x.shape)), 1))


def from_channels_last(x: Any, data_format: str) -> Any:
    """Return channels-last `x` in `data_format`."""
    return x if data_format == "channels_last" else ops.transpose(x, (0, len(x.shape) - 1, *range(1, len(x.shape) - 1)))


def at_least_float32(x: Any) -> Any:
    """Return `x` in float32 where it is narrower; sums of float16 and bfloat16 need more bits."""
    narrow = keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    return ops.cast(x, "float32") if narrow else x
