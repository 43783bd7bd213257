"""Locally connected convolution: a kernel of its own at every output position."""

from __future__ import annotations

import itertools
import math
from typing import Any

from keras import ops

from layers.base import BaseConv
from layers.publish import public

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
        # The location is the batch axis of the matrix product, so the small input is turned and not the large kernel.
        rank = self.rank
        x = ops.transpose(self._pad(x), (*range(1, rank + 1), 0, rank + 1))
        patches = self._patches(x, tuple(kernel.shape[:rank]))
        outputs = ops.matmul(patches, kernel) if self.groups == 1 else self._grouped(patches, kernel)
        if bias is not None:
            outputs = ops.add(outputs, ops.expand_dims(bias, rank))
        return ops.transpose(outputs, (rank, *range(rank), rank + 1))

    def _patches(self, x: Any, sizes: tuple[int, ...]) -> Any:
        """Return `(*sizes, batch, positions * channels)` from location-major `x`, kernel positions row-major."""
        for axis, (size, stride) in enumerate(zip(sizes, self.strides, strict=True)):
            x = self._split_stride(x, 2 * axis, size, stride)
        # x is now (size_0, stride_0, size_1, stride_1, ..., batch, channels).
        batch, channels = ops.shape(x)[-2:]
        shifts = []
        for position in itertools.product(*map(range, self.kernel_size)):
            start: list[int] = []
            for i, dilation, stride in zip(position, self.dilation_rate, self.strides, strict=True):
                start += divmod(i * dilation, stride)
            shape = [length for size in sizes for length in (size, 1)]
            shift = ops.slice(x, [*start, 0, 0], [*shape, batch, channels])
            shifts.append(ops.reshape(shift, (*sizes, batch, channels)))
        if self.flip_kernel:
            shifts.reverse()
        return ops.concatenate(shifts, axis=-1)

    def _split_stride(self, x: Any, axis: int, size: int, stride: int) -> Any:
        """Split one axis into (blocks, stride), so that a strided read becomes a plain slice."""
        if stride == 1:
            return ops.expand_dims(x, axis + 1)
        extent = self.geometry.extent[axis // 2]
        blocks = size + (extent - 1) // stride
        length = x.shape[axis]
        if length < blocks * stride:
            pads = [(0, 0)] * len(x.shape)
            pads[axis] = (0, blocks * stride - length)
            x = ops.pad(x, pads)
        shape = list(ops.shape(x))
        sizes = shape.copy()
        sizes[axis] = blocks * stride
        x = ops.slice(x, [0] * len(shape), sizes)
        return ops.reshape(x, (*shape[:axis], blocks, stride, *shape[axis + 1 :]))

    def _grouped(self, patches: Any, kernel: Any) -> Any:
        """Multiply each group of channels with its group of filters."""
        rank, groups, positions = self.rank, self.groups, self.geometry.positions
        sizes = tuple(kernel.shape[:rank])
        batch, channels, filters = ops.shape(patches)[rank], kernel.shape[rank] // positions, self.filters // groups
        axes = tuple(range(rank))
        patches = ops.reshape(patches, (*sizes, batch, positions, groups, channels))
        patches = ops.transpose(patches, (*axes, rank + 2, rank, rank + 1, rank + 3))
        patches = ops.reshape(patches, (*sizes, groups, batch, positions * channels))
        kernel = ops.reshape(kernel, (*sizes, positions * channels, groups, filters))
        kernel = ops.transpose(kernel, (*axes, rank + 1, rank, rank + 2))
        outputs = ops.transpose(ops.matmul(patches, kernel), (*axes, rank + 1, rank, rank + 2))
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
