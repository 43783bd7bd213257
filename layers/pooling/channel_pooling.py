"""Pooling across channels: maxout units, and norms over groups of features."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from ..core.data_format import channels_last, from_channels_last, normalize_data_format
from ..core.geometry import positive_int
from .base_pooling import exponent
from .norm_ops import LARGE, axis_norms, mean_norms

__all__ = ["BaseChannelPooling", "ChannelLpPooling", "Maxout"]


class BaseChannelPooling(keras.layers.Layer):
    """Hold what poolings over groups of `pieces` consecutive channels share."""

    def __init__(self, pieces: int, data_format: str | None, **kwargs: Any) -> None:
        """Check and keep the arguments."""
        super().__init__(**kwargs)
        self.pieces = positive_int(pieces, "pieces")
        self.data_format = normalize_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    def _pool(self, x: Any) -> Any:
        """Return `(batch, ..., groups)` for `(batch, ..., groups, pieces)`."""
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        """Return the pooled `inputs`."""
        self.compute_output_shape(tuple(inputs.shape))  # refuses channels that do not divide
        x = channels_last(inputs, self.data_format)
        return from_channels_last(self._pool(x), self.data_format)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape for this input's."""
        axis = len(input_shape) - 1 if self.data_format == "channels_last" else 1
        channels = input_shape[axis]
        if channels is None or channels % self.pieces:
            raise ValueError(
                "The number of input channels must be known and divisible by `pieces`. "
                f"Received: pieces={self.pieces}, input_shape={tuple(input_shape)}."
            )
        return (*input_shape[:axis], channels // self.pieces, *input_shape[axis + 1 :])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "pieces": self.pieces, "data_format": self.data_format}


@keras.saving.register_keras_serializable(package="cnnapp")
class Maxout(BaseChannelPooling):
    """Take the largest of every `pieces` consecutive channels.

    `y[..., g] = max_{i < pieces} x[..., g * pieces + i]`. After a dense layer or a convolution without activation this
    is a maxout unit: an activation that is itself learned, any convex function made of `pieces` straight parts.

    Args:
        pieces: int, channels in a group.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, ..., channels)`, or `(batch, channels, ...)`; any number of axes between, also none.

    Output shape:
        `(batch, ..., channels // pieces)`, or `(batch, channels // pieces, ...)`.

    Raises:
        ValueError: if an argument breaks its rule, or the channels do not divide by `pieces`.

    Example:
        >>> import keras, layers
        >>> layer = layers.Maxout(2, data_format="channels_last")
        >>> [float(y) for y in layer(keras.ops.convert_to_tensor([[1.0, 3.0, -2.0, -5.0]]))[0]]
        [3.0, -2.0]

    Reference:
        Goodfellow, Warde-Farley, Mirza, Courville and Bengio, 2013, "Maxout networks".
    """

    def __init__(self, pieces: int = 2, data_format: str | None = None, **kwargs: Any) -> None:
        """Check and keep the arguments."""
        super().__init__(pieces, data_format, **kwargs)

    def _pool(self, x: Any) -> Any:
        return ops.max(_groups(x, self.pieces), (len(x.shape),), initial=-math.inf)


@keras.saving.register_keras_serializable(package="cnnapp")
class ChannelLpPooling(BaseChannelPooling):
    """Take the p-norm of every `pieces` consecutive channels.

    `y[..., g] = (sum_{i < pieces} |x[..., g * pieces + i]| ** p) ** (1 / p)`. With p = 2 the filters of a group learn
    to span what the unit is to be invariant to, such as phase or a small rotation, as complex cells do. The gradient
    at a group of zeros is 0, and large and small values neither overflow nor vanish.

    Args:
        pieces: int, channels in a group.
        p: number >= 1, or infinity for the largest magnitude.
        average: whether the mean of the powers is taken and not their sum.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, ..., channels)`, or `(batch, channels, ...)`; any number of axes between, also none.

    Output shape:
        `(batch, ..., channels // pieces)`, or `(batch, channels // pieces, ...)`.

    Raises:
        ValueError: if an argument breaks its rule, or the channels do not divide by `pieces`.

    Example:
        >>> import keras, layers
        >>> layer = layers.ChannelLpPooling(2, data_format="channels_last")
        >>> [round(float(y), 3) for y in layer(keras.ops.convert_to_tensor([[3.0, 4.0, 0.0, -2.0]]))[0]]
        [5.0, 2.0]

    Reference:
        Hyvärinen and Hoyer, 2000, "Emergence of phase- and shift-invariant features by decomposition of natural images
        into independent feature subspaces".
    """

    def __init__(
        self, pieces: int = 2, p: float = 2.0, average: bool = False, data_format: str | None = None, **kwargs: Any
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(pieces, data_format, **kwargs)
        self.p = exponent(p)
        self.average = bool(average)

    def _pool(self, x: Any) -> Any:
        dtype = keras.backend.standardize_dtype(x.dtype)
        if dtype in ("float16", "bfloat16"):  # too few bits to sum in
            x = ops.cast(x, "float32")
        return ops.cast(self._norms(_groups(x, self.pieces)), dtype)

    def _norms(self, groups: Any) -> Any:
        axis = len(groups.shape) - 1
        if math.isinf(self.p):
            return ops.max(ops.abs(groups), (axis,), initial=0)
        if self.p > LARGE:
            norms = axis_norms(groups, self.p, axis) * (self.pieces ** (-1 / self.p) if self.average else 1.0)
        else:
            norms = mean_norms(
                groups,
                self.p,
                self.pieces,
                lambda powers: ops.sum(powers, (axis,), keepdims=True) / self.pieces,
                ops.multiply,
                average=self.average,
            )
        return ops.squeeze(norms, axis)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "p": self.p, "average": self.average}


def _groups(x: Any, pieces: int) -> Any:
    shape = ops.shape(x)
    return ops.reshape(x, (*shape[:-1], x.shape[-1] // pieces, pieces))
