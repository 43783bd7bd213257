"""Convolution by a column and then a row, learned as such."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ..core.data_format import channels_last, from_channels_last, spatial
from ..core.geometry import positive_int
from .base_conv import BaseConv
from .conv_ops import convolve

__all__ = ["LowRankConv2D"]


@keras.saving.register_keras_serializable(package="cnnapp")
class LowRankConv2D(BaseConv):
    """Convolve an image with columns, and what they give with rows.

    `z[j, r] = sum_{i, c} u[i, c, r] * x[j + i * dilation_rate, c]` down the columns, and then
    `y[j, f] = activation(sum_{i, r} v[i, r, f] * z[j + i * dilation_rate, r] + b[f])` along the rows, each with its
    axis's stride. That is a convolution whose kernel, `w[i, k, c, f] = sum_r u[i, c, r] * v[k, r, f]`, has no more
    than `rank` separable parts: `height * rank + width * rank` products a channel and filter in place of their own
    `height * width`. `low_rank_kernels` gives the nearest such layer to a trained convolution.

    Weights: columns `(height, 1, channels // groups, groups * rank)`, rows `(1, width, rank, filters)`,
    bias `(filters,)`.

    Args:
        filters: int, output channels.
        kernel_size: int or (height, width).
        strides: int or (height, width). One that does not divide the input leaves the last positions unread.
        padding: "valid", "same" (`ceil(size / stride)` outputs), "full" (every position with any overlap), "causal"
            (all of it before), an int, or ((top, bottom), (left, right)).
        rank: int, channels between column and row, for every group; None for half the filters of a group.
        padding_mode: what the padding holds, as in `numpy.pad`: "constant", "reflect", "symmetric", "edge", "wrap".
        padding_value: what "constant" fills with.
        dilation_rate: int or (height, width), the distance between neighbouring entries of the kernel.
        groups: int; group g of the filters sees group g of the input channels alone.
        flip_kernel: True for convolution proper, False for cross-correlation.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        activation: name or function; None for none.
        use_bias: whether a bias is added.
        kernel_initializer: as in Keras, of columns and rows.
        bias_initializer: as in Keras.
        kernel_regularizer: as in Keras, of columns and rows.
        bias_regularizer: as in Keras.
        activity_regularizer: as in Keras.
        kernel_constraint: as in Keras, of columns and rows.
        bias_constraint: as in Keras.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`; sizes may be None.

    Output shape:
        `(batch, new height, new width, filters)`, or `(batch, filters, new height, new width)`.

    Raises:
        ValueError: if an argument breaks its rule, or the kernel is larger than the padded input.

    Example:
        >>> import keras, layers
        >>> layer = layers.LowRankConv2D(8, 7, padding="same", rank=2, data_format="channels_last")
        >>> layer(keras.ops.ones((1, 9, 9, 3))).shape == (1, 9, 9, 8), layer.kernel.shape == (7, 7, 3, 8)
        (True, True)

    Reference:
        Jaderberg, Vedaldi and Zisserman, 2014, "Speeding up convolutional neural networks with low rank expansions".
    """

    rank = 2  # of the input, as of every convolution; that of the kernel is `kernel_rank`

    def __init__(self, *args: Any, rank: int | None = None, **kwargs: Any) -> None:
        """Check and keep the arguments."""
        super().__init__(*args, **kwargs)
        each = self.filters // self.groups
        self.kernel_rank = max(1, each // 2) if rank is None else positive_int(rank, "rank")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights for inputs of this shape."""
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        if channels is None or channels % self.groups:
            raise ValueError(
                "The number of input channels must be known and divisible by `groups`. "
                f"Received: groups={self.groups}, input_shape={tuple(input_shape)}."
            )
        height, width = self.kernel_size
        shapes = {
            "columns": (height, 1, channels // self.groups, self.groups * self.kernel_rank),
            "rows": (1, width, self.kernel_rank, self.filters),
        }
        self.columns, self.rows = (
            self.add_weight(
                name=name,
                shape=shape,
                initializer=_copy(self.kernel_initializer),
                regularizer=self.kernel_regularizer,
                constraint=self.kernel_constraint,
            )
            for name, shape in shapes.items()
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.layers.InputSpec(ndim=4, axes=self._fixed_axes(input_shape))

    @property
    def kernel(self) -> Any:
        """The kernel of the convolution that column and row are together, `(height, width, channels, filters)`."""
        height, width = self.kernel_size
        groups, rank = self.groups, self.kernel_rank
        columns = ops.reshape(self.columns, (height, self.columns.shape[2], groups, rank))
        rows = ops.reshape(self.rows, (width, rank, groups, self.filters // groups))
        kernel = ops.einsum("hcgr,wrgf->hwcgf", columns, rows)
        return ops.reshape(kernel, (height, width, self.columns.shape[2], self.filters))

    def call(self, inputs: Any) -> Any:
        """Return the convolution of `inputs`."""
        self.geometry.output_sizes(spatial(inputs.shape, self.data_format))  # refuses sizes that do not fit
        x = self._pad(channels_last(inputs, self.data_format))
        columns, rows = (ops.convert_to_tensor(weights) for weights in (self.columns, self.rows))
        if self.flip_kernel:
            columns, rows = ops.flip(columns, axis=0), ops.flip(rows, axis=1)
        (down, right), (rate_down, rate_right) = self.strides, self.dilation_rate
        x = convolve(x, columns, (down, 1), (rate_down, 1))
        x = convolve(x, rows, (1, right), (1, rate_right))
        outputs = x if self.bias is None else ops.add(x, self.bias)
        return self.activation(from_channels_last(outputs, self.data_format))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "rank": self.kernel_rank}


def _copy(initializer: Any) -> Any:
    """Return an initializer that draws other numbers: the same one gives the same ones twice, if the shapes agree."""
    return initializer.clone() if hasattr(initializer, "clone") else initializer
