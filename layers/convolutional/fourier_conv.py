"""Convolution as a product of spectra, for large kernels."""

from __future__ import annotations

import functools
import math
from typing import Any

import keras
import numpy as np
from keras import ops

from ..core.registration import public
from .base_conv import BaseConv

__all__ = ["FourierConv", "FourierConv1D", "FourierConv2D", "FourierConv3D"]


class FourierConv(BaseConv):
    """Convolve through the frequency domain, at any rank.

    `y = activation(F'(sum_c F(x)[c] * conj(F(w))[c, f]) + b[f])`, where F is the discrete Fourier transform of a size
    that holds the padded `x`. The answers are those of `DilatedConv${rank}D` up to rounding;
    the cost hardly depends on the size of the kernel, so that it pays for large ones, above all in training.

    A transform is a product with the matrix of cosines and sines, an axis at a time. It reads no padding at the far
    end, gives the kept outputs alone, and its gradient is another such product: for maps of 64 pixels it is as fast as
    the fast transform, which is faster forward from some 256 pixels on. Half precision is computed in float32.

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
        >>> layer = layers.$name(2, 7, padding="same", padding_mode="wrap")
        >>> layer(keras.ops.ones((1, $n9, 3))).shape == (1, $n9, 2)
        True

    Reference:
        Mathieu, Henaff and LeCun, 2014, "Fast training of convolutional networks through FFTs".
    """

    def _convolve(self, x: Any, kernel: Any, bias: Any) -> Any:
        if self.flip_kernel:
            kernel = ops.flip(kernel, axis=tuple(range(self.rank)))
        x, dtype = self._pad(x), x.dtype
        wide = "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"
        x, kernel = ops.cast(x, wide), ops.cast(kernel, wide)
        sizes = ops.shape(x)[1:-1]
        spectrum = self._spectrum(x, [1] * self.rank, sizes, sizes)
        # The kernel's two last axes go through its transform as one.
        joined = ops.reshape(kernel, (1, *self.kernel_size, kernel.shape[-2] * kernel.shape[-1]))
        weights = self._spectrum(joined, self.dilation_rate, self.kernel_size, sizes)
        y = self._synthesis(_multiply(spectrum, weights, self.groups), sizes)
        y = ops.cast(y, dtype)
        return y if bias is None else ops.add(y, bias)

    def _spectrum(self, x: Any, steps: Any, lengths: Any, sizes: Any) -> Any:
        """Return the transform of real `(batch, *lengths, channels)`, whose entries lie `steps` apart.

        Its shape is `(frequencies, batch, 2, channels)`, the 2 being real and imaginary part. The last frequencies of
        the first axis are left out, as x is real.
        """
        batch, channels = ops.shape(x)[0], x.shape[-1]
        rest = math.prod(lengths) * channels
        lead, halves = batch, []
        for axis, (step, length, size) in enumerate(zip(steps, lengths, sizes, strict=True)):
            cosine, sine = _waves(step, length, size, axis == 0, x.dtype)
            halves.append(ops.shape(cosine)[0])
            rest = rest // length
            if axis == 0:
                matrix = ops.concatenate([cosine, -sine], axis=0)
                x = ops.reshape(x, (lead, length, rest))
            else:
                matrix = ops.concatenate(
                    [ops.concatenate([cosine, sine], axis=1), ops.concatenate([-sine, cosine], axis=1)], axis=0
                )
                x = _swap(x, lead, 2, halves[-2], length * rest)
                lead = lead * halves[-2]
                x = ops.reshape(x, (lead, 2 * length, rest))
            x = ops.matmul(matrix, x)
        before = math.prod(halves[:-1])
        x = ops.transpose(ops.reshape(x, (batch, before, 2, halves[-1], channels)), (1, 3, 0, 2, 4))
        return ops.reshape(x, (before * halves[-1], batch, 2, channels))

    def _synthesis(self, spectrum: Any, sizes: Any) -> Any:
        """Return the outputs that are kept, `(batch, *output sizes, filters)`."""
        _, batch, _, filters = ops.shape(spectrum)
        outputs = [
            (size - extent) // stride + 1
            for size, extent, stride in zip(sizes, self.geometry.extent, self.strides, strict=True)
        ]
        halves = [sizes[0] // 2 + 1, *sizes[1:]]
        before, rest = math.prod(halves[:-1]), filters
        y = ops.reshape(spectrum, (before, halves[-1], batch, 2, filters))
        y = ops.transpose(y, (2, 0, 3, 1, 4))
        for axis in reversed(range(self.rank)):
            cosine, sine = _waves(self.strides[axis], outputs[axis], sizes[axis], axis == 0, y.dtype)
            scale = 1 / ops.cast(sizes[axis], y.dtype)
            cosine, sine = ops.transpose(cosine) * scale, ops.transpose(sine) * scale
            y = ops.reshape(y, (batch * before, 2 * halves[axis], rest))
            if axis == 0:
                # The frequencies left out are the conjugates of those between the first and the middle.
                index = ops.arange(halves[0])
                twice = ops.cast(ops.where((index == 0) | (2 * index == sizes[0]), 1, 2), y.dtype)
                y = ops.matmul(ops.concatenate([cosine * twice, -sine * twice], axis=1), y)
                break
            matrix = ops.concatenate(
                [ops.concatenate([cosine, -sine], axis=1), ops.concatenate([sine, cosine], axis=1)], axis=0
            )
            y, rest = ops.matmul(matrix, y), outputs[axis] * rest
            before = before // halves[axis - 1]
            y = _swap(y, batch * before, halves[axis - 1], 2, rest)
        return ops.reshape(y, (batch, *outputs, filters))


def _multiply(spectrum: Any, weights: Any, groups: int) -> Any:
    """Return the sum over channels of spectrum times conjugate weights, frequency by frequency.

    As one real product of `(real, imaginary)` with `((real, -imaginary), (imaginary, real))`.
    """
    count, batch, _, channels = ops.shape(spectrum)
    channels, each = channels // groups, weights.shape[-1] // channels
    weights = ops.reshape(weights, (count, 2, channels, groups, each))
    real, imaginary = (ops.take(weights, part, axis=1) for part in (0, 1))
    block = ops.concatenate(
        [ops.concatenate([real, -imaginary], axis=-1), ops.concatenate([imaginary, real], axis=-1)], axis=1
    )
    x = ops.reshape(spectrum, (count, batch, 2, groups, channels))
    if groups == 1:
        x, block = ops.reshape(x, (count, batch, 2 * channels)), ops.reshape(block, (count, 2 * channels, 2 * each))
        return ops.reshape(ops.matmul(x, block), (count, batch, 2, each))
    x = ops.reshape(ops.transpose(x, (0, 3, 1, 2, 4)), (count, groups, batch, 2 * channels))
    y = ops.reshape(ops.matmul(x, ops.transpose(block, (0, 2, 1, 3))), (count, groups, batch, 2, each))
    return ops.reshape(ops.transpose(y, (0, 2, 3, 1, 4)), (count, batch, 2, groups * each))


def _swap(x: Any, lead: Any, first: Any, second: Any, rest: Any) -> Any:
    """Return `x` of shape `(lead, first, second, rest)` with the middle axes exchanged."""
    return ops.transpose(ops.reshape(x, (lead, first, second, rest)), (0, 2, 1, 3))


def _waves(step: int, length: Any, size: Any, half: bool, dtype: Any) -> tuple[Any, Any]:
    """Return cosine and sine of `2 pi f i step / size`, frequencies `f` by positions `i < length`."""
    dtype = keras.backend.standardize_dtype(dtype)
    if isinstance(length, int) and isinstance(size, int):
        cosine, sine = _known_waves(step, length, size, half)
        return ops.convert_to_tensor(cosine, dtype), ops.convert_to_tensor(sine, dtype)
    frequencies = ops.arange(size // 2 + 1 if half else size, dtype="int32")
    turns = ops.expand_dims(frequencies, 1) * (ops.arange(length, dtype="int32") * step) % size  # keeps angles small
    angles = ops.cast(turns, dtype) * (2 * math.pi) / ops.cast(size, dtype)
    return ops.cos(angles), ops.sin(angles)


@functools.lru_cache(maxsize=64)
def _known_waves(step: int, length: int, size: int, half: bool) -> tuple[np.ndarray, np.ndarray]:
    turns = np.outer(np.arange(size // 2 + 1 if half else size), np.arange(length) * step) % size
    angles = turns * (2 * math.pi / size)
    return np.cos(angles), np.sin(angles)


@public
class FourierConv1D(FourierConv):
    """Convolve a sequence through the frequency domain."""

    rank = 1


@public
class FourierConv2D(FourierConv):
    """Convolve an image through the frequency domain."""

    rank = 2


@public
class FourierConv3D(FourierConv):
    """Convolve a volume through the frequency domain."""

    rank = 3
