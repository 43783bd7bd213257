"""Tiled convolution: a few kernels that take turns over the output positions."""

from __future__ import annotations

import itertools
from typing import Any

from keras import ops

from layers.backend import convolve
from layers.base import BaseConv
from layers.geometry import positive_ints
from layers.publish import public

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
        """Run one convolution a kernel, each over every tile-th position, and interleave the outputs."""
        rank = self.rank
        x = self._pad(x)
        static = self._output_sizes(x.shape[1:-1])
        sizes = self._output_sizes(ops.shape(x)[1:-1])
        # Kernels beyond the last output have no position.
        tile = tuple(t if size is None else min(t, size) for t, size in zip(self.tile_shape, static, strict=True))
        periods = tuple(-(-size // t) for size, t in zip(sizes, tile, strict=True))
        x = self._reach(x, periods, tile)
        axes = tuple(range(rank))
        phases = []
        for phase in itertools.product(*map(range, tile)):
            weights = _pick(kernel, phase)
            y = self._phase(x, ops.flip(weights, axis=axes) if self.flip_kernel else weights, phase, periods, tile)
            phases.append(y if bias is None else ops.add(y, _pick(bias, phase)))
        return _interleave(phases, tile, periods, sizes)

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
        for p, period, t, stride, extent in zip(phase, periods, tile, self.strides, self.geometry.extent, strict=True):
            start.append(p * stride)
            lengths.append((period - 1) * t * stride + extent)
            strides.append(t * stride)
        batch, channels = ops.shape(x)[0], x.shape[-1]
        x = ops.slice(x, [0, *start, 0], [batch, *lengths, channels])
        return convolve(x, kernel, tuple(strides), self.dilation_rate, "valid")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "tile_shape": self.tile_shape}


def _pick(weights: Any, phase: tuple[int, ...]) -> Any:
    """Return the weights of one tile position."""
    shape = tuple(weights.shape)
    rest = shape[len(phase) :]
    picked = ops.slice(ops.convert_to_tensor(weights), [*phase, *(0 for _ in rest)], [*(1 for _ in phase), *rest])
    return ops.reshape(picked, rest)


def _interleave(phases: list[Any], tile: tuple[int, ...], periods: Any, sizes: Any) -> Any:
    """Return `(batch, *sizes, filters)` from one `(batch, *periods, filters)` a phase."""
    if len(phases) == 1:
        return phases[0]
    rank = len(tile)
    batch, filters = ops.shape(phases[0])[0], phases[0].shape[-1]
    x = phases
    # From the last axis to the first: neighbours along it come from neighbouring phases.
    for axis in reversed(range(rank)):
        t = tile[axis]
        groups = [x[i : i + t] for i in range(0, len(x), t)]
        lengths = [*periods[: axis + 1], *sizes[axis + 1 :]]
        lengths[axis] = periods[axis] * t
        x = []
        for group in groups:
            y = group[0] if t == 1 else ops.reshape(ops.stack(group, axis=axis + 2), (batch, *lengths, filters))
            whole = [*lengths[:axis], sizes[axis], *lengths[axis + 1 :]]
            known = isinstance(lengths[axis], int) and lengths[axis] == sizes[axis]
            x.append(y if known else ops.slice(y, [0] * (rank + 2), [batch, *whole, filters]))
    return x[0]


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
