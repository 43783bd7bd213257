"""Spatial pyramid pooling: a vector of one length from inputs of any size."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import keras
from keras import ops

from ..core.data_format import channels_last, normalize_data_format, spatial
from ..core.geometry import positive_ints
from ..core.registration import public
from .adaptive_ops import adaptive_average, adaptive_max, adaptive_norm, check_not_empty, in_single
from .base_pooling import exponent

__all__ = ["SpatialPyramidPooling", "SpatialPyramidPooling1D", "SpatialPyramidPooling2D", "SpatialPyramidPooling3D"]

POOLINGS = ("max", "average", "lp")


class SpatialPyramidPooling(keras.layers.Layer):
    """Pool over grids from coarse to fine, and put all bins one after another, at any rank.

    `y = concatenate(pool(x, level).flatten() for level in levels)`, where a level of m cuts every axis of size n into m
    windows from `floor(j * n / m)` to `ceil((j + 1) * n / m)`. Inputs of any size give a vector of the same length, so
    that a dense layer can follow. Within a level bins run over the axes in order, and channels fastest.

    Args:
        levels: a sequence of $ints.
        pooling: "max", "average", or "lp" for `(mean |x| ** p) ** (1 / p)`.
        p: number >= 1, or infinity; for "lp".
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; sizes may be None.

    Output shape:
        `(batch, bins * channels)`, with bins the sum of the products of the levels.

    Raises:
        ValueError: if an argument breaks its rule, or an axis is empty.

    Example:
        >>> import keras, layers
        >>> layer = layers.$name(levels=(1, 3), data_format="channels_last")
        >>> layer(keras.ops.ones((2, $n7, 5))).shape == (2, (1 + 3**$rank) * 5)
        True

    Reference:
        He, Zhang, Ren and Sun, 2014, "Spatial pyramid pooling in deep convolutional networks for visual recognition".
    """

    rank: ClassVar[int]

    def __init__(
        self,
        levels: tuple[int | tuple[int, ...], ...] = (1, 2, 4),
        pooling: str = "max",
        p: float = 2.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(**kwargs)
        if not isinstance(levels, (list, tuple)) or not levels:
            raise ValueError(f"`levels` must be a sequence of at least one level. Received: levels={levels!r}.")
        if pooling not in POOLINGS:
            raise ValueError(f"`pooling` must be one of {', '.join(POOLINGS)}. Received: pooling={pooling!r}.")
        self.levels = tuple(positive_ints(level, self.rank, "levels") for level in levels)
        self.pooling = pooling
        self.p = exponent(p)
        self.data_format = normalize_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Any) -> Any:
        """Return the pooled `inputs`."""
        check_not_empty(spatial(inputs.shape, self.data_format))
        x = channels_last(inputs, self.data_format)
        batch, channels = ops.shape(x)[0], x.shape[-1]
        bins = [ops.reshape(self._pool(x, level), (batch, math.prod(level) * channels)) for level in self.levels]
        return ops.concatenate(bins, axis=1)

    def _pool(self, x: Any, level: tuple[int, ...]) -> Any:
        if self.pooling == "max":
            return adaptive_max(x, level)
        if self.pooling == "average":
            return in_single(adaptive_average, x, level)
        return in_single(adaptive_norm, x, level, self.p)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape for this input's."""
        check_not_empty(spatial(input_shape, self.data_format))
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        if channels is None:
            raise ValueError(f"The number of input channels must be known. Received: input_shape={input_shape}.")
        return (input_shape[0], sum(map(math.prod, self.levels)) * channels)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "levels": self.levels,
            "pooling": self.pooling,
            "p": self.p,
            "data_format": self.data_format,
        }


@public
class SpatialPyramidPooling1D(SpatialPyramidPooling):
    """Pool a sequence of any length over grids from coarse to fine, to a vector of one length."""

    rank = 1


@public
class SpatialPyramidPooling2D(SpatialPyramidPooling):
    """Pool an image of any size over grids from coarse to fine, to a vector of one length."""

    rank = 2


@public
class SpatialPyramidPooling3D(SpatialPyramidPooling):
    """Pool a volume of any size over grids from coarse to fine, to a vector of one length."""

    rank = 3
