"""Detection in tiles: every window of every level is evaluated once, as in the whole image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ConfigError
from pipelines.detection.sliding_window import ScanSpec, best_windows, suppress
from pipelines.images import preprocessing
from pipelines.images.exact_resize import reach, resample
from pipelines.images.windowed_reader import Raster

__all__ = ["Block", "ScanByPieces"]

_SMALLEST = 64
_MOST = 100_000


class Block(NamedTuple):
    """Neighbouring windows along one axis of a level.

    Args:
        windows: numbers of the first window and behind the last.
        level: rows (or columns) of the scaled image that they look at, (first, end), without the margin beyond it.
        read: rows (or columns) of the image that those are made of.
    """

    windows: tuple[int, int]
    level: tuple[int, int]
    read: tuple[int, int]


class ScanByPieces:
    """How a detector processes an image in tiles.

    Args:
        served: the saved model.
        raster: the image.
        side: of the pieces, in pixels of the image.
        scales: the pyramid.

    Raises:
        ConfigError: if the pieces are too small.
    """

    def __init__(self, served: ServedModel, raster: Raster, side: int, scales: tuple[float, ...]) -> None:
        if side < _SMALLEST:
            raise ConfigError(f"tile: received {side}; expected at least {_SMALLEST} pixels")
        self._served, self._raster, self._spec = served, raster, ScanSpec.from_json(served.card.input)
        self._size = (raster.height, raster.width)
        self._levels = [(scale, *self._blocks(scale, side)) for scale in scales]

    @property
    def pieces(self) -> int:
        """How many pieces there are, over all levels."""
        return sum(len(rows) * len(columns) for _, rows, columns in self._levels)

    def _blocks(self, scale: float, side: int) -> tuple[list[Block], list[Block]]:
        scaled = preprocessing.scaled(tf.constant(self._size), tf.constant(scale)).numpy()
        both = zip(self._size, map(int, scaled), self._spec.window, strict=True)
        found = [list(_axis(size, level, window, self._spec.stride, side)) for size, level, window in both]
        return found[0], found[1]

    def scan(self, score: float, advance: Callable[[], Any] = lambda: None) -> tuple[np.ndarray, ...]:
        """Look at all windows.

        Args:
            score: the smallest that is kept.
            advance: called after each piece.

        Returns:
            Boxes float32 (n, 4) xyxy in pixels of the image, scores float32 (n,), class ids int32 (n,): the 1,000 best
            of each piece at most, before any suppression.
        """
        two = tf.TensorSpec([2], tf.int32)
        signature = [tf.TensorSpec([1, None, None, 3], tf.uint8), two, two, two, tf.TensorSpec([], tf.float32)]
        look = tf.function(
            lambda piece, offset, first, count, scale: self._look(piece, offset, first, count, scale, score),
            input_signature=signature,
            autograph=False,
        )
        parts = []
        for scale, rows, columns in self._levels:
            for row in rows:
                for column in columns:
                    pixels = self._raster.read(row.read, column.read)
                    offset = [row.read[0], column.read[0]]
                    first = [row.windows[0], column.windows[0]]
                    count = [block.windows[1] - block.windows[0] for block in (row, column)]
                    numbers = (tf.constant(values, tf.int32) for values in (offset, first, count))
                    parts.append([part.numpy() for part in look(tf.constant(pixels[None]), *numbers, scale)])
                    advance()
        boxes, scores, class_ids = (np.concatenate(part) for part in zip(*parts, strict=True))
        return boxes, scores, class_ids

    def _look(
        self, piece: tf.Tensor, offset: tf.Tensor, first: tf.Tensor, count: tf.Tensor, scale: tf.Tensor, score: float
    ) -> tuple[tf.Tensor, ...]:
        spec = self._spec
        size = tf.constant(self._size)
        level = preprocessing.scaled(size, scale)
        before = tf.constant([(window - spec.stride) // 2 for window in spec.window])
        begin = first * spec.stride - before
        span = (count - 1) * spec.stride + tf.constant(spec.window)
        start, end = tf.clip_by_value(begin, 0, level), tf.clip_by_value(begin + span, 0, level)
        pixels = tf.cast(piece, tf.float32)
        pixels = tf.cond(
            tf.reduce_all(tf.equal(level, size)),
            lambda: pixels,
            lambda: tf.round(resample(pixels, size, level, offset, start, end - start)),
        )
        pixels = preprocessing.grey(pixels) if spec.channels == 1 else pixels
        for axis in (0, 1):  # beyond the border the last row or column goes on
            rows = tf.clip_by_value(begin[axis] + tf.range(span[axis]), 0, level[axis] - 1) - start[axis]
            pixels = tf.gather(pixels, rows, axis=axis + 1)
        outputs = self._served.run("windows", pixels=pixels)["outputs"][0]
        back = tf.cast(size, tf.float32) / tf.cast(level, tf.float32)
        return best_windows(outputs, tf.cast(first * spec.stride, tf.float32), back, spec, tf.constant(score))

    def detect(
        self, score: float, overlap: float, softness: float, advance: Callable[[], Any] = lambda: None
    ) -> tuple[np.ndarray, ...]:
        """Look at all windows and suppress what overlaps, as the saved model does, but for its limit of objects.

        Returns:
            Boxes, scores and class ids, the highest score first.
        """
        found = self.scan(score, advance)
        limit = tf.constant(min(len(found[1]), _MOST))
        boxes, scores, class_ids = map(tf.constant, found)
        kept = suppress(boxes, scores, class_ids, tf.constant(overlap), tf.constant(softness), limit)
        boxes, scores, class_ids = (part.numpy() for part in kept)
        good = scores >= score
        if self._spec.clip:
            height, width = self._size
            boxes = np.clip(boxes, 0.0, np.array([width, height] * 2, np.float32))
        return boxes[good], scores[good], class_ids[good].astype(np.int64)


def _axis(size: int, level: int, window: int, stride: int, side: int) -> Iterator[Block]:
    scale = level / size
    positions = -(-level // stride)
    step = max(1, round(side * scale / stride))
    before = (window - stride) // 2
    for first in range(0, positions, step):
        end = min(first + step, positions)
        rows = first * stride - before, (end - 1) * stride + window - before
        start, stop = (min(max(row, 0), level) for row in rows)
        around = 0 if size == level else reach(scale)
        read = max(int(start / scale) - around, 0), min(int(np.ceil(stop / scale)) + around, size)
        yield Block((first, end), (start, stop), read)
