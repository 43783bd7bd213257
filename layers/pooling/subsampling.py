"""LeNet-5's trainable subsampling."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from ..core.padding import pad
from .base_pooling import BasePooling

__all__ = ["Subsampling2D"]


@keras.saving.register_keras_serializable(package="cnnapp")
class Subsampling2D(BasePooling):
    """Add up neighbours, multiply by a trainable coefficient, add a trainable bias: one of each a map.

    `y[j, c] = a[c] * sum_i x[j * strides + i, c] + b[c]`. The coefficient starts at one over the number of neighbours,
    so that the first outputs are the averages.

    Weights: coefficient `(channels,)`, bias `(channels,)`.

    Args:
        pool_size: int or (height, width).
        strides: int or (height, width); None for `pool_size`.
        padding: "valid", or "same" for `ceil(size / stride)` outputs. Padding adds nothing to a sum.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`; sizes may be None.

    Output shape:
        `(batch, new height, new width, channels)`, or `(batch, channels, new height, new width)`.

    Raises:
        ValueError: if an argument breaks its rule, or the window is larger than the padded input.

    Example:
        >>> import keras, layers
        >>> layer = layers.Subsampling2D()
        >>> float(layer(keras.ops.ones((1, 2, 2, 1)))[0, 0, 0, 0])
        1.0

    Reference:
        LeCun, Bottou, Bengio, Haffner, 1998, "Gradient-based learning applied to document recognition", section II.B.
    """

    rank = 2

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        strides: int | tuple[int, int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(pool_size, strides, padding, data_format, **kwargs)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create one coefficient and one bias a map."""
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        share = keras.initializers.Constant(1 / math.prod(self.pool_size))
        self.coefficient = self.add_weight(shape=(channels,), initializer=share, name="coefficient")
        self.bias = self.add_weight(shape=(channels,), initializer="zeros", name="bias")

    def _pool(self, x: Any) -> Any:
        means = ops.average_pool(pad(x, self.geometry), self.pool_size, self.strides, data_format="channels_last")
        total = float(math.prod(self.pool_size)) * means
        return total * ops.cast(self.coefficient, total.dtype) + ops.cast(self.bias, total.dtype)
