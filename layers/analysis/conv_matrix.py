"""A convolution as the sparse matrix it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from ..convolutional.dilated_conv import DilatedConv
from ..convolutional.tiled_conv import TiledConv
from ..convolutional.unshared_conv import UnsharedConv
from ..core.geometry import ConvGeometry, normalize_padding, positive_int, positive_ints

__all__ = ["convolution_matrix", "convolution_offset"]

_PLAIN = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


def convolution_matrix(
    layer: Any,
    input_shape: Sequence[int],
    *,
    strides: int | tuple[int, ...] = 1,
    padding: str | int | tuple[tuple[int, int], ...] = "valid",
    padding_mode: str = "constant",
    dilation_rate: int | tuple[int, ...] = 1,
    groups: int = 1,
    flip_kernel: bool = False,
    dense: bool = False,
) -> Any:
    """Return the matrix of a convolution.

    `matrix @ x.ravel() + convolution_offset(layer, input_shape) == layer(x).ravel()` for one example `x` with channels
    last, before the activation. The transpose is the gradient by the input: `matrix.T @ dy.ravel() == dx.ravel()`.

    Each row holds one kernel, so the matrix is nearly all zeros. With one channel in and out and stride 1 it is banded
    Toeplitz in one dimension (every diagonal is constant); in two it is doubly block Toeplitz: Toeplitz blocks in a
    Toeplitz arrangement. Padding that wraps round makes Toeplitz circulant; other padding changes the rows at borders.
    A tiled convolution repeats along diagonals only every `tile_shape` rows, an unshared one not at all.

    Args:
        layer: a built layer of the families DilatedConv, TiledConv, UnsharedConv, a built Keras Conv1D, Conv2D, Conv3D,
            DepthwiseConv1D or DepthwiseConv2D; or an array `(*kernel_size, channels // groups, filters)`, or
            `(*kernel_size)` for inputs without channels, which the other arguments go with.
        input_shape: `(*sizes, channels)` of one example, channels last whatever the layer's data format; `(*sizes)` for
            a kernel without channels.
        strides: int, or one an axis.
        padding: "valid", "same", "full", "causal", an int, or one (before, after) pair an axis.
        padding_mode: what the padding holds: "constant" (zeros), "reflect", "symmetric", "edge", "wrap".
        dilation_rate: int, or one an axis.
        groups: int; group g of the filters sees group g of the input channels alone.
        flip_kernel: True for convolution proper, False for cross-correlation.
        dense: whether to return a numpy array, of `outputs * inputs` numbers.

    Returns:
        A `scipy.sparse.csr_array` `(outputs, inputs)` with one entry for each pair of an output and an input that a
        weight joins, zero weights included; of the kernel's dtype, or float32 for narrower ones.

    Raises:
        ValueError: if the layer is of no such family or not built, an argument breaks its rule, or the shapes do not
            fit.

    Example:
        >>> import numpy as np
        >>> from layers.analysis.conv_matrix import convolution_matrix
        >>> convolution_matrix(np.array([1, -1]), (4,), dense=True)
        array([[ 1, -1,  0,  0],
               [ 0,  1, -1,  0],
               [ 0,  0,  1, -1]])

    Reference:
        Goodfellow, Bengio and Courville, 2016, "Deep Learning", chapter 9.
    """
    window = (strides, padding, padding_mode, dilation_rate, groups, flip_kernel)
    if _is_layer(layer) and window != (1, "valid", "constant", 1, 1, False):
        raise ValueError(f"Further arguments apply only to a kernel, not to a layer. Received: {layer!r}, {window}.")
    matrix = _linear(layer, input_shape, *window).matrix()
    return matrix.toarray() if dense else matrix


def convolution_offset(layer: Any, input_shape: Sequence[int]) -> np.ndarray:
    """Return what a convolution gives for an input of zeros: its bias, and what a padding that is not 0 adds.

    Args:
        layer: a built layer, as for `convolution_matrix`.
        input_shape: `(*sizes, channels)` of one example, channels last whatever the layer's data format.

    Returns:
        An array `(outputs,)`.

    Raises:
        ValueError: if the layer is of no such family or not built, or the shapes do not fit.

    Example:
        >>> import layers
        >>> from layers.analysis.conv_matrix import convolution_offset
        >>> layer = layers.DilatedConv1D(1, 3, padding="same", padding_value=1.0, kernel_initializer="ones")
        >>> layer.build((None, 4, 1))
        >>> convolution_offset(layer, (4, 1)).tolist()
        [1.0, 0.0, 0.0, 1.0]
    """
    if not _is_layer(layer):
        raise ValueError(f"`layer` must be a layer; a kernel alone has no offset. Received: layer={layer!r}.")
    return _linear(layer, input_shape).offset()


@dataclass(frozen=True)
class _Linear:
    """A convolution of inputs of one shape.

    `kernel` is `(*period, *kernel_size, channels // groups, filters)` and `bias` `(*period, filters)`: the output at
    position j uses the entry `j mod period`.
    """

    geometry: ConvGeometry
    kernel: np.ndarray
    bias: np.ndarray | None
    groups: int
    flip_kernel: bool
    padding_value: float
    input_shape: tuple[int, ...]

    def matrix(self) -> Any:
        """Return the CSR matrix, whose rows are outputs `(*sizes, filters)` and columns inputs `(*sizes, channels)`."""
        from scipy import sparse

        source, weights = self._sources(), self._weights()
        outputs, filters, _, channels = weights.shape
        first = np.arange(filters) // (filters // self.groups) * channels  # the first channel that each filter sees
        shape = (outputs * filters, math.prod(self.input_shape))
        largest = max(*shape, weights.size)
        dtype = np.int32 if largest < 2**31 else np.int64
        columns = (source * self.input_shape[-1])[:, None, :, None] + first[:, None, None] + np.arange(channels)
        exists = np.broadcast_to((source >= 0)[:, None, :, None], weights.shape)
        counts = np.repeat((source >= 0).sum(1) * channels, filters)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(dtype)
        matrix = sparse.csr_array((weights[exists], columns.astype(dtype)[exists], starts), shape=shape)
        matrix.sum_duplicates()  # repeated pixels in the padding, which then also are in order
        return matrix

    def offset(self) -> np.ndarray:
        """Return the outputs `(*sizes, filters)` for zeros."""
        weights = self._weights()
        offset: np.ndarray = weights.sum(3) @ np.zeros(weights.shape[2], weights.dtype)
        if self.padding_value:
            padded = np.where(self._sources() < 0, self.padding_value, 0).astype(weights.dtype)
            offset = np.einsum("oftc,ot->of", weights, padded)
        if self.bias is not None:
            offset = offset + self.bias.reshape(-1, offset.shape[1])[self._site()]
        return offset.ravel()

    def _sources(self) -> np.ndarray:
        return self.geometry.sources(self.input_shape[:-1], self.flip_kernel)

    def _output_sizes(self) -> list[int]:
        return [size for size in self.geometry.output_sizes(self.input_shape[:-1]) if size is not None]

    def _site(self) -> np.ndarray:
        """Return which kernel each output position uses."""
        rank = self.geometry.rank
        period = self.kernel.shape[:rank]
        site = np.zeros(1, int)
        for size, length in zip(self._output_sizes(), period, strict=True):
            site = np.add.outer(site * length, np.arange(size) % length).ravel()
        return site

    def _weights(self) -> np.ndarray:
        """Return `(outputs, filters, taps, channels // groups)`."""
        rank = self.geometry.rank
        *_, channels, filters = self.kernel.shape
        sites = math.prod(self.kernel.shape[:rank])
        kernels: np.ndarray = self.kernel.reshape(sites, -1, channels, filters).transpose(0, 3, 1, 2)
        weights: np.ndarray = kernels[self._site()]
        return weights


def _linear(layer: Any, input_shape: Sequence[int], *window: Any) -> _Linear:
    shape = tuple(positive_int(size, "input_shape") for size in input_shape)
    linear = _of_layer(layer, shape) if _is_layer(layer) else _of_kernel(layer, shape, *window)
    kernel, rank = linear.kernel, linear.geometry.rank
    if len(linear.input_shape) != rank + 1 or linear.input_shape[-1] != kernel.shape[-2] * linear.groups:
        raise ValueError(
            f"`input_shape` must be {rank} sizes and {kernel.shape[-2] * linear.groups} channels. "
            f"Received: {input_shape=}."
        )
    return linear


def _is_layer(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Layer)


def _of_kernel(
    kernel: Any,
    input_shape: tuple[int, ...],
    strides: Any,
    padding: Any,
    padding_mode: str,
    dilation_rate: Any,
    groups: int,
    flip_kernel: bool,
) -> _Linear:
    kernel = _to_numpy(kernel)
    if kernel.ndim == len(input_shape):
        kernel, input_shape = kernel[..., None, None], (*input_shape, 1)
    rank, groups = kernel.ndim - 2, positive_int(groups, "groups")
    if not 1 <= rank <= 3 or not kernel.size or kernel.shape[-1] % groups:
        raise ValueError(
            "`layer` must be a layer, or an array of one to three axes and then channels // groups and filters, these "
            f"divisible by groups. Received: an array of shape {kernel.shape}, {groups=}."
        )
    geometry = ConvGeometry(
        kernel.shape[:rank],
        positive_ints(strides, rank, "strides"),
        positive_ints(dilation_rate, rank, "dilation_rate"),
        normalize_padding(padding, rank),
        padding_mode,
    )
    shared = kernel.reshape((1,) * rank + kernel.shape)
    return _Linear(geometry, shared, None, groups, bool(flip_kernel), 0.0, input_shape)


def _of_layer(layer: Any, input_shape: tuple[int, ...]) -> _Linear:
    ours = isinstance(layer, (DilatedConv, TiledConv, UnsharedConv))
    if not ours and not isinstance(layer, (*_PLAIN, *_DEPTHWISE)):
        raise ValueError(
            "`layer` must be a DilatedConv, TiledConv or UnsharedConv, a Keras Conv or DepthwiseConv, or an array. "
            f"Received: layer={layer!r}."
        )
    if not layer.built:
        raise ValueError(f"`layer` must be built. Received: layer={layer!r}.")
    rank = len(layer.kernel_size)
    kernel, bias = _to_numpy(layer.kernel), None if layer.bias is None else _to_numpy(layer.bias)
    if ours:
        geometry = layer.geometry
        groups, flip_kernel, padding_value = layer.groups, layer.flip_kernel, layer.padding_value
    else:
        sizes, strides, dilation_rate = (tuple(n) for n in (layer.kernel_size, layer.strides, layer.dilation_rate))
        geometry = ConvGeometry(sizes, strides, dilation_rate, layer.padding)
        groups, flip_kernel, padding_value = getattr(layer, "groups", 1), False, 0.0
    period = (1,) * rank
    if isinstance(layer, TiledConv):
        period = layer.tile_shape
    elif isinstance(layer, UnsharedConv):
        period = kernel.shape[:rank]
        if geometry.output_sizes(input_shape[:-1]) != period:
            raise ValueError(f"`input_shape` must give {period} outputs, as when built. Received: {input_shape=}.")
    channels, filters = kernel.shape[-2:]
    if isinstance(layer, UnsharedConv):
        channels //= geometry.positions
    elif isinstance(layer, _DEPTHWISE):
        channels, groups, filters = 1, channels, channels * filters
    kernel = kernel.reshape(*period, *geometry.kernel_size, channels, filters)
    return _Linear(geometry, kernel, bias, groups, flip_kernel, padding_value, input_shape)


def _to_numpy(x: Any) -> np.ndarray:
    # SciPy has no sparse matrices of float16 and bfloat16.
    if isinstance(x, (np.ndarray, list, tuple, int, float)):
        array = np.asarray(x)
        return array.astype("float32") if array.dtype == "float16" else array
    x = ops.copy(x)  # a Keras variable cannot be read directly without a warning of NumPy 2
    narrow = keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    converted: np.ndarray = ops.convert_to_numpy(ops.cast(x, "float32") if narrow else x)
    return converted
