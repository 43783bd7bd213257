"""Hand-designed kernels: blur, sharpen, edges, derivatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import keras
import numpy as np
from keras import ops

from ..core.data_format import channels_last, from_channels_last, normalize_data_format, spatial
from ..core.geometry import ConvGeometry, normalize_padding, positive_ints
from ..core.padding import pad
from ..core.slicing import slice_axis
from .conv_ops import convolve

__all__ = [
    "FILTER_NAMES",
    "FilterBank2D",
    "FilterInitializer",
    "filter_kernel",
    "gaussian_kernel",
    "laplacian_of_gaussian_kernel",
]

_SMOOTH = {"sobel": [1, 2, 1], "scharr": [3, 10, 3], "prewitt": [1, 1, 1]}
_BLUR = [[1, 4, 7, 4, 1], [4, 16, 26, 16, 4], [7, 26, 41, 26, 7], [4, 16, 26, 16, 4], [1, 4, 7, 4, 1]]

_KERNELS: dict[str, np.ndarray] = {
    "identity": np.array([[1.0]]),
    "gaussian_blur": np.array(_BLUR) / 273,
    "box_blur": np.full((3, 3), 1 / 9),
    "sharpen": np.array([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "edges": np.array([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    "laplacian": np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "difference_x": np.array([[1.0, -1]]),
    "difference_y": np.array([[1.0], [-1]]),
    **{f"{name}_x": np.outer(smooth, [-1.0, 0, 1]) for name, smooth in _SMOOTH.items()},
    **{f"{name}_y": np.outer([-1.0, 0, 1], smooth) for name, smooth in _SMOOTH.items()},
}

FILTER_NAMES = tuple(_KERNELS)

Filter = str | Sequence[Any] | np.ndarray


def filter_kernel(name: str) -> np.ndarray:
    """Return a kernel of the textbooks by its name.

    - "identity": 1 x 1;
    - "gaussian_blur": 5 x 5, whole numbers divided by their sum 273; "box_blur": 3 x 3 of 1/9;
    - "sharpen": the image less its 4-neighbour Laplacian;
    - "edges": 8 in the middle and -1 around; "laplacian": -4 in the middle and 1 at its four neighbours;
    - "difference_x": [1, -1] along the width; "difference_y": the same along the height;
    - "sobel_x", "scharr_x", "prewitt_x" and their "_y": whole numbers, not divided by anything.

    They are written for cross-correlation, in which the Sobel, Scharr and Prewitt kernels are positive where brightness
    rises to the right ("_x") or downwards ("_y"). The differences alone come from convolution proper: turned round,
    they subtract from each pixel the one before, and as they stand the one after.

    Args:
        name: one of `FILTER_NAMES`.

    Returns:
        A new float64 array `(height, width)`.

    Raises:
        ValueError: if there is no kernel of this name.

    Example:
        >>> from layers.convolutional.filter_bank import filter_kernel
        >>> (filter_kernel("gaussian_blur") * 273).round().astype(int)[2].tolist()
        [7, 26, 41, 26, 7]

    Reference:
        Goodfellow, Bengio and Courville, 2016, "Deep Learning", chapter 9.
    """
    if not isinstance(name, str) or name not in _KERNELS:
        raise ValueError(f"`name` must be one of {', '.join(FILTER_NAMES)}. Received: name={name!r}.")
    return _KERNELS[name].copy()


def gaussian_kernel(size: int | tuple[int, int], *, sigma: float | None = None) -> np.ndarray:
    """Return a Gaussian, sampled at the pixels and divided by its sum.

    Args:
        size: int or (height, width).
        sigma: number > 0, the standard deviation in pixels; None for a quarter of the smaller side.

    Returns:
        A float64 array `(height, width)` that adds up to 1.

    Raises:
        ValueError: if an argument breaks its rule.

    Example:
        >>> from layers.convolutional.filter_bank import gaussian_kernel
        >>> gaussian_kernel((1, 3), sigma=1.0).round(3).tolist()
        [[0.274, 0.452, 0.274]]
    """
    squares, sigma = _squared_distances(size, sigma)
    weights = np.exp(-squares / (2 * sigma**2))
    shares: np.ndarray = weights / weights.sum()
    return shares


def laplacian_of_gaussian_kernel(size: int | tuple[int, int], *, sigma: float | None = None) -> np.ndarray:
    """Return the Laplacian of a Gaussian, `(d² / sigma**4 - 2 / sigma**2) * gaussian` at the distance d.

    What the cut at the border leaves is taken off evenly, so that equal brightness gives exactly 0.

    Args:
        size: int or (height, width).
        sigma: number > 0, the standard deviation in pixels; None for a quarter of the smaller side.

    Returns:
        A float64 array `(height, width)` that adds up to 0, negative in the middle.

    Raises:
        ValueError: if an argument breaks its rule.

    Example:
        >>> from layers.convolutional.filter_bank import laplacian_of_gaussian_kernel
        >>> kernel = laplacian_of_gaussian_kernel(9, sigma=1.4)
        >>> bool(kernel[4, 4] < 0 < kernel[4, 7])
        True

    Reference:
        Marr and Hildreth, 1980, "Theory of edge detection".
    """
    gaussian = gaussian_kernel(size, sigma=sigma)
    squares, sigma = _squared_distances(size, sigma)
    weights = (squares / sigma**4 - 2 / sigma**2) * gaussian
    centred: np.ndarray = weights - weights.mean()
    return centred


@keras.saving.register_keras_serializable(package="cnnapp")
class FilterInitializer(keras.initializers.Initializer):
    """Start a convolution from hand-designed kernels.

    `kernel[:, :, c, f] = filters[f mod n] / channels`, so that each output channel is the mean over the input channels
    of that filter's response; smaller kernels stand in the middle of larger ones. For one-dimensional or volumetric
    convolutions give arrays of that rank.

    Args:
        filters: a name of `FILTER_NAMES`, or a sequence of names and arrays.
        average: False to give every input channel the whole kernel; depthwise convolutions need that.
        flip_kernel: whether the kernels are turned round, for convolution proper in layers that correlate.

    Raises:
        ValueError: if an argument breaks its rule, or the weights to be filled are too small or too few for `filters`.

    Example:
        >>> import keras
        >>> from layers.convolutional.filter_bank import FilterInitializer
        >>> start = FilterInitializer(["sobel_x", "sobel_y"])
        >>> layer = keras.layers.Conv2D(8, 5, kernel_initializer=start)
        >>> layer(keras.ops.ones((1, 9, 9, 3))).shape == (1, 5, 5, 8)
        True
    """

    def __init__(self, filters: Filter | Sequence[Filter], average: bool = True, flip_kernel: bool = False) -> None:
        """Check and keep the arguments."""
        self.filters = _normalize_filters(filters)
        self.average = bool(average)
        self.flip_kernel = bool(flip_kernel)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Return a tensor `(*kernel_size, channels, filters)`."""
        *sizes, channels, outputs = shape
        if outputs < len(self.filters):
            raise ValueError(f"`filters` must not be more than the outputs. Received: {self.filters=}, {shape=}.")
        kernels = _stack(self.filters, tuple(sizes), self.flip_kernel)[..., np.arange(outputs) % len(self.filters)]
        weights = np.repeat(kernels[..., None, :], channels, axis=-2) / (channels if self.average else 1)
        return ops.convert_to_tensor(weights, dtype=dtype or keras.config.floatx())

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"filters": self.filters, "average": self.average, "flip_kernel": self.flip_kernel}


