"""Pooling by the p-norm of a window, at every rank."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, ClassVar

import keras
from keras import ops

from layers.convolutional.base_conv import channels_last, from_channels_last, normalize_data_format, spatial
from layers.core.geometry import ConvGeometry, positive_ints
from layers.core.padding import pad
from layers.core.registration import public
from layers.pooling.norm_ops import window_norms
from layers.pooling.pool_ops import max_pool

__all__ = [
    "BasePooling",
    "L2Pooling",
    "L2Pooling1D",
    "L2Pooling2D",
    "L2Pooling3D",
    "LpPooling",
    "LpPooling1D",
    "LpPooling2D",
    "LpPooling3D",
    "exponent",
]


class BasePooling(keras.layers.Layer):
    """Hold the arguments of a pooling of any rank, and everything but the pooling itself.

    A family says in `_pool` what becomes of a window; a class of a family says its `rank`. Everything inside works on
    channels last, in float32 at least.

    Args:
        pool_size: $ints.
        strides: $ints; None for `pool_size`.
        padding: "valid", or "same" for `ceil(size / stride)` outputs. Padding adds nothing to a sum, and a mean is over
            real positions alone, as in Keras's average pooling.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`, `trainable`.

    Raises:
        ValueError: if an argument breaks its rule.
    """

    rank: ClassVar[int]

    def __init__(
        self,
        pool_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] | None,
        padding: str,
        data_format: str | None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(**kwargs)
        if not isinstance(padding, str) or padding.lower() not in ("valid", "same"):
            raise ValueError(f"`padding` must be 'valid' or 'same'. Received: padding={padding!r}.")
        self.pool_size = positive_ints(pool_size, self.rank, "pool_size")
        self.strides = self.pool_size if strides is None else positive_ints(strides, self.rank, "strides")
        self.padding = padding.lower()
        self.data_format = normalize_data_format(data_format)
        self.geometry = ConvGeometry(self.pool_size, self.strides, padding=self.padding)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def _pool(self, x: Any) -> Any:
        """Return the pooled channels-last `x`, of float32 or float64, that is yet to be padded."""
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        """Return the pooled `inputs`."""
        self._output_sizes(spatial(inputs.shape, self.data_format))
        x = channels_last(inputs, self.data_format)
        dtype = keras.backend.standardize_dtype(x.dtype)
        if dtype in ("float16", "bfloat16"):  # too few bits to sum in
            x = ops.cast(x, "float32")
        return from_channels_last(ops.cast(self._pool(x), dtype), self.data_format)

    def _output_sizes(self, sizes: tuple[int | None, ...]) -> tuple[int | None, ...]:
        try:
            return self.geometry.output_sizes(sizes)
        except ValueError:
            raise ValueError(
                f"`pool_size` must not be larger than the input. Received: pool_size={self.pool_size}, "
                f"input sizes {tuple(sizes)}."
            ) from None

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape for this input's."""
        sizes = self._output_sizes(spatial(input_shape, self.data_format))
        if self.data_format == "channels_last":
            return (input_shape[0], *sizes, input_shape[-1])
        return (*input_shape[:2], *sizes)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
        }


def exponent(p: Any, name: str = "p") -> float:
    """Return `p` as a float.

    Raises:
        ValueError: if it is no number >= 1; infinity is one.
    """
    if not isinstance(p, Real) or isinstance(p, bool) or not float(p) >= 1:
        raise ValueError(f"`{name}` must be a number >= 1, or infinity. Received: {name}={p!r}.")
    return float(p)


class LpPooling(BasePooling):
    """Pool by the p-norm of each window, at any rank.

    `y[j] = (sum_i |x[j * strides + i]| ** p) ** (1 / p)`, or with `average=True` the mean in place of the sum. p = 1
    adds magnitudes, p = 2 measures energy, and p = infinity takes the largest magnitude (in either form). The gradient
    at a window of zeros is 0. An example whose powers would overflow or vanish is scaled first; up to p = 16 a value
    more than about `1e-38 ** (1 / p)` times smaller than the largest of its example may count as 0.

    Args:
        p: number >= 1, or infinity.
        average: whether the mean is taken and not the sum.
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
        >>> layer = layers.$name(2, p=1, average=True)
        >>> y = layer(-3 * keras.ops.ones((1, $n4, 5)))
        >>> y.shape == (1, $n2, 5), float(keras.ops.max(y))
        (True, 3.0)

    Reference:
        Sermanet, Chintala and LeCun, 2012, "Convolutional neural networks applied to house numbers digit
        classification".
    """

    def __init__(
        self,
        pool_size: int | tuple[int, ...] = 2,
        p: float = 2.0,
        strides: int | tuple[int, ...] | None = None,
        padding: str = "valid",
        average: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(pool_size, strides, padding, data_format, **kwargs)
        self.p = exponent(p)
        self.average = bool(average)

    def _pool(self, x: Any) -> Any:
        if math.isinf(self.p):
            return max_pool(pad(ops.abs(x), self.geometry), self.pool_size, self.strides)
        return window_norms(x, self.p, self.geometry, average=self.average)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "p": self.p, "average": self.average}


@public
class LpPooling1D(LpPooling):
    """Pool a sequence by the p-norm of each window."""

    rank = 1


@public
class LpPooling2D(LpPooling):
    """Pool an image by the p-norm of each window."""

    rank = 2


@public
class LpPooling3D(LpPooling):
    """Pool a volume by the p-norm of each window."""

    rank = 3


class L2Pooling(LpPooling):
    """Pool by the Euclidean norm of each window, at any rank: Lp pooling with p = 2.

    `y[j] = sqrt(sum_i x[j * strides + i] ** 2)`, or with `average=True` the root of the mean square. The gradient at a
    window of zeros is 0, and large and small values neither overflow nor vanish.

    Args:
        pool_size: $ints.
        strides: $ints; None for `pool_size`.
        padding: "valid", or "same" for `ceil(size / stride)` outputs. Padding adds nothing to a sum, and a mean is over
            real positions alone, as in Keras's average pooling.
        average: whether the mean is taken and not the sum.
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
        >>> layer = layers.$name(2, average=True)
        >>> y = layer(-3 * keras.ops.ones((1, $n4, 5)))
        >>> y.shape == (1, $n2, 5), float(keras.ops.max(y))
        (True, 3.0)

    Reference:
        Hyvärinen and Köster, 2007, "Complex cell pooling and the statistics of natural images".
    """

    def __init__(
        self,
        pool_size: int | tuple[int, ...] = 2,
        strides: int | tuple[int, ...] | None = None,
        padding: str = "valid",
        average: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(pool_size, 2.0, strides, padding, average, data_format, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        del config["p"]
        return config


@public
class L2Pooling1D(L2Pooling):
    """Pool a sequence by the Euclidean norm of each window: `LpPooling1D` with p = 2."""

    rank = 1


@public
class L2Pooling2D(L2Pooling):
    """Pool an image by the Euclidean norm of each window: `LpPooling2D` with p = 2."""

    rank = 2


@public
class L2Pooling3D(L2Pooling):
    """Pool a volume by the Euclidean norm of each window: `LpPooling3D` with p = 2."""

    rank = 3
