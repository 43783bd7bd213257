"""Pooling by the generalized mean, whose exponent is learned."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from ..core.data_format import channels_last, normalize_data_format
from ..core.padding import pad
from ..core.registration import public
from .base_pooling import BasePooling, exponent
from .pool_ops import average_pool

__all__ = [
    "GeMPooling",
    "GeMPooling1D",
    "GeMPooling2D",
    "GeMPooling3D",
    "GlobalGeMPooling",
    "GlobalGeMPooling1D",
    "GlobalGeMPooling2D",
    "GlobalGeMPooling3D",
]


class GeMPooling(BasePooling):
    """Pool by the generalized mean of each window, at any rank.

    `y[j] = (mean_i max(x[j * strides + i], epsilon) ** p) ** (1 / p)`: the mean for p = 1, near the maximum for large
    p. The exponent is a weight and kept >= 1. Magnitudes may be as large as the dtype holds; a mean less than about
    `1e-38 ** (1 / p)` of the largest value of its channel comes out as that.

    Weights: p `()`, or `(channels,)`.

    Args:
        p: number >= 1, where the exponent starts.
        trainable_p: whether the exponent is learned.
        per_channel: whether each channel has an exponent of its own.
        epsilon: number > 0; smaller values of the input count as this, and get no gradient.
        $inherited
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; sizes may be None.

    Output shape:
        `(batch, $new_axes, channels)`, or `(batch, channels, $new_axes)`.

    Raises:
        ValueError: if an argument breaks its rule, or the window is larger than the padded input.

    Example:
        >>> import keras, layers
        >>> layer = layers.$name(2, p=4)
        >>> layer(keras.ops.ones((1, $n4, 5))).shape == (1, $n2, 5), float(layer.p.value)
        (True, 4.0)

    Reference:
        Radenović, Tolias and Chum, 2018, "Fine-tuning CNN image retrieval with no human annotation".
    """

    def __init__(
        self,
        pool_size: int | tuple[int, ...] = 2,
        p: float = 3.0,
        strides: int | tuple[int, ...] | None = None,
        padding: str = "valid",
        trainable_p: bool = True,
        per_channel: bool = False,
        epsilon: float = 1e-6,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(pool_size, strides, padding, data_format, **kwargs)
        self.initial_p, self.epsilon = _finite_exponent(p), _positive(epsilon)
        self.trainable_p, self.per_channel = bool(trainable_p), bool(per_channel)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the exponent for inputs of this shape."""
        self.p = _add_exponent(self, input_shape)

    def _pool(self, x: Any) -> Any:
        powers, scale, p = _scaled_powers(x, self.p, self.epsilon)
        means = average_pool(pad(powers, self.geometry), self.pool_size, self.strides)
        if self.padding == "same":
            ones = pad(ops.ones((1, *ops.shape(x)[1:-1], 1), x.dtype), self.geometry)
            means = means / average_pool(ones, self.pool_size, self.strides)
        return _root(means, p) * scale

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **_config(self)}


@public
class GeMPooling1D(GeMPooling):
    """Pool a sequence by the generalized mean of each window, whose exponent is learned."""

    rank = 1


@public
class GeMPooling2D(GeMPooling):
    """Pool an image by the generalized mean of each window, whose exponent is learned."""

    rank = 2


@public
class GeMPooling3D(GeMPooling):
    """Pool a volume by the generalized mean of each window, whose exponent is learned."""

    rank = 3


