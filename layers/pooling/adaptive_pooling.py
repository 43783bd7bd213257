"""Pooling to a fixed number of windows, whatever the input's size, also where it is only known at run time."""

from __future__ import annotations

from typing import Any, ClassVar

import keras

from ..core.data_format import channels_last, from_channels_last, normalize_data_format, spatial
from ..core.geometry import positive_ints
from ..core.registration import public
from .adaptive_ops import adaptive_average, adaptive_max, adaptive_norm, check_not_empty, in_single
from .base_pooling import exponent

__all__ = [
    "AdaptiveAveragePooling",
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveLpPooling",
    "AdaptiveLpPooling1D",
    "AdaptiveLpPooling2D",
    "AdaptiveLpPooling3D",
    "AdaptiveMaxPooling",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "BaseAdaptivePooling",
]


class BaseAdaptivePooling(keras.layers.Layer):
    """Hold what adaptive poolings of any kind and rank share.

    Args:
        output_size: $ints. It may exceed the input's size.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`.
    """

    rank: ClassVar[int]

    def __init__(self, output_size: int | tuple[int, ...], data_format: str | None = None, **kwargs: Any) -> None:
        """Check and keep the arguments."""
        super().__init__(**kwargs)
        self.output_size = positive_ints(output_size, self.rank, "output_size")
        self.data_format = normalize_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def _pool(self, x: Any) -> Any:
        """Return the pooled channels-last `x`."""
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        """Return the pooled `inputs`."""
        check_not_empty(spatial(inputs.shape, self.data_format))
        return from_channels_last(self._pool(channels_last(inputs, self.data_format)), self.data_format)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape for this input's."""
        check_not_empty(spatial(input_shape, self.data_format))
        if self.data_format == "channels_last":
            return (input_shape[0], *self.output_size, input_shape[-1])
        return (*input_shape[:2], *self.output_size)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "output_size": self.output_size, "data_format": self.data_format}


class AdaptiveAveragePooling(BaseAdaptivePooling):
    """Average over a fixed number of windows, at any rank.

    `y[j] = mean_{i = start(j) .. end(j) - 1} x[i]` on every axis, with `start(j) = floor(j * size / output_size)` and
    `end(j) = ceil((j + 1) * size / output_size)`, as in Keras and PyTorch. Keras's own layer refuses unknown sizes.

    Args:
        $inherited
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; sizes may be None.

    Output shape:
        `(batch, *output_size, channels)`, or `(batch, channels, *output_size)`.

    Raises:
        ValueError: if an argument breaks its rule, or an axis is empty.

    Example:
        >>> import keras, layers
        >>> layer = layers.$name(4, data_format="channels_last")
        >>> layer(keras.ops.ones((1, $n7, 3))).shape == (1, $n4, 3)
        True

    Reference:
        He, Zhang, Ren and Sun, 2014, "Spatial pyramid pooling in deep convolutional networks for visual recognition".
    """

    def _pool(self, x: Any) -> Any:
        return in_single(adaptive_average, x, self.output_size)


@public
class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    """Average a sequence over a fixed number of windows."""

    rank = 1


@public
class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    """Average an image over a fixed number of windows."""

    rank = 2


@public
class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """Average a volume over a fixed number of windows."""

    rank = 3


class AdaptiveMaxPooling(BaseAdaptivePooling):
    """Take the largest entry of each of a fixed number of windows, at any rank.

    `y[j] = max_{i = start(j) .. end(j) - 1} x[i]` on every axis, with `start(j) = floor(j * size / output_size)` and
    `end(j) = ceil((j + 1) * size / output_size)`, as in Keras and PyTorch. Keras's own layer refuses unknown sizes.

    Args:
        $inherited
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; sizes may be None.

    Output shape:
        `(batch, *output_size, channels)`, or `(batch, channels, *output_size)`.

    Raises:
        ValueError: if an argument breaks its rule, or an axis is empty.

    Example:
        >>> import keras, layers
        >>> layer = layers.$name(4, data_format="channels_last")
        >>> layer(keras.ops.ones((1, $n7, 3))).shape == (1, $n4, 3)
        True

    Reference:
        He, Zhang, Ren and Sun, 2014, "Spatial pyramid pooling in deep convolutional networks for visual recognition".
    """

    def _pool(self, x: Any) -> Any:
        return adaptive_max(x, self.output_size)


@public
class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    """Take the largest entry of each of a fixed number of windows of a sequence."""

    rank = 1


@public
class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    """Take the largest entry of each of a fixed number of windows of an image."""

    rank = 2


@public
class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    """Take the largest entry of each of a fixed number of windows of a volume."""

    rank = 3


class AdaptiveLpPooling(BaseAdaptivePooling):
    """Take the p-norm of each of a fixed number of windows, at any rank.

    `y[j] = (mean_{i = start(j) .. end(j) - 1} |x[i]| ** p) ** (1 / p)`, or the sum in place of the mean, with
    `start(j) = floor(j * size / output_size)` and `end(j) = ceil((j + 1) * size / output_size)` on every axis. The mean
    is the default, since the windows differ in size. The gradient at a window of zeros is 0.

    Args:
        p: number >= 1, or infinity for the largest magnitude.
        average: whether the mean is taken and not the sum.
        $inherited
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; sizes may be None.

    Output shape:
        `(batch, *output_size, channels)`, or `(batch, channels, *output_size)`.

    Raises:
        ValueError: if an argument breaks its rule, or an axis is empty.

    Example:
        >>> import keras, layers
        >>> layer = layers.$name(4, p=3, data_format="channels_last")
        >>> layer(keras.ops.ones((1, $n7, 3))).shape == (1, $n4, 3)
        True

    Reference:
        Sermanet, Chintala and LeCun, 2012, "Convolutional neural networks applied to house numbers digit
        classification".
    """

    def __init__(
        self,
        output_size: int | tuple[int, ...],
        p: float = 2.0,
        average: bool = True,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(output_size, data_format, **kwargs)
        self.p = exponent(p)
        self.average = bool(average)

    def _pool(self, x: Any) -> Any:
        return in_single(adaptive_norm, x, self.output_size, self.p, average=self.average)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "p": self.p, "average": self.average}


@public
class AdaptiveLpPooling1D(AdaptiveLpPooling):
    """Take the p-norm of each of a fixed number of windows of a sequence."""

    rank = 1


@public
class AdaptiveLpPooling2D(AdaptiveLpPooling):
    """Take the p-norm of each of a fixed number of windows of an image."""

    rank = 2


@public
class AdaptiveLpPooling3D(AdaptiveLpPooling):
    """Take the p-norm of each of a fixed number of windows of a volume."""

    rank = 3
