"""Normalization across channels, by the energy of those beside."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ..core.data_format import at_least_float32, normalize_data_format
from ..core.geometry import positive_int, positive_number
from ..core.slicing import slice_axis

__all__ = ["LocalResponseNormalization"]


@keras.saving.register_keras_serializable(package="cnnapp")
class LocalResponseNormalization(keras.layers.Layer):
    """Divide each value by the energy of the channels beside it.

    `y[c] = x[c] / (bias + alpha * sum_{|d| <= depth_radius} x[c + d] ** 2) ** beta`, over the channels that exist. The
    defaults are those of the paper. `alpha` multiplies the sum, as in TensorFlow; PyTorch and Caffe multiply the mean
    over a window of `n = 2 * depth_radius + 1`, so their alpha is this one times n.

    Args:
        depth_radius: int >= 0, how many channels on either side count.
        bias: number > 0, k in the paper.
        alpha: number >= 0.
        beta: number >= 0.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, ..., channels)`, or `(batch, channels, ...)`, of any rank; all but the channels may be None.

    Output shape:
        That of the input.

    Raises:
        ValueError: if an argument breaks its rule, or the number of channels is unknown.

    Example:
        >>> import keras, layers
        >>> layer = layers.LocalResponseNormalization(depth_radius=1, bias=1, alpha=1, beta=1)
        >>> [round(float(y), 3) for y in layer(keras.ops.ones((1, 3)))[0]]
        [0.333, 0.25, 0.333]

    Reference:
        Krizhevsky, Sutskever and Hinton, 2012, "ImageNet classification with deep convolutional neural networks".
    """

    def __init__(
        self,
        depth_radius: int = 2,
        bias: float = 2.0,
        alpha: float = 1e-4,
        beta: float = 0.75,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(**kwargs)
        self.depth_radius = positive_int(depth_radius, "depth_radius", 0)
        self.bias = positive_number(bias, "bias")
        self.alpha = positive_number(alpha, "alpha", or_zero=True)
        self.beta = positive_number(beta, "beta", or_zero=True)
        self.data_format = normalize_data_format(data_format)
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check the inputs' shape."""
        if input_shape[self._axis(len(input_shape))] is None:
            raise ValueError(f"The number of channels must be known. Received: input_shape={tuple(input_shape)}.")

    def call(self, inputs: Any) -> Any:
        """Return the normalized `inputs`."""
        x = at_least_float32(inputs)
        axis = self._axis(len(x.shape))
        energy = _window_sum(ops.square(x), axis, min(self.depth_radius, x.shape[axis] - 1))
        outputs = x * _inverse_power(self.bias + self.alpha * energy, self.beta)
        return ops.cast(outputs, inputs.dtype)

    def _axis(self, rank: int) -> int:
        return rank - 1 if self.data_format == "channels_last" else 1

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape for this input's."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("depth_radius", "bias", "alpha", "beta", "data_format")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _window_sum(x: Any, axis: int, radius: int) -> Any:
    """Return the sum over each entry of one axis and `radius` neighbours on either side.

    By doubling: a window of 2 m is two of m side by side, so that n entries cost about log2(n) additions.
    """
    length, remaining = x.shape[axis], 2 * radius + 1
    part = ops.pad(x, [(radius, radius) if i == axis else (0, 0) for i in range(len(x.shape))])
    total, start, width = None, 0, 1
    while True:
        if remaining % 2:
            term = slice_axis(part, axis, start, length)
            total, start = term if total is None else total + term, start + width
        remaining //= 2
        if not remaining:
            return total
        shorter = part.shape[axis] - width
        part = slice_axis(part, axis, 0, shorter) + slice_axis(part, axis, width, shorter)
        width *= 2


def _inverse_power(x: Any, exponent: float) -> Any:
    """Return `x ** -exponent` for x > 0, in ways several times faster than the general power."""
    if exponent == 0.5:
        return ops.rsqrt(x)
    if exponent == 0.75:
        root = ops.rsqrt(x)
        return root * ops.sqrt(root)
    return ops.exp(-exponent * ops.log(x))
