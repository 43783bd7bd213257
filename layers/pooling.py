"""Pooling by the p-norm of a window."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from layers.base import channels_last, from_channels_last, normalize_data_format, spatial
from layers.geometry import ConvGeometry, positive_ints
from layers.padding import pad

__all__ = ["L2Pooling2D", "LpPooling", "LpPooling2D"]


class LpPooling(keras.layers.Layer):
    """Pool by the p-norm, at any rank."""

    rank: ClassVar[int]

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
        super().__init__(**kwargs)
        if not isinstance(padding, str) or padding.lower() not in ("valid", "same"):
            raise ValueError(f"`padding` must be 'valid' or 'same'. Received: padding={padding!r}.")
        self.p = _exponent(p)
        self.pool_size = positive_ints(pool_size, self.rank, "pool_size")
        self.strides = self.pool_size if strides is None else positive_ints(strides, self.rank, "strides")
        self.padding = padding.lower()
        self.average = bool(average)
        self.data_format = normalize_data_format(data_format)
        self.geometry = ConvGeometry(self.pool_size, self.strides, padding=self.padding)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Any) -> Any:
        """Return the pooled `inputs`."""
        self._output_sizes(spatial(inputs.shape, self.data_format))
        x = channels_last(inputs, self.data_format)
        dtype = keras.backend.standardize_dtype(x.dtype)
        if dtype in ("float16", "bfloat16"):  # too few bits to sum powers in
            x = ops.cast(x, "float32")
        outputs = ops.cast(self._pool(x), dtype)
        return from_channels_last(outputs, self.data_format)

    def _pool(self, x: Any) -> Any:
        if math.isinf(self.p):
            return ops.max_pool(ops.abs(x), self.pool_size, self.strides, self.padding, "channels_last")
        # Scaling costs two more passes over the input, so it is only run where powers leave the range of the dtype.
        scale, needed = _scale(x, self.p)
        return ops.cond(needed, lambda: _rescale(self._norm(_rescale(x, 1 / scale)), scale), lambda: self._norm(x))

    def _norm(self, x: Any) -> Any:
        powers, padding = _power(x, self.p), self.padding
        if not self.average and padding == "same":
            powers, padding = pad(powers, self.geometry), "valid"
        root = _root(ops.average_pool(powers, self.pool_size, self.strides, padding, "channels_last"), self.p)
        return root if self.average else root * self.geometry.positions ** (1 / self.p)

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
            "p": self.p,
            "strides": self.strides,
            "padding": self.padding,
            "average": self.average,
            "data_format": self.data_format,
        }


def _exponent(p: Any) -> float:
    if not isinstance(p, Real) or isinstance(p, bool) or not float(p) >= 1:
        raise ValueError(f"`p` must be a number >= 1, or infinity. Received: p={p!r}.")
    return float(p)


def _scale(x: Any, p: float) -> tuple[Any, Any]:
    """Return what to divide each example by, `(batch, 1, ...)`, and whether any needs it.

    It is 1, or a power of two near the example's largest magnitude where the p-th power of that would overflow or come
    near to nothing; multiplying by a power of two later undoes the division without rounding.
    """
    limits = np.finfo(keras.backend.standardize_dtype(x.dtype))
    low, high = (float(limits.tiny) * 2.0**40) ** (1 / p), (float(limits.max) * 2.0**-10) ** (1 / p)
    largest = ops.max(ops.abs(ops.stop_gradient(x)), tuple(range(1, len(x.shape))), keepdims=True, initial=0)
    needed = ops.logical_and(largest > 0, ops.logical_or(largest < low, largest > high))
    exponent = ops.floor(ops.log2(ops.clip(largest, 2 * limits.tiny, limits.max / 2)))
    power_of_two = ops.exp2(ops.cast(exponent, x.dtype))  # on JAX floor makes float64 float32
    return ops.where(needed, power_of_two, 1.0), ops.any(needed)


@ops.custom_gradient
def _rescale(x: Any, factor: Any) -> Any:
    """Return `x * factor`, with the gradient of `x` alone.

    The norm's gradient does not depend on the scale, so the factors before and after it cancel; multiplied out, they
    would overflow on the way.
    """

    def gradient(*args: Any, upstream: Any = None) -> Any:
        upstream = args[0] if upstream is None else upstream
        return upstream, ops.zeros_like(factor)

    return x * factor, gradient


def _power(x: Any, p: float) -> Any:
    """Return `|x| ** p`; small whole powers by multiplication, several times faster than the general one."""
    if p == 2:
        return ops.square(x)
    if p == 4:
        return ops.square(ops.square(x))
    x = ops.abs(x)
    if p == 1:
        return x
    return x * ops.square(x) if p == 3 else ops.power(x, p)


def _root(x: Any, p: float) -> Any:
    """Return `x ** (1 / p)` for x >= 0, with the gradient 0 at 0 in place of infinity."""
    if p == 1:
        return x
    tiny = float(np.finfo(keras.backend.standardize_dtype(x.dtype)).tiny)
    if p == 2:
        return ops.sqrt(x + tiny) - math.sqrt(tiny)  # rounds to sqrt(x) but for x near tiny
    above = ops.maximum(x, tiny)
    return ops.where(x > tiny, ops.power(above, 1 / p), 0.0)


@keras.saving.register_keras_serializable(package="cnnapp")
class LpPooling2D(LpPooling):
    """Pool an image by the p-norm of each window.

    `y[j] = (sum_i |x[j * strides + i]| ** p) ** (1 / p)`, or with `average=True` the mean in place of the sum. p = 1
    adds magnitudes, p = 2 measures energy, and p = infinity takes the largest magnitude (in either form). The gradient
    at a window of zeros is 0. Where powers would overflow or vanish, each example is scaled by a power of two first;
    a value more than about `1e-38 ** (1 / p)` times smaller than the largest of its example counts as 0.

    Args:
        pool_size: int or (height, width).
        p: number >= 1, or infinity.
        strides: int or (height, width); None for `pool_size`.
        padding: "valid", or "same" for `ceil(size / stride)` outputs. Padding adds nothing to the sum, and the mean is
            over real pixels alone, as in Keras's average pooling.
        average: whether the mean is taken and not the sum.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`; height and width may be None.

    Output shape:
        `(batch, new height, new width, channels)`, or `(batch, channels, new height, new width)`.

    Raises:
        ValueError: if an argument breaks its rule, or the window is larger than the padded input.

    Example:
        >>> import numpy as np, layers
        >>> layer = layers.LpPooling2D(2, p=1)
        >>> float(layer(np.array([[1, -2], [3, -4]], "float32").reshape(1, 2, 2, 1))[0, 0, 0, 0])
        10.0

    Reference:
        Sermanet, Chintala and LeCun, 2012, "Convolutional neural networks applied to house numbers digit
        classification".
    """

    rank = 2


@keras.saving.register_keras_serializable(package="cnnapp")
class L2Pooling2D(LpPooling2D):
    """Pool an image by the Euclidean norm of each window: `LpPooling2D` with p = 2.

    `y[j] = sqrt(sum_i x[j * strides + i] ** 2)`, or with `average=True` the root of the mean square.

    Args:
        pool_size: int or (height, width).
        strides: int or (height, width); None for `pool_size`.
        padding: "valid" or "same".
        average: whether the mean is taken and not the sum.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`; height and width may be None.

    Output shape:
        `(batch, new height, new width, channels)`, or `(batch, channels, new height, new width)`.

    Raises:
        ValueError: if an argument breaks its rule, or the window is larger than the padded input.

    Example:
        >>> import numpy as np, layers
        >>> layer = layers.L2Pooling2D(2)
        >>> float(layer(np.array([[1, -1], [1, -1]], "float32").reshape(1, 2, 2, 1))[0, 0, 0, 0])
        2.0

    Reference:
        Hyvärinen and Köster, 2007, "Complex cell pooling and the statistics of natural images".
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        strides: int | tuple[int, int] | None = None,
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
