"""Pooling by the p-norm of a window, at every rank."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from ..core.padding import pad
from ..core.registration import public
from .base_pooling import BasePooling, exponent
from .norm_ops import window_norms
from .pool_ops import max_pool

__all__ = [
    "L2Pooling",
    "L2Pooling1D",
    "L2Pooling2D",
    "L2Pooling3D",
    "LpPooling",
    "LpPooling1D",
    "LpPooling2D",
    "LpPooling3D",
]


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