class GlobalGeMPooling(keras.layers.Layer):
    """Pool everything between batch and channels by the generalized mean, at any rank.

    `y = (mean_i max(x[i], epsilon) ** p) ** (1 / p)`: global average pooling for p = 1, near global max pooling for
    large p. The exponent is a weight and kept >= 1. Magnitudes may be as large as the dtype holds.

    Weights: p `()`, or `(channels,)`.

    Args:
        p: number >= 1, where the exponent starts.
        trainable_p: whether the exponent is learned.
        per_channel: whether each channel has an exponent of its own.
        epsilon: number > 0; smaller values of the input count as this, and get no gradient.
        keepdims: whether the pooled axes are kept, with size 1.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; sizes may be None.

    Output shape:
        `(batch, channels)`; with `keepdims` `(batch, $n1, channels)`, or `(batch, channels, $n1)`.

    Raises:
        ValueError: if an argument breaks its rule.

    Example:
        >>> import keras, layers
        >>> layer = layers.$name()
        >>> layer(keras.ops.ones((1, $n4, 5))).shape == (1, 5), float(layer.p.value)
        (True, 3.0)

    Reference:
        Radenović, Tolias and Chum, 2018, "Fine-tuning CNN image retrieval with no human annotation".
    """

    rank: ClassVar[int]

    def __init__(
        self,
        p: float = 3.0,
        trainable_p: bool = True,
        per_channel: bool = False,
        epsilon: float = 1e-6,
        keepdims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(**kwargs)
        self.initial_p, self.epsilon = _finite_exponent(p), _positive(epsilon)
        self.trainable_p, self.per_channel = bool(trainable_p), bool(per_channel)
        self.keepdims = bool(keepdims)
        self.data_format = normalize_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the exponent for inputs of this shape."""
        self.p = _add_exponent(self, input_shape)

    def call(self, inputs: Any) -> Any:
        """Return the pooled `inputs`."""
        x = channels_last(inputs, self.data_format)
        dtype = keras.backend.standardize_dtype(x.dtype)
        if dtype in ("float16", "bfloat16"):  # too few bits to sum in
            x = ops.cast(x, "float32")
        powers, scale, p = _scaled_powers(x, self.p, self.epsilon)
        axes = tuple(range(1, self.rank + 1))
        # Not ops.mean, which on JAX makes float64 float32 on the way.
        means = ops.sum(powers, axes) / ops.cast(math.prod(ops.shape(x)[1:-1]), x.dtype)
        y = ops.cast(_root(means, p) * ops.squeeze(scale, axes), dtype)
        if not self.keepdims:
            return y
        return ops.expand_dims(y, axes if self.data_format == "channels_last" else tuple(a + 1 for a in axes))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape for this input's."""
        batch, ones = input_shape[0], (1,) * self.rank if self.keepdims else ()
        if self.data_format == "channels_last":
            return (batch, *ones, input_shape[-1])
        return (batch, input_shape[1], *ones)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **_config(self), "keepdims": self.keepdims, "data_format": self.data_format}


@public
class GlobalGeMPooling1D(GlobalGeMPooling):
    """Pool a whole sequence by the generalized mean, whose exponent is learned."""

    rank = 1


@public
class GlobalGeMPooling2D(GlobalGeMPooling):
    """Pool a whole image by the generalized mean, whose exponent is learned."""

    rank = 2


@public
class GlobalGeMPooling3D(GlobalGeMPooling):
    """Pool a whole volume by the generalized mean, whose exponent is learned."""

    rank = 3


class _AtLeastOne(keras.constraints.Constraint):
    def __call__(self, w: Any) -> Any:
        return ops.maximum(ops.convert_to_tensor(w), 1.0)


def _add_exponent(layer: Any, input_shape: tuple[int | None, ...]) -> Any:
    channels = input_shape[-1 if layer.data_format == "channels_last" else 1]
    if layer.per_channel and channels is None:
        raise ValueError(
            "With `per_channel` the number of input channels must be known. "
            f"Received: input_shape={tuple(input_shape)}."
        )
    return layer.add_weight(
        name="p",
        shape=(channels,) if layer.per_channel else (),
        initializer=keras.initializers.Constant(layer.initial_p),
        constraint=_AtLeastOne(),
        trainable=layer.trainable_p,
        autocast=False,  # half precision would round the exponent
    )


def _scaled_powers(x: Any, p: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Return powers of at most 1, by what their roots are to be multiplied, and the exponent as a tensor."""
    p = ops.cast(ops.convert_to_tensor(p), x.dtype)
    x = ops.maximum(x, ops.cast(epsilon, x.dtype))
    scale = ops.stop_gradient(ops.max(x, tuple(range(1, len(x.shape) - 1)), keepdims=True, initial=0))
    # The mean does not depend on the scale, so that it needs no gradient.
    return ops.exp(p * ops.log(ops.maximum(x / scale, 1e-30))), scale, p


def _root(means: Any, p: Any) -> Any:
    tiny = float(np.finfo(keras.backend.standardize_dtype(means.dtype)).tiny)
    return ops.exp(ops.log(ops.maximum(means, tiny)) / p)


def _config(layer: Any) -> dict[str, Any]:
    return {
        "p": layer.initial_p,
        "trainable_p": layer.trainable_p,
        "per_channel": layer.per_channel,
        "epsilon": layer.epsilon,
    }


def _finite_exponent(p: Any) -> float:
    if math.isinf(exponent(p)):
        raise ValueError(f"`p` must be finite; infinity is max pooling. Received: p={p!r}.")
    return float(p)


def _positive(epsilon: Any) -> float:
    if not isinstance(epsilon, Real) or isinstance(epsilon, bool) or not 0 < float(epsilon) < math.inf:
        raise ValueError(f"`epsilon` must be a number > 0. Received: epsilon={epsilon!r}.")
    return float(epsilon)