@keras.saving.register_keras_serializable(package="cnnapp")
class FilterBank2D(keras.layers.Layer):
    """Filter every channel of an image with fixed kernels.

    `y[j, c * n + f] = sum_i w[f][i] * x[j * strides + i * dilation_rate, c]`, over the padded `x`, with n filters w.
    All filters of the first channel come first, as in `keras.layers.DepthwiseConv2D`. Smaller kernels stand in the
    middle of larger ones. There is nothing to train; the gradient goes through to the input. What SciPy calls the mode
    "reflect" is "symmetric" here and in numpy, its "mirror" is "reflect", its "nearest" is "edge".

    Args:
        filters: a name of `FILTER_NAMES`, or a sequence of names and arrays `(height, width)`.
        strides: int or (height, width).
        padding: "valid", "same" (`ceil(size / stride)` outputs), "full" (every position with any overlap), "causal"
            (all of it before), an int, or ((top, bottom), (left, right)).
        padding_mode: what the padding holds, as in `numpy.pad`: "constant" (zeros), "reflect", "symmetric", "edge",
            "wrap".
        dilation_rate: int or (height, width), the distance between neighbouring entries of the kernels.
        flip_kernel: True for convolution proper, False for cross-correlation.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`; height and width may be None.

    Output shape:
        `(batch, new height, new width, channels * n)`, or `(batch, channels * n, new height, new width)`.

    Raises:
        ValueError: if an argument breaks its rule, the kernels are larger than the padded input, or the number of
            channels is unknown.

    Example:
        >>> import keras, layers
        >>> ramp = keras.ops.reshape(keras.ops.arange(5, dtype="float32"), (1, 1, 5, 1)) * keras.ops.ones((1, 5, 1, 1))
        >>> y = layers.FilterBank2D(["sobel_x", "sobel_y"])(ramp)
        >>> [float(value) for value in y[0, 2, 2]]
        [8.0, 0.0]

    Reference:
        Goodfellow, Bengio and Courville, 2016, "Deep Learning", chapter 9.
    """

    def __init__(
        self,
        filters: Filter | Sequence[Filter] = ("sobel_x", "sobel_y"),
        strides: int | tuple[int, int] = 1,
        padding: str | int | tuple[tuple[int, int], tuple[int, int]] = "same",
        padding_mode: str = "reflect",
        dilation_rate: int | tuple[int, int] = 1,
        flip_kernel: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(**kwargs)
        self.filters = _normalize_filters(filters)
        self.flip_kernel = bool(flip_kernel)
        kernels = [_array(chosen) for chosen in self.filters]
        if any(kernel.ndim != 2 for kernel in kernels):
            raise ValueError(f"`filters` must hold arrays of two axes. Received: filters={filters!r}.")
        kernel_size = (max(kernel.shape[0] for kernel in kernels), max(kernel.shape[1] for kernel in kernels))
        self.geometry = ConvGeometry(
            kernel_size,
            positive_ints(strides, 2, "strides"),
            positive_ints(dilation_rate, 2, "dilation_rate"),
            normalize_padding(padding, 2),
            padding_mode,
        )
        self.data_format = normalize_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=4)
        self._kernels = _stack(self.filters, kernel_size, self.flip_kernel)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check the inputs' shape."""
        if input_shape[-1 if self.data_format == "channels_last" else 1] is None:
            raise ValueError(f"The number of channels must be known. Received: input_shape={tuple(input_shape)}.")
        self.geometry.output_sizes(spatial(input_shape, self.data_format))

    def call(self, inputs: Any) -> Any:
        """Return the filtered `inputs`."""
        self.geometry.output_sizes(spatial(inputs.shape, self.data_format))
        x = pad(channels_last(inputs, self.data_format), self.geometry)
        return from_channels_last(self._filter(x), self.data_format)

    def _filter(self, x: Any) -> Any:
        if x.shape[0] == 0:  # oneDNN gets the channels of an empty batch wrong
            return slice_axis(self._filter(ops.pad(x, [(0, 1), (0, 0), (0, 0), (0, 0)])), 0, 0, 0)
        strides, dilation_rate, channels = self.geometry.strides, self.geometry.dilation_rate, x.shape[-1]
        kernels = ops.convert_to_tensor(self._kernels[:, :, None], dtype=x.dtype)
        # Depthwise kernels of TensorFlow, faster than grouped ones, know one stride for both axes, and none with holes.
        if max(strides) == 1 or (max(dilation_rate) == 1 and strides[0] == strides[1]):
            return ops.depthwise_conv(
                x, ops.tile(kernels, (1, 1, channels, 1)), strides, "valid", "channels_last", dilation_rate
            )
        return convolve(x, ops.tile(kernels, (1, 1, 1, channels)), strides, dilation_rate, "valid")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape for this input's."""
        sizes = self.geometry.output_sizes(spatial(input_shape, self.data_format))
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        outputs = None if channels is None else channels * len(self.filters)
        if self.data_format == "channels_last":
            return (input_shape[0], *sizes, outputs)
        return (input_shape[0], outputs, *sizes)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.geometry.strides,
            "padding": self.geometry.padding,
            "padding_mode": self.geometry.padding_mode,
            "dilation_rate": self.geometry.dilation_rate,
            "flip_kernel": self.flip_kernel,
            "data_format": self.data_format,
        }


