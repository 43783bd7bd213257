"""Convolution that reads its input at places of its own choosing."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from ..core.backend import sample_images, sum_into_rows
from ..core.geometry import ConvGeometry, positive_int
from ..core.padding import pad
from ..core.registration import public
from ..core.slicing import slice_axis
from .base_conv import BaseConv
from .conv_ops import convolve

__all__ = ["DeformableConv", "DeformableConv2D", "deformable_convolution"]

# Beyond any image, and small enough to add to a position as an int32.
_FAR = 2.0**20


def deformable_convolution(
    x: Any,
    offsets: Any,
    mask: Any,
    kernel: Any,
    *,
    strides: int | tuple[int, int] = 1,
    padding: str | int | tuple[tuple[int, int], ...] = "valid",
    dilation_rate: int | tuple[int, int] = 1,
    groups: int = 1,
    offset_groups: int = 1,
) -> Any:
    """Convolve, reading the pixel that belongs to a kernel entry at an offset of its own.

    `y[j, f] = sum_{i, c} w[i, c, f] * mask[j, i] * x(j * strides + i * dilation_rate - before + offset[j, i], c)`,
    where `x(p)` between the pixels is bilinear, and every pixel outside the image is 0. These are the semantics of
    `torchvision.ops.deform_conv2d`, channels last.

    Args:
        x: tensor `(batch, height, width, channels)`, floating.
        offsets: tensor `(batch, new height, new width, 2 * offset_groups * kernel height * kernel width)`, in pixels.
            The last axis is laid out as `[offset group][kernel entry, row by row][y, x]`.
        mask: tensor `(batch, new height, new width, offset_groups * kernel height * kernel width)` that the pixels are
            multiplied by, laid out as `[offset group][kernel entry, row by row]`; None for 1 (version 1).
        kernel: tensor `(height, width, channels // groups, filters)`.
        strides: int or (height, width).
        padding: "valid", "same", "full", "causal", an int, or ((top, bottom), (left, right)); with zeros.
        dilation_rate: int or (height, width).
        groups: int; group g of the filters sees group g of the input channels alone.
        offset_groups: int; group g of the input channels is read at group g of the offsets.

    Returns:
        Tensor `(batch, new height, new width, filters)`, of the dtype of `x`.

    Raises:
        ValueError: if an argument breaks its rule, or the shapes do not belong together.

    Example:
        >>> import keras, layers
        >>> x = keras.ops.reshape(keras.ops.arange(4.0), (1, 1, 4, 1))
        >>> half_a_pixel_right = keras.ops.convert_to_tensor([[[[0.0, 0.5]] * 4]])
        >>> y = layers.deformable_convolution(x, half_a_pixel_right, None, keras.ops.ones((1, 1, 1, 1)))
        >>> keras.ops.convert_to_numpy(y).ravel().tolist()
        [0.5, 1.5, 2.5, 1.5]

    Reference:
        Zhu, Hu, Lin and Dai, 2019, "Deformable ConvNets v2: more deformable, better results".
    """
    x, offsets, kernel = (ops.convert_to_tensor(tensor) for tensor in (x, offsets, kernel))
    mask = None if mask is None else ops.convert_to_tensor(mask)
    geometry = ConvGeometry(tuple(kernel.shape[:2]), strides, dilation_rate, padding)  # type: ignore[arg-type]
    groups, offset_groups = positive_int(groups, "groups"), positive_int(offset_groups, "offset_groups")
    _check_shapes(x, offsets, mask, kernel, geometry, groups, offset_groups)
    return _convolve_at(pad(x, geometry), offsets, mask, kernel, geometry, groups, offset_groups)


def _check_shapes(
    x: Any, offsets: Any, mask: Any, kernel: Any, geometry: ConvGeometry, groups: int, offset_groups: int
) -> None:
    channels, filters = x.shape[-1], kernel.shape[-1]
    if kernel.shape[-2] * groups != channels or filters % groups:
        raise ValueError(
            "`kernel` must be (height, width, channels // groups, filters), with `filters` divisible by `groups`. "
            f"Received: kernel of shape {tuple(kernel.shape)}, x of shape {tuple(x.shape)}, {groups=}."
        )
    if channels % offset_groups:
        raise ValueError(
            "The number of input channels must be divisible by `offset_groups`. "
            f"Received: x of shape {tuple(x.shape)}, {offset_groups=}."
        )
    sizes = geometry.output_sizes(tuple(x.shape[1:-1]))
    for name, tensor, each in (("offsets", offsets, 2), ("mask", mask, 1)):
        if tensor is None:
            continue
        want = (x.shape[0], *sizes, each * offset_groups * geometry.positions)
        same = [a is None or b is None or a == b for a, b in zip(tensor.shape, want, strict=False)]
        if len(tensor.shape) != 4 or not all(same):
            raise ValueError(f"`{name}` must have the shape {want}. Received: {name} of shape {tuple(tensor.shape)}.")


def _convolve_at(
    x: Any, offsets: Any, mask: Any, kernel: Any, geometry: ConvGeometry, groups: int, offset_groups: int
) -> Any:
    """Convolve `x`, padded already: one matrix product of all that was read with the kernel."""
    if x.shape[0] == 0:  # there is nothing to read, which not every backend's indexing forgives
        x, offsets, mask = (None if t is None else ops.pad(t, [(0, 1), *[(0, 0)] * 3]) for t in (x, offsets, mask))
        return slice_axis(_convolve_at(x, offsets, mask, kernel, geometry, groups, offset_groups), 0, 0, 0)
    batch, height, width, _ = ops.shape(offsets)
    taps, channels, filters = geometry.positions, x.shape[-1], kernel.shape[-1]
    places = (batch, height, width, offset_groups, taps)
    # Half precision has too few bits for a place in a large image.
    wide = "float64" if keras.backend.standardize_dtype(x.dtype) == "float64" else "float32"
    tensors = [ops.cast(x, wide), ops.cast(ops.reshape(offsets, (*places, 2)), wide)]
    if mask is not None:
        tensors.append(ops.cast(ops.reshape(mask, places), wide))
    samples = ops.cast(_sampler(geometry.strides, geometry.dilation_rate, geometry.kernel_size)(*tensors), x.dtype)
    outputs = batch * height * width
    if groups == 1:  # the small kernel goes into the order of the samples, not the samples into the kernel's
        kernel = ops.reshape(kernel, (taps, offset_groups, channels // offset_groups, filters))
        kernel = ops.reshape(ops.transpose(kernel, (1, 0, 2, 3)), (taps * channels, filters))
        y = ops.matmul(ops.reshape(samples, (outputs, taps * channels)), kernel)
    else:
        if offset_groups > 1:
            samples = ops.transpose(samples, (0, 1, 2, 4, 3, 5))
        columns = ops.reshape(samples, (outputs, taps, groups, channels // groups))
        columns = ops.reshape(ops.transpose(columns, (2, 0, 1, 3)), (groups, outputs, taps * channels // groups))
        kernel = ops.reshape(kernel, (taps * channels // groups, groups, filters // groups))
        y = ops.transpose(ops.matmul(columns, ops.transpose(kernel, (1, 0, 2))), (1, 0, 2))
    return ops.reshape(y, (batch, height, width, filters))


# === Reading between the pixels ===


@functools.cache
def _sampler(strides: tuple[int, ...], dilation_rate: tuple[int, ...], kernel_size: tuple[int, ...]) -> Any:
    """Return the function of image, offsets and mask (or none) that reads, with a gradient of its own.

    The gradient of reading is adding into rows, which as the backend has it costs several times what it must.
    """

    @ops.custom_gradient
    def sample(*tensors: Any) -> tuple[Any, Any]:
        x, offsets, mask = (*tensors, None)[:3]
        first = [_first(offsets, axis, strides, dilation_rate, kernel_size) for axis in (0, 1)]

        def gradient(*args: Any, upstream: Any = None) -> Any:
            return _gradients(x, offsets, mask, first, args[0] if upstream is None else upstream)

        samples = _sample(x, offsets, first)
        return samples if mask is None else samples * ops.expand_dims(mask, -1), gradient

    return sample


def _first(
    offsets: Any, axis: int, strides: tuple[int, ...], dilation_rate: tuple[int, ...], kernel_size: tuple[int, ...]
) -> Any:
    """Return the pixel of each output and kernel entry on an axis, without its offset, as int32."""
    count = ops.shape(offsets)[axis + 1]
    entries = np.indices(kernel_size)[axis].reshape(1, 1, 1, 1, -1) * dilation_rate[axis]
    outputs = ops.arange(count, dtype="int32") * strides[axis]
    return ops.reshape(outputs, (1, count, 1, 1, 1) if axis == 0 else (1, 1, count, 1, 1)) + entries.astype("int32")


def _sample(x: Any, offsets: Any, first: list[Any]) -> Any:
    """Return x at the places, `(batch, new height, new width, offset group, kernel entry, channels of a group)`."""
    shape, size = ops.shape(offsets), ops.shape(x)
    groups = shape[3]
    channels = size[3] // groups
    places = [_along(offsets, axis) + ops.cast(first[axis], x.dtype) for axis in (0, 1)]
    images = x
    if groups > 1:
        images = ops.transpose(ops.reshape(x, (*size[:3], groups, channels)), (0, 3, 1, 2, 4))
        images = ops.reshape(images, (size[0] * groups, size[1], size[2], channels))
    group = ops.reshape(ops.arange(groups, dtype="int32"), (1, 1, 1, groups, 1))
    image = ops.reshape(ops.arange(size[0], dtype="int32"), (size[0], 1, 1, 1, 1)) * groups + group
    samples = sample_images(images, places[0], places[1], ops.broadcast_to(image, shape[:5]))
    if samples is None:
        table, rows, (low, high) = _corners(x, offsets, first)
        samples = sum(
            ops.take(table, rows + step, axis=0) * ops.expand_dims(a * b, -1)
            for step, a, b in _each(x, groups, low, high)
        )
    return ops.reshape(samples, (*shape[:5], channels))


def _gradients(x: Any, offsets: Any, mask: Any, first: list[Any], upstream: Any) -> tuple[Any, ...]:
    shape, size = ops.shape(offsets), ops.shape(x)
    groups = shape[3]
    table, rows, (low, high) = _corners(x, offsets, first)
    corners = _each(x, groups, low, high)
    # What each of the four pixels would give; all else is arithmetic on one number a place.
    values = [ops.sum(ops.take(table, rows + step, axis=0) * upstream, axis=-1) for step, _, _ in corners]
    inside, scale = low[2], 1 if mask is None else mask
    by_y = (low[1] * (values[2] - values[0]) + high[1] * (values[3] - values[1])) * (inside * scale)
    by_x = (low[0] * (values[1] - values[0]) + high[0] * (values[3] - values[2])) * (inside * scale)
    count = shape[0] * shape[1] * shape[2] * groups * shape[4]

    def flat(tensor: Any) -> Any:
        return ops.reshape(tensor, (count,))

    by_table = sum_into_rows(
        ops.reshape(upstream, (count, ops.shape(table)[1])),
        [flat(rows + step) for step, _, _ in corners],
        [flat(a * b * scale) for _, a, b in corners],
        ops.shape(table)[0],
    )
    by_x_image = ops.reshape(by_table, (size[0], size[1] + 2, size[2] + 2, size[3]))
    by_x_image = slice_axis(slice_axis(by_x_image, 1, 1, size[1]), 2, 1, size[2])
    gradients = (by_x_image, ops.stack([by_y, by_x], axis=-1))
    if mask is None:
        return gradients
    return (*gradients, sum(value * a * b for value, (_, a, b) in zip(values, corners, strict=True)))


def _corners(x: Any, offsets: Any, first: list[Any]) -> tuple[Any, Any, tuple[list[Any], list[Any]]]:
    """Return the rows of channels of x in a frame of zeros, the top left row of each place, and the weights.

    The weights are (of the upper row, of the left column, inside) and (of the lower row, of the right column). The
    whole part of a place is a sum of integers, so that its fraction keeps all the bits of the offset's. A place outside
    weighs 0, and its row is one that exists.
    """
    shape, size = ops.shape(offsets), ops.shape(x)
    groups = shape[3]
    low, high, index, inside = [], [], [], []
    for axis in (0, 1):
        offset = ops.clip(_along(offsets, axis), -_FAR, _FAR)
        whole = ops.floor(offset)
        pixel = ops.cast(whole, "int32") + first[axis]
        last = size[axis + 1] - 1
        inside.append(ops.logical_and(pixel >= -1, pixel <= last))
        index.append(ops.clip(pixel, -1, last) + 1)
        high.append(offset - ops.cast(whole, offset.dtype))
        low.append(1 - high[-1])
    within = ops.cast(ops.logical_and(*inside), x.dtype)
    image = ops.reshape(ops.arange(size[0], dtype="int32"), (size[0], 1, 1, 1, 1))
    rows = ((image * (size[1] + 2) + index[0]) * (size[2] + 2) + index[1]) * groups
    rows = rows + ops.reshape(ops.arange(groups, dtype="int32"), (1, 1, 1, groups, 1))
    count = size[0] * (size[1] + 2) * (size[2] + 2) * groups
    table = ops.reshape(ops.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), (count, size[3] // groups))
    return table, rows, ([*low, within], high)


def _each(x: Any, groups: int, low: list[Any], high: list[Any]) -> list[tuple[Any, Any, Any]]:
    """Return (rows on from the top left, weight of the row, weight of the column) of the four pixels."""
    down = (ops.shape(x)[2] + 2) * groups
    top, bottom = low[0] * low[2], high[0] * low[2]
    return [(0, top, low[1]), (groups, top, high[1]), (down, bottom, low[1]), (down + groups, bottom, high[1])]


def _along(offsets: Any, axis: int) -> Any:
    return ops.squeeze(slice_axis(offsets, 5, axis, 1), axis=5)


class DeformableConv(BaseConv):
    """Convolve, each kernel entry reading at an offset that a second convolution predicts.

    `y[j, f] = activation(sum_{i, c} w[i, c, f] * m[j, i] * x(j * strides + i * dilation_rate + o[j, i], c) + b[f])`,
    over the padded `x`, which is bilinear between pixels and 0 beyond its padding. The offsets `o` and, if `modulated`,
    `m = 2 * sigmoid(z)` come from one convolution of the same window, whose weights start at zero. Zhu et al. take
    `sigmoid(z)`; twice that is 1 at the start, so that the layer starts as the plain convolution with its kernel.

    Weights: kernel `(*kernel_size, channels // groups, filters)`, bias `(filters,)`, offset_kernel `(*kernel_size,
    channels, n)`, offset_bias `(n,)`, where n is 2 (modulated: 3) times `offset_groups` times the kernel's entries:
    first `[offset group][kernel entry, row by row][y, x]`, then z as `[offset group][kernel entry]`.

    Args:
        $inherited
        offset_groups: int; group g of the input channels is read at group g of the offsets.
        modulated: whether what is read is multiplied by a predicted number between 0 and 2 (version 2).
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; sizes may be None.

    Output shape:
        `(batch, $new_axes, filters)`, or `(batch, filters, $new_axes)`.

    Raises:
        ValueError: if an argument breaks its rule, or the kernel is larger than the padded input.

    Example:
        >>> import keras, layers
        >>> layer = layers.$name(8, 3, strides=2, padding="same", offset_groups=3)
        >>> layer(keras.ops.ones((1, $n9, 3))).shape == (1, $n5, 8)
        True

    Reference:
        Dai et al., 2017, "Deformable convolutional networks"; Zhu, Hu, Lin and Dai, 2019, "Deformable ConvNets v2: more
        deformable, better results".
    """

    def __init__(self, *args: Any, offset_groups: int = 1, modulated: bool = True, **kwargs: Any) -> None:
        """Check and keep the arguments."""
        super().__init__(*args, **kwargs)
        self.offset_groups = positive_int(offset_groups, "offset_groups")
        self.modulated = bool(modulated)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights for inputs of this shape."""
        super().build(input_shape)
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        if channels % self.offset_groups:  # type: ignore[operator]
            raise ValueError(
                "The number of input channels must be divisible by `offset_groups`. "
                f"Received: offset_groups={self.offset_groups}, input_shape={tuple(input_shape)}."
            )
        predicted = (2 + self.modulated) * self.offset_groups * self.geometry.positions
        shape = (*self.kernel_size, channels, predicted)
        self.offset_kernel = self.add_weight(name="offset_kernel", shape=shape, initializer="zeros")
        self.offset_bias = self.add_weight(name="offset_bias", shape=(predicted,), initializer="zeros")

    def _convolve(self, x: Any, kernel: Any, bias: Any) -> Any:
        if self.flip_kernel:
            kernel = ops.flip(kernel, axis=(0, 1))
        x = self._pad(x)
        offset_kernel = ops.convert_to_tensor(self.offset_kernel)
        predicted = convolve(x, offset_kernel, self.strides, self.dilation_rate, "valid")
        predicted = ops.add(predicted, self.offset_bias)
        entries = self.offset_groups * self.geometry.positions
        offsets, mask = slice_axis(predicted, 3, 0, 2 * entries), None
        if self.modulated:
            mask = 2 * ops.sigmoid(slice_axis(predicted, 3, 2 * entries, entries))
        y = _convolve_at(x, offsets, mask, kernel, self.geometry, self.groups, self.offset_groups)
        return y if bias is None else ops.add(y, bias)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "offset_groups": self.offset_groups, "modulated": self.modulated}


@public
class DeformableConv2D(DeformableConv):
    """Convolve an image, each kernel entry reading at an offset that a second convolution predicts."""

    rank = 2
