"""Reading parts of tensors in ways whose gradients are fast on every backend."""

from __future__ import annotations

from typing import Any

from keras import ops

__all__ = ["every", "slice_axis", "subsample"]


def slice_axis(x: Any, axis: int, start: Any, length: Any) -> Any:
    """Return `length` entries of one axis from `start` on.

    `ops.slice` and not `x[start:stop]`, whose gradient is several times slower on TensorFlow.
    """
    starts = [0] * len(x.shape)
    sizes = list(ops.shape(x))
    starts[axis], sizes[axis] = start, length
    return ops.slice(x, starts, sizes)


def every(x: Any, axis: int, start: int, step: int) -> Any:
    """Return every `step`-th entry of one axis from `start` on.

    By reshaping, since the gradient of a slice with steps is several times slower on TensorFlow.
    """
    if start:
        x = slice_axis(x, axis, start, ops.shape(x)[axis] - start)
    if step == 1:
        return x
    missing = -ops.shape(x)[axis] % step
    if not isinstance(missing, int) or missing:
        x = ops.pad(x, [(0, missing if i == axis else 0) for i in range(len(x.shape))])
    shape = list(ops.shape(x))
    blocks = ops.reshape(x, (*shape[:axis], shape[axis] // step, step, *shape[axis + 1 :]))
    shape[axis] = shape[axis] // step
    return ops.reshape(slice_axis(blocks, axis + 1, 0, 1), shape)


def subsample(x: Any, steps: tuple[int, ...], starts: tuple[int, ...]) -> Any:
    """Return every `steps`-th entry from `starts < steps` on, of the axes between batch and channels.

    In one slice where all sizes divide; `every` would take one an axis.
    """
    sizes = ops.shape(x)[1:-1]
    whole = all(isinstance(size, int) and size % step == 0 for size, step in zip(sizes, steps, strict=True))
    if not whole or len(sizes) > 2:
        for axis, (start, step) in enumerate(zip(starts, steps, strict=True), start=1):
            x = every(x, axis, start, step)
        return x
    batch, channels = ops.shape(x)[0], x.shape[-1]
    counts = [size // step for size, step in zip(sizes, steps, strict=True)]
    blocks, begin, length = [batch], [0], [batch]
    for count, step, start in zip(counts, steps, starts, strict=True):
        blocks, begin, length = [*blocks, count, step], [*begin, 0, start], [*length, count, 1]
    x = ops.slice(ops.reshape(x, (*blocks, channels)), [*begin, 0], [*length, channels])
    return ops.reshape(x, (batch, *counts, channels))
