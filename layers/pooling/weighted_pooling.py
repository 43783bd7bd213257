"""Pooling by means with weights that fall off from the window's centre, or any others."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import keras
import numpy as np
from keras import ops

from ..core.padding import pad
from ..core.registration import public
from ..core.slicing import every, slice_axis
from .base_pooling import BasePooling, exponent
from .norm_ops import power, root, scaled_norms

__all__ = [
    "WeightedAveragePooling",
    "WeightedAveragePooling1D",
    "WeightedAveragePooling2D",
    "WeightedAveragePooling3D",
    "WeightedLpPooling",
    "WeightedLpPooling1D",
    "WeightedLpPooling2D",
    "WeightedLpPooling3D",
]


class WeightedAveragePooling(BasePooling):
    """Pool by a weighted mean of each window, at any rank.

    `y[j] = sum_i w[i] * x[j * strides + i]`, with weights that add up to 1. A Gaussian, which has more weight at the
    centre than at the border, shows less of the grid of windows than a plain mean. Where a window reaches into the
    padding, the weights of its real positions are scaled up to add up to 1.

    Args:
        window: "gaussian", or an array `pool_size` of weights >= 0, not all 0, which need not add up to 1.
        sigma: number > 0, or one for each of $axes: the Gaussian's standard deviation in positions; None for
            `pool_size / 4`, which puts the border at two of them.
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
        >>> layer = layers.$name(3, strides=2, padding="same", data_format="channels_last")
        >>> layer(keras.ops.ones((1, $n8, 5))).shape == (1, $n4, 5)
        True

    Reference:
        Sermanet, Chintala and LeCun, 2012, "Convolutional neural networks applied to house numbers digit
        classification".
    """

    def __init__(
        self,
        pool_size: int | tuple[int, ...] = 3,
        window: Any = "gaussian",
        sigma: float | tuple[float, ...] | None = None,
        strides: int | tuple[int, ...] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(pool_size, strides, padding, data_format, **kwargs)
        self.window = window if isinstance(window, str) else np.asarray(window).tolist()
        self.sigma = sigma
        self._weights = _weights(self.window, self.pool_size, sigma)

    def _pool(self, x: Any) -> Any:
        return self._means(x)

    def _means(self, x: Any) -> Any:
        weights, strides = self._weights, self.strides
        means = _correlate(pad(x, self.geometry), weights, strides)
        if self.padding == "valid":
            return means
        real = pad(ops.ones((1, *ops.shape(x)[1:-1], 1), x.dtype), self.geometry)
        # A window may hold nothing but padding and weights of 0.
        return ops.divide_no_nan(means, _correlate(real, weights, strides))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "window": self.window, "sigma": self.sigma}


@public
class WeightedAveragePooling1D(WeightedAveragePooling):
    """Pool a sequence by a weighted mean of each window."""

    rank = 1


@public
class WeightedAveragePooling2D(WeightedAveragePooling):
    """Pool an image by a weighted mean of each window."""

    rank = 2


@public
class WeightedAveragePooling3D(WeightedAveragePooling):
    """Pool a volume by a weighted mean of each window."""

    rank = 3


class WeightedLpPooling(WeightedAveragePooling):
    """Pool by a weighted p-norm of each window, at any rank.

    `y[j] = (sum_i w[i] * |x[j * strides + i]| ** p) ** (1 / p)`, with weights that add up to 1. Where a window reaches
    into the padding, the weights of its real positions are scaled up to add up to 1. The gradient at a window of zeros
    is 0. An example whose powers would overflow or vanish is scaled first; a value more than about `1e-38 ** (1 / p)`
    times smaller than the largest of its example may count as 0.

    Args:
        window: "gaussian", or an array `pool_size` of weights >= 0, not all 0, which need not add up to 1.
        p: number >= 1, not infinity.
        sigma: number > 0, or one for each of $axes: the Gaussian's standard deviation in positions; None for
            `pool_size / 4`, which puts the border at two of them.
        pool_size: $ints.
        strides: $ints; None for `pool_size`.
        padding: "valid", or "same" for `ceil(size / stride)` outputs.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; sizes may be None.

    Output shape:
        `(batch, $new_axes, channels)`, or `(batch, channels, $new_axes)`.

    Raises:
        ValueError: if an argument breaks its rule, or the window is larger than the padded input.

    Example:
        >>> import keras, layers
        >>> layer = layers.$name(3, p=3, strides=2, padding="same", data_format="channels_last")
        >>> layer(keras.ops.ones((1, $n8, 5))).shape == (1, $n4, 5)
        True

    Reference:
        Sermanet, Chintala and LeCun, 2012, "Convolutional neural networks applied to house numbers digit
        classification".
    """

    def __init__(
        self,
        pool_size: int | tuple[int, ...] = 3,
        window: Any = "gaussian",
        p: float = 2.0,
        sigma: float | tuple[float, ...] | None = None,
        strides: int | tuple[int, ...] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(pool_size, window, sigma, strides, padding, data_format, **kwargs)
        self.p = exponent(p)
        if math.isinf(self.p):
            raise ValueError(f"`p` must be finite: at infinity the weights have no effect. Received: p={p!r}.")

    def _pool(self, x: Any) -> Any:
        return scaled_norms(x, self.p, lambda x: root(self._means(power(x, self.p)), self.p))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "p": self.p}


@public
class WeightedLpPooling1D(WeightedLpPooling):
    """Pool a sequence by a weighted p-norm of each window."""

    rank = 1


@public
class WeightedLpPooling2D(WeightedLpPooling):
    """Pool an image by a weighted p-norm of each window."""

    rank = 2


@public
class WeightedLpPooling3D(WeightedLpPooling):
    """Pool a volume by a weighted p-norm of each window."""

    rank = 3


def _weights(window: Any, pool_size: tuple[int, ...], sigma: Any) -> np.ndarray:
    if isinstance(window, str):
        if window != "gaussian":
            raise ValueError(f"`window` must be 'gaussian' or an array of weights. Received: window={window!r}.")
        weights = np.ones(())
        for size, deviation in zip(pool_size, _deviations(sigma, pool_size), strict=True):
            places = np.arange(size) - (size - 1) / 2
            weights = np.multiply.outer(weights, np.exp(-0.5 * (places / deviation) ** 2))
    else:
        if sigma is not None:
            raise ValueError(f"`sigma` applies only to window='gaussian'. Received: sigma={sigma!r}.")
        weights = np.asarray(window, "float64")
        if weights.shape != pool_size or not np.isfinite(weights).all() or (weights < 0).any():
            raise ValueError(
                f"`window` must hold finite weights >= 0 in the shape of `pool_size`, {pool_size}. "
                f"Received: window of shape {weights.shape}, smallest {weights.min(initial=math.inf)}."
            )
    if not weights.sum() > 0:
        raise ValueError("The weights of `window` must not all be 0. Received: weights that add up to 0.")
    shares: np.ndarray = weights / weights.sum()
    return shares


def _deviations(sigma: Any, pool_size: tuple[int, ...]) -> tuple[float, ...]:
    if sigma is None:
        return tuple(size / 4 for size in pool_size)
    values = list(sigma) if isinstance(sigma, (list, tuple)) else [sigma] * len(pool_size)
    numbers = [value for value in values if isinstance(value, Real) and not isinstance(value, bool)]
    if len(numbers) != len(pool_size) or not all(0 < float(number) < math.inf for number in numbers):
        raise ValueError(f"`sigma` must be a number > 0 or {len(pool_size)} of them. Received: sigma={sigma!r}.")
    return tuple(map(float, numbers))


def _correlate(x: Any, weights: np.ndarray, strides: tuple[int, ...]) -> Any:
    """Return the sums of each channel's windows, weighted; `x` is channels last."""
    if len(strides) == 3 or len(set(strides)) > 1:
        return _correlate_by_slices(x, weights, strides)
    if x.shape[0] == 0:  # TensorFlow gets the sizes of an empty batch wrong
        return slice_axis(_correlate(ops.pad(x, [(0, 1)] + [(0, 0)] * len(x.shape[1:])), weights, strides), 0, 0, 0)
    kernel = np.repeat(weights[..., None, None], x.shape[-1], -2)
    kernel = ops.convert_to_tensor(kernel, keras.backend.standardize_dtype(x.dtype))
    return ops.depthwise_conv(x, kernel, strides[0], "valid", "channels_last")


def _correlate_by_slices(x: Any, weights: np.ndarray, strides: tuple[int, ...]) -> Any:
    """Correlate with one slice of the weights at a time, its first axis counted to the batch.

    TensorFlow's depthwise convolution knows neither three axes nor strides that differ.
    """
    shape = ops.shape(x)
    size = (shape[1] - len(weights)) // strides[0] + 1
    total = None
    for place, part in enumerate(weights):
        slices = slice_axis(every(x, 1, place, strides[0]), 1, 0, size)
        sums = _correlate(ops.reshape(slices, (shape[0] * size, *shape[2:])), part, strides[1:])
        total = sums if total is None else total + sums
    return ops.reshape(total, (shape[0], size, *ops.shape(total)[1:]))
