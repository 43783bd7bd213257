"""Convolution with holes, in any combination of stride, dilation, groups and padding."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from layers.backend import convolve
from layers.base import BaseConv

__all__ = ["DilatedConv", "DilatedConv2D"]


class DilatedConv(BaseConv):
    """Convolve with one kernel for all positions, at any rank."""

    def _convolve(self, x: Any, kernel: Any, bias: Any) -> Any:
        if self.flip_kernel:
            kernel = ops.flip(kernel, axis=tuple(range(self.rank)))
        padding = "valid"
        if self.geometry.is_zero_same and self.padding_value == 0:
            padding = "same"
        else:
            x = self._pad(x)
        outputs = convolve(x, kernel, self.strides, self.dilation_rate, padding)
        return outputs if bias is None else ops.add(outputs, bias)


@keras.saving.register_keras_serializable(package="cnnapp")
class DilatedConv2D(DilatedConv):
    """Convolve an image with a kernel whose entries lie `dilation_rate` pixels apart.

    `y[j, f] = activation(sum_{i, c} w[i, c, f] * x[j * strides + i * dilation_rate, c] + b[f])`, over the padded `x`.
    Stride and dilation may both exceed 1, which Keras's own layer refuses.

    Args:
        filters: int, output channels.
        kernel_size: int or (height, width).
        strides: int or (height, width). One that does not divide the input leaves the last pixels unread.
        padding: "valid", "same" (`ceil(size / stride)` outputs), "full" (every position with any overlap), "causal"
            (all of it before), an int, or ((top, bottom), (left, right)).
        padding_mode: what the padding holds, as in `numpy.pad`: "constant", "reflect", "symmetric", "edge", "wrap".
        padding_value: what "constant" fills with.
        dilation_rate: int or (height, width).
        groups: int; group g of the filters sees group g of the input channels alone.
        flip_kernel: True for convolution proper, False for cross-correlation.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        activation: name or function; None for none.
        use_bias: whether a bias is added.
        kernel_initializer: for the kernel `(*kernel_size, channels // groups, filters)`.
        bias_initializer: for the bias `(filters,)`.
        kernel_regularizer: as in Keras.
        bias_regularizer: as in Keras.
        activity_regularizer: as in Keras.
        kernel_constraint: as in Keras.
        bias_constraint: as in Keras.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`; height and width may be None.

    Output shape:
        `(batch, new height, new width, filters)`, or `(batch, filters, new height, new width)`.

    Raises:
        ValueError: if an argument breaks its rule, or the kernel is larger than the padded input.

    Example:
        >>> import keras, layers
        >>> layer = layers.DilatedConv2D(8, 3, strides=2, dilation_rate=2, padding="same", padding_mode="reflect")
        >>> layer(keras.ops.ones((1, 9, 9, 3))).shape == (1, 5, 5, 8)
        True

    Reference:
        Yu and Koltun, 2016, "Multi-scale context aggregation by dilated convolutions".
    """

    rank = 2