def _squared_distances(size: Any, sigma: Any) -> tuple[np.ndarray, float]:
    sizes = positive_ints(size, 2, "size")
    if sigma is None:
        sigma = min(sizes) / 4
    if not isinstance(sigma, Real) or isinstance(sigma, bool) or not 0 < float(sigma) < math.inf:
        raise ValueError(f"`sigma` must be a number > 0. Received: sigma={sigma!r}.")
    y, x = (np.arange(length) - (length - 1) / 2 for length in sizes)
    return np.add.outer(y**2, x**2), float(sigma)


def _normalize_filters(filters: Any) -> tuple[str | tuple[Any, ...], ...]:
    """Return names, and arrays as nested tuples, which a config can hold."""
    chosen = [filters] if isinstance(filters, str) else filters
    try:
        found = tuple(one if isinstance(one, str) else _frozen(np.asarray(one, "float64")) for one in chosen)
        legal = bool(found) and all(
            array.ndim and array.size and np.isfinite(array).all() for array in map(_array, found)
        )
    except (TypeError, ValueError):
        legal = False
    if not legal:
        raise ValueError(
            "`filters` must be a name or a sequence of names and arrays of finite numbers; the names are "
            f"{', '.join(FILTER_NAMES)}. Received: filters={filters!r}."
        )
    return found


def _frozen(array: np.ndarray) -> Any:
    return tuple(map(_frozen, array)) if array.ndim else float(array)


def _array(chosen: Any) -> np.ndarray:
    return filter_kernel(chosen) if isinstance(chosen, str) else np.asarray(chosen, "float64")


def _stack(filters: tuple[str | tuple[Any, ...], ...], sizes: tuple[int, ...], flip: bool) -> np.ndarray:
    """Return `(*sizes, n)` with every kernel where its "same" padding would put it."""
    stacked = np.zeros((*sizes, len(filters)))
    for index, kernel in enumerate(map(_array, filters)):
        if kernel.ndim != len(sizes) or any(k > size for k, size in zip(kernel.shape, sizes, strict=True)):
            raise ValueError(
                f"`filters` must fit into the kernel. Received: an array of shape {kernel.shape} among the filters, "
                f"for a kernel of size {sizes}."
            )
        starts = [(size - 1) // 2 - (k - 1) // 2 for k, size in zip(kernel.shape, sizes, strict=True)]
        place: Any = tuple(slice(start, start + k) for start, k in zip(starts, kernel.shape, strict=True))
        stacked[(*place, index)] = np.flip(kernel) if flip else kernel
    return stacked
