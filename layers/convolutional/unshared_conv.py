"""Locally connected convolution: a kernel of its own at every output position."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from ..core.backend import matmul_transposed
from ..core.geometry import ConvGeometry
from ..core.registration import public
from .base_conv import BaseConv

__all__ = ["UnsharedConv", "UnsharedConv1D", "UnsharedConv2D", "UnsharedConv3D"]


class UnsharedConv(BaseConv):
    """Convolve with one kernel for each output position, at any rank.

    `y[j, f] = activation(sum_{i, c} w[j, (i, c), f] * x[j * strides + i * dilation_rate, c] + b[j, f])`, over the
    padded `x`. Use it where what to look for depends on where: aligned faces, spectrograms, fixed cameras.

    Weights: kernel `(*output sizes, prod(kernel_size) * channels // groups, filters)`, bias `(*output sizes, filters)`.
    The initializer sees `(*kernel_size, channels // groups, filters)`, and so draws every kernel with the fans of one.

    Args:
        $inherited
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; all but the batch must be known.

    Output shape:
        `(batch, $new_axes, filters)`, or `(batch, filters, $new_axes)`.

    Raises:
        ValueError: if an argument breaks its rule, or the kernel is larger than the padded input.

    Example:
        >>> import keras, layers
        >>> layer = layers.$name(4, 3)
        >>> layer(keras.ops.ones((1, $n8, 2))).shape == (1, $n6, 4)
        True
        >>> layer.kernel.shape == ($n6, 3**$rank * 2, 4)
        True

    Reference:
        LeCun, 1989, "Generalization and network design strategies".
    """

    def _sites(self, output_sizes: tuple[int | None, ...]) -> tuple[int, ...]:
        return tuple(size for size in output_sizes if size is not None)

    def _kernel_shape(self, sites: tuple[int, ...], site_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*sites, math.prod(site_shape[:-1]), site_shape[-1])

    def _fixed_axes(self, input_shape: tuple[int | None, ...]) -> dict[int, int | None]:
        return dict(enumerate(input_shape[1:], start=1))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights for inputs of this shape."""
        if None in input_shape[1:]:
            raise ValueError(
                "The input's sizes must be known: an unshared convolution has a kernel for every position. "
                f"Received: input_shape={tuple(input_shape)}."
            )
        super().build(input_shape)

    def _convolve(self, x: Any, kernel: Any, bias: Any) -> Any:
        # The location is the batch axis of the matrix product, and the batch lies innermost while patches are put
        # together, so that they are copied in long runs however few the channels.
        rank = self.rank
        patches = self._patches(x, tuple(kernel.shape[:rank]))
        outputs = matmul_transposed(patches, kernel) if self.groups == 1 else self._grouped(patches, kernel)
        if bias is not None:
            # Not ops.add: on TensorFlow it takes (2, 1, 1) beside (2, 2, 1) for a bias of the second axis.
            outputs = outputs + ops.expand_dims(bias, rank)
        return ops.transpose(outputs, (rank, *range(rank), rank + 1))

    def _patches(self, x: Any, sizes: tuple[int, ...]) -> Any:
        """Return `(*sizes, positions * channels, batch)`, row-major, in one copy: what takes the most memory here."""
        geometry = self.geometry
        if geometry.padding_mode == "constant":
            x = self._pad(x)
            geometry = ConvGeometry(geometry.kernel_size, geometry.strides, geometry.dilation_rate)
        inputs, channels, batch = tuple(x.shape[1:-1]), x.shape[-1], ops.shape(x)[0]
        x = ops.transpose(x, (*range(1, self.rank + 2), 0))
        x = ops.reshape(x, (math.prod(inputs), channels * batch))
        patches = ops.take(x, geometry.sources(inputs, self.flip_kernel).astype("int32"), axis=0)
        return ops.reshape(patches, (*sizes, geometry.positions * channels, batch))

    def _grouped(self, patches: Any, kernel: Any) -> Any:
        """Multiply each group of channels with its group of filters."""
        rank, groups, positions = self.rank, self.groups, self.geometry.positions
        sizes = tuple(kernel.shape[:rank])
        batch, channels, filters = ops.shape(patches)[-1], kernel.shape[rank] // positions, self.filters // groups
        axes = tuple(range(rank))
        patches = ops.reshape(patches, (*sizes, positions, groups, channels, batch))
        patches = ops.transpose(patches, (*axes, rank + 1, rank, rank + 2, rank + 3))
        patches = ops.reshape(patches, (*sizes, groups, positions * channels, batch))
        kernel = ops.reshape(kernel, (*sizes, positions * channels, groups, filters))
        kernel = ops.transpose(kernel, (*axes, rank + 1, rank, rank + 2))
        outputs = ops.transpose(matmul_transposed(patches, kernel), (*axes, rank + 1, rank, rank + 2))
        return ops.reshape(outputs, (*sizes, batch, self.filters))


@public
class UnsharedConv1D(UnsharedConv):
    """Convolve a sequence with a kernel of its own at every output position (locally connected)."""

    rank = 1


@public
class UnsharedConv2D(UnsharedConv):
    """Convolve an image with a kernel of its own at every output position (locally connected)."""

    rank = 2


@public
class UnsharedConv3D(UnsharedConv):
    """Convolve a volume with a kernel of its own at every output position (locally connected)."""

    rank = 3
