"""Convolution with holes, in any combination of stride, dilation, groups and padding."""

from __future__ import annotations

from typing import Any

from keras import ops

from ..core.registration import public
from .base_conv import BaseConv
from .conv_ops import convolve

__all__ = ["DilatedConv", "DilatedConv1D", "DilatedConv2D", "DilatedConv3D"]


class DilatedConv(BaseConv):
    """Convolve with one kernel for all positions, at any rank.

    `y[j, f] = activation(sum_{i, c} w[i, c, f] * x[j * strides + i * dilation_rate, c] + b[f])`, over the padded `x`.
    Stride and dilation may both exceed 1, which Keras's own layer refuses, and the padding may hold anything.

    Weights: kernel `(*kernel_size, channels // groups, filters)`, bias `(filters,)`.

    Args:
        $inherited
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; sizes may be None.

    Output shape:
        `(batch, $new_axes, filters)`, or `(batch, filters, $new_axes)`.

    Raises:
        ValueError: if an argument breaks its rule, or the kernel is larger than the padded input.

    Example:
        >>> import keras, layers
        >>> layer = layers.$name(8, 3, strides=2, dilation_rate=2, padding="same", padding_mode="reflect")
        >>> layer(keras.ops.ones((1, $n9, 3))).shape == (1, $n5, 8)
        True

    Reference:
        Yu and Koltun, 2016, "Multi-scale context aggregation by dilated convolutions".
    """

    def _convolve(self, x: Any, kernel: Any, bias: Any) -> Any:
        if self.flip_kernel:
            kernel = ops.flip(kernel, axis=tuple(range(self.rank)))
        padding: Any = "valid"
        if self.padding_mode != "constant" or self.padding_value != 0:
            x = self._pad(x)
        elif self.padding == "same":
            padding = "same"
        else:
            padding = self.geometry.pads(tuple(x.shape[1:-1]))
        outputs = convolve(x, kernel, self.strides, self.dilation_rate, padding)
        return outputs if bias is None else ops.add(outputs, bias)


@public
class DilatedConv1D(DilatedConv):
    """Convolve a sequence with a kernel whose entries lie `dilation_rate` steps apart."""

    rank = 1


@public
class DilatedConv2D(DilatedConv):
    """Convolve an image with a kernel whose entries lie `dilation_rate` pixels apart."""

    rank = 2


@public
class DilatedConv3D(DilatedConv):
    """Convolve a volume with a kernel whose entries lie `dilation_rate` voxels apart."""

    rank = 3
