"""Keras 2's locally connected layers by their own names, and the weights that were saved with them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from ..core.data_format import spatial
from ..core.geometry import ConvGeometry, positive_int
from ..core.hdf5 import hdf5_problems
from ..core.registration import public
from .unshared_conv import UnsharedConv

__all__ = [
    "LocallyConnected",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "convert_keras2_weights",
    "load_keras2_weights",
]

# What unshared convolutions can do beyond Keras 2's.
_MORE = ("padding_mode", "padding_value", "dilation_rate", "groups", "flip_kernel")


class LocallyConnected(UnsharedConv):
    """Keras 2's arguments for an unshared convolution, at any rank.

    `y[j, f] = activation(sum_{i, c} w[j, (i, c), f] * x[j * strides + i, c] + b[j, f])`, over the padded `x`. For more
    (dilation, groups, other paddings) there is `UnsharedConv${rank}D`, which this extends. Weights saved by Keras 2 or
    tf_keras come in through `load_keras2_weights` and `convert_keras2_weights`.

    Weights: kernel `(*output sizes, prod(kernel_size) * channels, filters)`, bias `(*output sizes, filters)`.

    Args:
        filters: int, output channels.
        kernel_size: $ints.
        strides: $ints. One that does not divide the input leaves the last positions unread.
        padding: "valid", or "same" as Keras 2 has it here: `kernel_size // 2` zeros before, and after what
            `ceil(size / stride)` outputs need. Keras's other layers put less before where the stride exceeds 1 or the
            kernel is even.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        activation: name or function; None for none.
        use_bias: whether a bias is added.
        kernel_initializer: as in Keras, with the fans of one kernel.
        bias_initializer: as in Keras.
        kernel_regularizer: as in Keras.
        bias_regularizer: as in Keras.
        activity_regularizer: as in Keras.
        kernel_constraint: as in Keras.
        bias_constraint: as in Keras.
        implementation: 1, 2 or 3, kept for Keras 2's sake; they differed in speed and memory, and here there is one.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; all but the batch must be known.

    Output shape:
        `(batch, $new_axes, filters)`, or `(batch, filters, $new_axes)`.

    Raises:
        ValueError: if an argument breaks its rule, or the kernel is larger than the input.

    Example:
        >>> import keras, layers
        >>> layer = layers.$name(4, 3, padding="same")
        >>> layer(keras.ops.ones((1, $n8, 2))).shape == (1, $n8, 4)
        True

    Reference:
        LeCun, 1989, "Generalization and network design strategies".
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        activation: str | Callable[..., Any] | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        implementation: int = 1,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        for name in set(_MORE) & set(kwargs):
            raise ValueError(
                f"`{name}` is not an argument of Keras 2's locally connected layers; UnsharedConv{self.rank}D has it. "
                f"Received: {name}={kwargs[name]!r}."
            )
        super().__init__(
            filters,
            kernel_size,
            strides,
            data_format=data_format,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
        if not isinstance(padding, str) or padding.lower() not in ("valid", "same"):
            raise ValueError(f"`padding` must be 'valid' or 'same'. Received: padding={padding!r}.")
        if positive_int(implementation, "implementation") > 3:
            raise ValueError(f"`implementation` must be 1, 2 or 3. Received: implementation={implementation!r}.")
        self.same = padding.lower() == "same"
        self.implementation = int(implementation)

    def _geometry(self, input_shape: tuple[int | None, ...]) -> ConvGeometry:
        """Return where the windows lie on inputs of this shape."""
        if not self.same:
            return self.geometry
        pairs = []
        for size, kernel, stride in zip(
            spatial(input_shape, self.data_format), self.kernel_size, self.strides, strict=True
        ):
            before = kernel // 2
            # The sizes are known: `build` has refused others.
            after = (math.ceil((size or 0) / stride) - 1) * stride + kernel - before - (size or 0)
            pairs.append((before, max(after, 0)))
        return ConvGeometry(self.kernel_size, self.strides, padding=tuple(pairs))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights for inputs of this shape."""
        if None not in input_shape[1:]:
            self.geometry = self._geometry(input_shape)
        super().build(input_shape)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape for this input's."""
        sizes = self._geometry(input_shape).output_sizes(spatial(input_shape, self.data_format))
        if self.data_format == "channels_last":
            return (input_shape[0], *sizes, self.filters)
        return (input_shape[0], self.filters, *sizes)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        for name in _MORE:
            del config[name]
        return {**config, "padding": "same" if self.same else "valid", "implementation": self.implementation}


@public
class LocallyConnected1D(LocallyConnected):
    """Convolve a sequence with a kernel of its own at every position, by Keras 2's name."""

    rank = 1


@public
class LocallyConnected2D(LocallyConnected):
    """Convolve an image with a kernel of its own at every position, by Keras 2's name."""

    rank = 2


def convert_keras2_weights(weights: Sequence[np.ndarray], layer: LocallyConnected) -> list[np.ndarray]:
    """Return the weights of a Keras 2 locally connected layer as this built layer holds them.

    Keras 2 stored the kernel of `LocallyConnected1D` and `2D` in three ways; which one is told by its shape.
    `layer.set_weights` takes what is returned.

    Args:
        weights: kernel, and bias `(*output sizes, filters)` if there is one, as `get_weights` gave them. The kernel is
            `(positions, prod(kernel_size) * channels, filters)` (implementation 1); `(*input, channels, *output,
            filters)`, or with channels first `(channels, *input, filters, *output)` (2); or one entry a connection (3).
        layer: a built `LocallyConnected1D` or `LocallyConnected2D`.

    Returns:
        One array a weight of `layer`.

    Raises:
        ValueError: if the layer is not built, or the weights do not fit it.

    Example:
        >>> import numpy as np, layers
        >>> layer = layers.LocallyConnected2D(2, 3, data_format="channels_last")
        >>> layer.build((None, 5, 5, 1))
        >>> kernel, bias = layers.convert_keras2_weights([np.ones((9, 9, 2)), np.zeros((3, 3, 2))], layer)
        >>> kernel.shape
        (3, 3, 9, 2)
    """
    if not layer.built:
        raise ValueError(f"`layer` must be built, so that its sizes are known. Received: {layer.name}, not built.")
    shapes = [tuple(weight.shape) for weight in layer.weights]
    kernel, *bias = (np.asarray(weight) for weight in weights)
    first = layer.data_format == "channels_first"
    read, written, exists = _connections(layer)
    outputs, inputs = math.prod(layer.kernel.shape[: layer.rank]) * layer.filters, _inputs(layer)
    fits = len(weights) == len(shapes) and [b.shape for b in bias] == shapes[1:]
    values = np.zeros(read.shape, kernel.dtype)
    if fits and kernel.ndim == 3 and kernel.size == values.size:
        patches = kernel.reshape(*shapes[0][:-2], -1, *layer.kernel_size, layer.filters) if first else kernel
        values = np.moveaxis(patches, layer.rank, -2) if first else patches
    elif fits and kernel.ndim == 2 * (layer.rank + 1) and kernel.size == inputs * outputs:
        values[exists] = kernel.reshape(inputs, outputs)[read[exists], written[exists]]
    elif fits and kernel.ndim == 1 and kernel.size == exists.sum():
        order = np.lexsort((read[exists], written[exists]))
        some = np.empty(kernel.shape, kernel.dtype)
        some[order] = kernel
        values[exists] = some
    else:
        raise ValueError(
            "`weights` must be those of a Keras 2 locally connected layer with the same arguments and input sizes. "
            f"Received: shapes {[np.shape(w) for w in weights]} for {layer.name}, which holds {shapes}."
        )
    if bias and first:
        # Keras 2 added the bias, (*output sizes, filters), read and not turned as (filters, *output sizes).
        bias = [np.moveaxis(bias[0].reshape(layer.filters, *shapes[1][:-1]), 0, -1)]
    return [values.reshape(shapes[0]), *bias]


def _inputs(layer: LocallyConnected) -> int:
    """Return the number of input values."""
    return math.prod(size for axis, size in layer.input_spec.axes.items() if axis > 0)


def _connections(layer: LocallyConnected) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for every entry of the kernel, the input value read, the output written, and whether it reads any.

    Values are numbered in the order of the layer's data format. The arrays are `(*outputs, *kernel_size, channels,
    filters)`.
    """
    rank, first = layer.rank, layer.data_format == "channels_first"
    shape = [layer.input_spec.axes[axis] for axis in range(1, rank + 2)]
    sizes, channels = (shape[1:], shape[0]) if first else (shape[:-1], shape[-1])
    outputs = tuple(layer.kernel.shape[:rank])
    grid = np.indices((*outputs, *layer.kernel_size, channels, layer.filters), dtype=np.int64, sparse=True)
    before = [pair[0] for pair in layer.geometry.pads(sizes) if pair is not None]  # all: the sizes are known
    where = [grid[axis] * layer.strides[axis] + grid[rank + axis] - before[axis] for axis in range(rank)]
    inside = [(index >= 0) & (index < size) for index, size in zip(where, sizes, strict=True)]
    where = [np.clip(index, 0, size - 1) for index, size in zip(where, sizes, strict=True)]
    to, channel, filters = grid[:rank], grid[-2], grid[-1]

    def order(places: Sequence[Any], last: Any) -> tuple[Any, ...]:
        return (last, *places) if first else (*places, last)

    read = np.ravel_multi_index(np.broadcast_arrays(*order(where, channel)), shape)
    written = np.ravel_multi_index(np.broadcast_arrays(*order(to, filters)), order(outputs, layer.filters))
    whole = np.broadcast_shapes(read.shape, written.shape)
    exists = np.logical_and.reduce([np.broadcast_to(condition, whole) for condition in inside])
    return np.broadcast_to(read, whole), np.broadcast_to(written, whole), exists


def load_keras2_weights(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Load into a model the weights that Keras 2 or tf_keras wrote in its HDF5 format (`.h5`), layer by layer.

    Layers are matched by name. Locally connected ones are converted from whichever of the three implementations they
    were saved with; all others are taken as they are.

    Args:
        model: a built model whose layers have the names of those saved.
        path: of a file written by `model.save_weights("name.h5")` or `model.save("name.h5")`.

    Raises:
        ValueError: if a layer with weights has no weights in the file, or they do not fit; or if the file links to
            other files, or claims more numbers than it holds.

    Example:
        >>> import tempfile, h5py, keras, layers
        >>> layer = layers.LocallyConnected1D(2, 3, name="local", use_bias=False, data_format="channels_last")
        >>> model = keras.Sequential([keras.Input((5, 1)), layer])
        >>> with tempfile.NamedTemporaryFile(suffix=".h5") as file:
        ...     with h5py.File(file.name, "w") as saved:
        ...         saved["local/local/kernel:0"] = [[[1.0, 2.0]] * 3] * 3
        ...         saved["local"].attrs["weight_names"] = ["local/kernel:0"]
        ...     layers.load_keras2_weights(model, file.name)
        >>> float(keras.ops.sum(layer.kernel))
        27.0
    """
    import h5py  # Keras's own dependency

    with h5py.File(path, "r") as file:
        for problem in hdf5_problems(file):
            raise ValueError(f"{os.fspath(path)}: {problem}; weights are read from the file itself alone.")
        groups = file.get("model_weights", file)
        for layer in model.layers:
            if not layer.weights:
                continue
            names = groups[layer.name].attrs.get("weight_names", []) if layer.name in groups else []
            if not len(names):
                raise ValueError(f"{os.fspath(path)} holds no weights of a layer named {layer.name!r}.")
            names = [name.decode() if isinstance(name, bytes) else name for name in names]
            weights = [np.asarray(groups[layer.name][name]) for name in names]
            layer.set_weights(
                convert_keras2_weights(weights, layer) if isinstance(layer, LocallyConnected) else weights
            )
