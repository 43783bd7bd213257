"""Tiled convolution: a few kernels that take turns over the output positions."""

from __future__ import annotations

import itertools
from typing import Any

from keras import ops

from ..core.geometry import positive_ints
from ..core.registration import public
from ..core.slicing import slice_axis
from .base_conv import BaseConv
from .conv_ops import convolve

__all__ = ["TiledConv", "TiledConv1D", "TiledConv2D", "TiledConv3D"]


class TiledConv(BaseConv):
    """Convolve with kernels that repeat every `tile_shape` positions, at any rank.

    `y[j, f] = activation(sum_{i, c} w[j mod t, i, c, f] * x[j * strides + i * dilation_rate, c] + b[j mod t, f])`, over
    the padded `x`. `tile_shape=1` is a plain convolution; one not smaller than the output is an unshared convolution.

    Weights: kernel `(*tile_shape, *kernel_size, channels // groups, filters)`, bias `(*tile_shape, filters)`. The
    initializer sees the shape of one kernel, and so draws every kernel with the fans of one.

    Args:
        $inherited
        tile_shape: $ints, the period of the kernels in output positions.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        `(batch, $axes, channels)`, or `(batch, channels, $axes)`; sizes may be None.

    Output shape:
        `(batch, $new_axes, filters)`, or `(batch, filters, $new_axes)`.

    Raises:
        ValueError: if an argument breaks its rule, or the kernel is larger than the padded input.

    Example:
        >>> import keras, layers
        >>> layer = layers.$name(4, 3, tile_shape=2)
        >>> layer(keras.ops.ones((1, $n8, 5))).shape == (1, $n6, 4)
        True
        >>> layer.kernel.shape == ($n2, $n3, 5, 4)
        True

    Reference:
        Le et al., 2010, "Tiled convolutional neural networks".
    """

    def __init__(self, *args: Any, tile_shape: int | tuple[int, ...] = 2, **kwargs: Any) -> None:
        """Check and keep the arguments."""
        super().__init__(*args, **kwargs)
        self.tile_shape = positive_ints(tile_shape, self.rank, "tile_shape")

    def _sites(self, output_sizes: tuple[int | None, ...]) -> tuple[int, ...]:
        return self.tile_shape

    def _convolve(self, x: Any, kernel: Any, bias: Any) -> Any:
        """Run a convolution for every few kernels, over every tile-th position, and interleave the outputs."""
        x = self._pad(x)
        static = self._output_sizes(x.shape[1:-1])
        sizes = self._output_sizes(ops.shape(x)[1:-1])
        # Kernels beyond the last output have no position.
        tile = tuple(t if size is None else min(t, size) for t, size in zip(self.tile_shape, static, strict=True))
        periods = tuple(-(-size // t) for size, t in zip(sizes, tile, strict=True))
        x = self._reach(x, periods, tile)
        kernel = _first(kernel, tile)
        bias = None if bias is None else _first(bias, tile)
        if self.flip_kernel:
            kernel = ops.flip(kernel, axis=tuple(range(self.rank, 2 * self.rank)))
        neighbours = self._neighbours(tile[-1])
        rows = []
        for row in itertools.product(*map(range, tile[:-1])):
            row_kernels = _pick(kernel, row)
            parts = []
            for first in range(0, tile[-1], neighbours):
                count = min(neighbours, tile[-1] - first)
                wide = self._widen(slice_axis(row_kernels, 0, first, count))
                parts.append(self._phase(x, wide, (*row, first), periods, tile))
            y = parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)
            if bias is not None:
                y = ops.add(y, ops.reshape(_pick(bias, row), (-1,)))
            rows.append(ops.reshape(y, (ops.shape(y)[0], *periods[:-1], periods[-1] * tile[-1], self.filters)))
        return _interleave(rows, (*tile[:-1], 1), (*periods[:-1], periods[-1] * tile[-1]), sizes)

    def _neighbours(self, t: int) -> int:
        """Return how many kernels that follow each other along the last axis are convolved as one, of `t`.

        One as wide as all of them shifted holds them as its filters. Fewer, larger convolutions gain more than the
        zeros in it cost, up to half as many products more.
        """
        shift, beyond = divmod(self.strides[-1], self.dilation_rate[-1])
        if self.groups > 1 or beyond:
            return 1
        most: int = 1 + self.kernel_size[-1] // (2 * shift)
        return -(-t // -(-t // most))  # as even as they come

    def _widen(self, kernels: Any) -> Any:
        """Return one kernel whose filters, `(count, filters)` flattened, are those of `count` neighbouring positions.

        Of kernel `q`, entry `i` of the last axis moves to `q * shift + i`.
        """
        count, axis = kernels.shape[0], self.rank - 1
        shift = self.strides[-1] // self.dilation_rate[-1]
        wide = []
        for q in range(count):
            pads = [(0, 0)] * (self.rank + 2)
            pads[axis] = (q * shift, (count - 1 - q) * shift)
            kernel = _pick(kernels, (q,))
            wide.append(kernel if count == 1 else ops.pad(kernel, pads))
        return wide[0] if count == 1 else ops.concatenate(wide, axis=-1)

    def _output_sizes(self, padded: Any) -> tuple[Any, ...]:
        return tuple(
            None if size is None else (size - extent) // stride + 1
            for size, extent, stride in zip(padded, self.geometry.extent, self.strides, strict=True)
        )

    def _reach(self, x: Any, periods: tuple[Any, ...], tile: tuple[int, ...]) -> Any:
        """Pad the end with zeros, so that the last period is a whole one."""
        pads: list[tuple[Any, Any]] = []
        for axis, (period, t) in enumerate(zip(periods, tile, strict=True)):
            needed = (period * t - 1) * self.strides[axis] + self.geometry.extent[axis]
            missing = needed - ops.shape(x)[axis + 1]
            pads.append((0, max(missing, 0) if isinstance(missing, int) else ops.maximum(missing, 0)))
        if all(isinstance(after, int) and after == 0 for _, after in pads):
            return x
        return ops.pad(x, [(0, 0), *pads, (0, 0)])

    def _phase(self, x: Any, kernel: Any, phase: tuple[int, ...], periods: Any, tile: tuple[int, ...]) -> Any:
        """Return the outputs `(batch, *periods, filters)` at the positions `phase + tile * q`."""
        start, lengths, strides = [], [], []
        window = zip(phase, periods, tile, self.strides, kernel.shape, self.dilation_rate, strict=False)
        for p, period, t, stride, taps, dilation in window:
            start.append(p * stride)
            lengths.append((period - 1) * t * stride + (taps - 1) * dilation + 1)
            strides.append(t * stride)
        batch, channels = ops.shape(x)[0], x.shape[-1]
        x = ops.slice(x, [0, *start, 0], [batch, *lengths, channels])
        return convolve(x, kernel, tuple(strides), self.dilation_rate, "valid")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "tile_shape": self.tile_shape}


def _first(weights: Any, tile: tuple[int, ...]) -> Any:
    """Return the weights of the first places of the tile."""
    shape = tuple(weights.shape)
    if shape[: len(tile)] == tile:
        return ops.convert_to_tensor(weights)
    return ops.slice(ops.convert_to_tensor(weights), [0] * len(shape), [*tile, *shape[len(tile) :]])


def _pick(weights: Any, phase: tuple[int, ...]) -> Any:
    """Return the weights of one place of the tile."""
    rest = tuple(weights.shape)[len(phase) :]
    return ops.reshape(ops.slice(weights, [*phase, *(0 for _ in rest)], [*(1 for _ in phase), *rest]), rest)


def _interleave(phases: list[Any], tile: tuple[int, ...], periods: Any, sizes: Any) -> Any:
    """Return `(batch, *sizes, filters)` from one `(batch, *periods, filters)` a phase."""
    batch, filters = ops.shape(phases[0])[0], phases[0].shape[-1]
    lengths = list(periods)
    # From the last axis to the first: neighbours along it come from neighbouring phases.
    for axis, t in reversed(list(enumerate(tile))):
        if t > 1:
            lengths[axis] = periods[axis] * t
            groups = [phases[i : i + t] for i in range(0, len(phases), t)]
            phases = [ops.reshape(ops.stack(group, axis + 2), (batch, *lengths, filters)) for group in groups]
    if all(isinstance(length, int) and length == size for length, size in zip(lengths, sizes, strict=True)):
        return phases[0]
    return ops.slice(phases[0], [0] * (len(tile) + 2), [batch, *sizes, filters])


@public
class TiledConv1D(TiledConv):
    """Convolve a sequence with kernels that take turns: position j uses kernel `j mod tile_shape`."""

    rank = 1


@public
class TiledConv2D(TiledConv):
    """Convolve an image with kernels that take turns: position j uses kernel `j mod tile_shape`."""

    rank = 2


@public
class TiledConv3D(TiledConv):
    """Convolve a volume with kernels that take turns: position j uses kernel `j mod tile_shape`."""

    rank = 3
