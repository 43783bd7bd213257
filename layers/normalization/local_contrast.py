"""Normalization by the neighbourhood in the image."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from ..convolutional.conv_ops import convolve
from ..core.data_format import at_least_float32, channels_last, from_channels_last, normalize_data_format
from ..core.geometry import positive_ints, positive_number
from ..core.registration import public

__all__ = [
    "ContrastNormalization",
    "DivisiveNormalization",
    "DivisiveNormalization1D",
    "DivisiveNormalization2D",
    "DivisiveNormalization3D",
    "LocalContrastNormalization",
    "LocalContrastNormalization1D",
    "LocalContrastNormalization2D",
    "LocalContrastNormalization3D",
    "SubtractiveNormalization",
    "SubtractiveNormalization1D",
    "SubtractiveNormalization2D",
    "SubtractiveNormalization3D",
]


class ContrastNormalization(keras.layers.Layer):
    """Hold the Gaussian window over which an image is compared with its surroundings.

    At borders the weights are divided by their sum over the pixels that exist, so that they add up to 1 everywhere.

    Args:
        kernel_size: odd $ints, the size of the window.
        sigma: number > 0 or one an axis, the standard deviation of the window; None for a quarter of `kernel_size`.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`.
    """

    rank: ClassVar[int]

    def __init__(
        self,
        kernel_size: int | tuple[int, ...] = 9,
        sigma: float | tuple[float, ...] | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(**kwargs)
        self.kernel_size = positive_ints(kernel_size, self.rank, "kernel_size")
        if any(size % 2 == 0 for size in self.kernel_size):
            raise ValueError(f"`kernel_size` must be odd. Received: kernel_size={kernel_size!r}.")
        self.sigma = sigma if sigma is None else _sigmas(sigma, self.rank)
        self.data_format = normalize_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Any) -> Any:
        """Return the normalized `inputs`."""
        return ops.cast(self._normalize(at_least_float32(inputs)), inputs.dtype)

    def _normalize(self, x: Any) -> Any:
        raise NotImplementedError

    def _without_mean(self, x: Any) -> Any:
        return x - self._local_mean(x)

    def _local_mean(self, x: Any) -> Any:
        """Return the weighted mean of every window over all channels, which keep an axis of length 1."""
        # The weights are the same for every channel, so the channels are averaged first, and the rest is cheap.
        mean = _mean(x, (self.rank + 1 if self.data_format == "channels_last" else 1,))
        mean = channels_last(mean, self.data_format)
        once = (1,) * self.rank
        for axis, (size, sigma) in enumerate(zip(self.kernel_size, self.sigma or [None] * self.rank, strict=True)):
            shape, line = [1] * (self.rank + 2), [1] * (self.rank + 2)
            shape[axis], line[axis + 1] = size, ops.shape(mean)[axis + 1]
            kernel = ops.convert_to_tensor(_gaussian(size, sigma).reshape(shape), dtype=mean.dtype)
            present = convolve(ops.ones(line, dtype=mean.dtype), kernel, once, once, "same")
            mean = convolve(mean, kernel, once, once, "same") / present
        return from_channels_last(mean, self.data_format)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape for this input's."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("kernel_size", "sigma", "data_format")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class SubtractiveNormalization(ContrastNormalization):
    """Subtract the local mean, at any rank.

    `y[j, c] = x[j, c] - sum_{i, k} w[i] * x[j + i, k]`, with a Gaussian `w` that adds up to 1 over the window and all
    channels k; at borders it is divided by its sum over the pixels that exist. Equal brightness everywhere gives 0,
    borders included.

    Args:
        $inherited
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; sizes may be None.

    Output shape:
        That of the input.

    Raises:
        ValueError: if an argument breaks its rule.

    Example:
        >>> import keras, layers
        >>> layer = layers.$name(5)
        >>> bool(keras.ops.max(keras.ops.abs(layer(keras.ops.ones((1, $n8, 3))))) < 1e-6)
        True

    Reference:
        Jarrett, Kavukcuoglu, Ranzato and LeCun, 2009, "What is the best multi-stage architecture for object
        recognition?".
    """

    def _normalize(self, x: Any) -> Any:
        return self._without_mean(x)


class DivisiveNormalization(ContrastNormalization):
    """Divide by the local deviation, at any rank.

    `y[j, c] = x[j, c] / max(floor, s[j])` with `s[j] = sqrt(sum_{i, k} w[i] * x[j + i, k] ** 2)` and a Gaussian `w`
    that adds up to 1 over the window and all channels k; at borders it is divided by its sum over the pixels that
    exist. With the default floor, the mean of `s` over the image, scaling the image makes no difference.

    Args:
        kernel_size: odd $ints, the size of the window.
        sigma: number > 0 or one an axis, the standard deviation of the window; None for a quarter of `kernel_size`.
        floor: number > 0, below which nothing is divided by; None for the mean of `s` over each image.
        epsilon: number > 0 that `s` is at least, against division by 0.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; sizes may be None.

    Output shape:
        That of the input.

    Raises:
        ValueError: if an argument breaks its rule.

    Example:
        >>> import keras, layers
        >>> x = keras.ops.ones((1, $n8, 3))
        >>> layer = layers.$name(5)
        >>> bool(keras.ops.max(keras.ops.abs(layer(7 * x) - layer(x))) < 1e-5)
        True

    Reference:
        Jarrett, Kavukcuoglu, Ranzato and LeCun, 2009, "What is the best multi-stage architecture for object
        recognition?".
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, ...] = 9,
        sigma: float | tuple[float, ...] | None = None,
        floor: float | None = None,
        epsilon: float = 1e-6,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(kernel_size, sigma, data_format, **kwargs)
        self.floor = floor if floor is None else positive_number(floor, "floor")
        self.epsilon = positive_number(epsilon, "epsilon")

    def _normalize(self, x: Any) -> Any:
        # Bounded before the root, whose gradient at 0 is infinite.
        deviation = ops.sqrt(ops.maximum(self._local_mean(ops.square(x)), self.epsilon**2))
        floor = self.floor
        if floor is None:  # the axis of the channels has length 1
            floor = _mean(deviation, tuple(range(1, self.rank + 2)))
        return x / ops.maximum(deviation, floor)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "floor": self.floor, "epsilon": self.epsilon}


class LocalContrastNormalization(DivisiveNormalization):
    """Subtract the local mean and divide by the local deviation, at any rank.

    `v[j, c] = x[j, c] - sum_{i, k} w[i] * x[j + i, k]`, then `y[j, c] = v[j, c] / max(floor, s[j])` with
    `s[j] = sqrt(sum_{i, k} w[i] * v[j + i, k] ** 2)`: subtractive and then divisive normalization. The Gaussian `w`
    adds up to 1 over the window and all channels k; at borders it is divided by its sum over the pixels that exist.
    With the default floor, the mean of `s` over the image, its brightness and contrast make no difference.

    Args:
        $inherited
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; sizes may be None.

    Output shape:
        That of the input.

    Raises:
        ValueError: if an argument breaks its rule.

    Example:
        >>> import keras, layers
        >>> x = keras.random.uniform((1, $n8, 3))
        >>> layer = layers.$name(5)
        >>> bool(keras.ops.max(keras.ops.abs(layer(7 * x + 2) - layer(x))) < 1e-3)
        True

    Reference:
        Jarrett, Kavukcuoglu, Ranzato and LeCun, 2009, "What is the best multi-stage architecture for object
        recognition?".
    """

    def _normalize(self, x: Any) -> Any:
        return super()._normalize(self._without_mean(x))


def _sigmas(value: Any, rank: int) -> tuple[float, ...]:
    values = list(value) if isinstance(value, (list, tuple)) else [value] * rank
    try:
        if len(values) == rank:
            return tuple(positive_number(number, "sigma") for number in values)
    except ValueError:
        pass
    raise ValueError(f"`sigma` must be a number > 0, or {rank} of them, one per axis. Received: sigma={value!r}.")


def _gaussian(size: int, sigma: float | None) -> np.ndarray:
    weights = np.exp(-0.5 * ((np.arange(size) - size // 2) / (size / 4 if sigma is None else sigma)) ** 2)
    shares: np.ndarray = weights / weights.sum()
    return shares


def _mean(x: Any, axes: tuple[int, ...]) -> Any:
    # Not ops.mean, which on JAX rounds float64 to float32 on the way.
    count = math.prod(ops.shape(x)[axis] for axis in axes)
    return ops.sum(x, axis=axes, keepdims=True) / ops.cast(count, x.dtype)


@public
class SubtractiveNormalization1D(SubtractiveNormalization):
    """Subtract from a sequence the mean of its surroundings."""

    rank = 1


@public
class SubtractiveNormalization2D(SubtractiveNormalization):
    """Subtract from an image the mean of its surroundings."""

    rank = 2


@public
class SubtractiveNormalization3D(SubtractiveNormalization):
    """Subtract from a volume the mean of its surroundings."""

    rank = 3


@public
class DivisiveNormalization1D(DivisiveNormalization):
    """Divide a sequence by the deviation of its surroundings."""

    rank = 1


@public
class DivisiveNormalization2D(DivisiveNormalization):
    """Divide an image by the deviation of its surroundings."""

    rank = 2


@public
class DivisiveNormalization3D(DivisiveNormalization):
    """Divide a volume by the deviation of its surroundings."""

    rank = 3


@public
class LocalContrastNormalization1D(LocalContrastNormalization):
    """Normalize a sequence by the mean and deviation of its surroundings."""

    rank = 1


@public
class LocalContrastNormalization2D(LocalContrastNormalization):
    """Normalize an image by the mean and deviation of its surroundings."""

    rank = 2


@public
class LocalContrastNormalization3D(LocalContrastNormalization):
    """Normalize a volume by the mean and deviation of its surroundings."""

    rank = 3
