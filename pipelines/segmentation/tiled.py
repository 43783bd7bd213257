"""Segmentation of an image in tiles: bands of a result that need not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ConfigError, ModelError
from pipelines.images.windowed_reader import Raster
from pipelines.segmentation.dense_prediction import LabelSpec, label, piece_scores
from pipelines.segmentation.tiling import Halo, Piece, pieces, ramp

__all__ = ["Band", "Mosaic"]

_SMALLEST = 64
_FADE = 8
"""A blended piece fades into the next over a quarter of its side, half of that on each side of the border."""


@dataclass(frozen=True)
class Band:
    """Some rows of an answer.

    Args:
        first: number of the first row.
        class_map: uint8 of shape (rows, width).
        confidence: float32 of the same shape, 0 to 1.
    """

    first: int
    class_map: np.ndarray
    confidence: np.ndarray


class Mosaic:
    """How a segmentation network processes an image in tiles.

    Where it blends, the probabilities of a row of pieces are held in memory over all of the image's width: for a row
    (side + overlap) x width x classes x 4 bytes, an overlap being a quarter of the side, and less than half as much
    again where one row fades into the next.

    Args:
        served: the saved model.
        raster: the image.
        side: of the pieces, in pixels of the image.
        blend: where the network has layers that see the whole image, answer for overlapping pieces as if each were an
            image, and fade from one into the next. Without it such a network is refused.

    Raises:
        ConfigError: if the pieces are too small, or the network cannot be exact and is not to be blended.
        ModelError: if the saved model does not say how far its network sees.
    """

    def __init__(self, served: ServedModel, raster: Raster, side: int, blend: bool = False) -> None:
        card = served.card
        if side < _SMALLEST:
            raise ConfigError(f"tile: received {side}; expected at least {_SMALLEST} pixels")
        if "halo" not in card.input:
            raise ModelError(f"{served.directory}: its card lacks the receptive field of the network; export it again")
        halo = Halo.from_json(card.input["halo"])
        if halo.blockers and not blend:
            names = ", ".join(halo.blockers)
            raise ConfigError(
                f"tile: {card.name} cannot be exact in tiles: {names} sees the whole image; blend the tiles "
                "with --blend (blend=True in Python)"
            )
        self._served, self._raster, self._spec = served, raster, LabelSpec.from_json(card.input)
        size = np.array([raster.height, raster.width], np.int32)
        scale = np.float32(self._spec.scale)
        scaled = np.maximum(np.round(size.astype(np.float32) * scale), 1).astype(int)
        overlap = side // _FADE if halo.blockers else 0
        self._size, self._overlap = size, overlap
        self.rows = pieces(int(size[0]), int(scaled[0]), side, halo, overlap)
        self.columns = pieces(int(size[1]), int(scaled[1]), side, halo, overlap)

    @property
    def exact(self) -> bool:
        """Whether the answer is that of the whole image."""
        return not self._overlap

    @property
    def pieces(self) -> int:
        """How many pieces there are."""
        return len(self.rows) * len(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self._served.card.classes)

    def piece(self, row: Piece, column: Piece) -> np.ndarray:
        """Return the probabilities of what is kept of one piece: float32 of shape (rows, columns, classes)."""
        scores: np.ndarray = self._scores(*self._inputs(row, column)).numpy()[0]
        return scores

    def _inputs(self, row: Piece, column: Piece) -> list[tf.Tensor]:
        parts = [row, column]
        starts = [part.window[0] for part in parts]
        counts = [part.window[1] - part.window[0] for part in parts]
        kept = [part.kept[1] - part.kept[0] for part in parts]
        pixels = self._raster.read(row.read, column.read)
        firsts, offsets = [part.kept[0] for part in parts], [part.read[0] for part in parts]
        numbers = [self._size, *(np.array(values, np.int32) for values in (offsets, starts, counts, firsts, kept))]
        return [tf.constant(pixels[None]), *map(tf.constant, numbers)]

    @cached_property
    def _scores(self) -> Callable[..., tf.Tensor]:
        return self._graph(lambda probabilities: probabilities)

    @cached_property
    def _labels(self) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
        return self._graph(label)

    def _graph(self, last: Callable[[tf.Tensor], Any]) -> Callable[..., Any]:
        """Make the graph that brings a piece to the network and its logits to pixels."""

        def network(pixels: tf.Tensor) -> tf.Tensor:
            return self._served.run("logits", pixels=pixels)["outputs"]

        two = tf.TensorSpec([2], tf.int32)
        pixels = tf.TensorSpec([1, None, None, 3], tf.uint8)

        def answer(piece: tf.Tensor, *numbers: tf.Tensor) -> Any:
            size, offset, start, window, first, count = numbers
            return last(piece_scores(piece, size, offset, start, window, first, count, network, self._spec))

        graph: Callable[..., Any] = tf.function(answer, input_signature=[pixels, *[two] * 6], autograph=False)
        return graph

    def bands(self, start: int = 0, advance: Callable[[], Any] = lambda: None) -> Iterator[Band]:
        """Answer row of pieces by row of pieces.

        Args:
            start: number of the row of pieces to begin with.
            advance: called after each piece of these rows.

        Yields:
            Bands that cover the image once, from that row of pieces on.
        """
        return self._blended(start, advance) if self._overlap else self._joined(start, advance)

    def _joined(self, start: int, advance: Callable[[], Any]) -> Iterator[Band]:
        for row in self.rows[start:]:
            count, width = row.kept[1] - row.kept[0], int(self._size[1])
            band = Band(row.kept[0], np.empty((count, width), np.uint8), np.empty((count, width), np.float32))
            for column in self.columns:
                class_map, confidence = self._labels(*self._inputs(row, column))
                band.class_map[:, slice(*column.kept)] = class_map[0]
                band.confidence[:, slice(*column.kept)] = confidence[0]
                advance()
            yield band

    def _blended(self, start: int, advance: Callable[[], Any]) -> Iterator[Band]:
        height, width = map(int, self._size)
        classes = len(self.names)
        waiting: tuple[int, np.ndarray] | None = None
        # The rows that the band before fades into are its share of them, too.
        for number, row in enumerate(self.rows[max(start - 1, 0) :], start=max(start - 1, 0)):
            sums = np.zeros((row.kept[1] - row.kept[0], width, classes), np.float32)
            if waiting is not None:
                sums[: len(waiting[1])] += waiting[1]
            down = ramp(row, height, self._overlap)[:, None, None]
            for column in self.columns:
                across = ramp(column, width, self._overlap)[None, :, None]
                sums[:, slice(*column.kept)] += self.piece(row, column) * down * across
                if number >= start:
                    advance()
            end = self.rows[number + 1].kept[0] if number + 1 < len(self.rows) else height
            done = end - row.kept[0]
            waiting = end, sums[done:].copy()
            if number >= start:
                first = row.kept[0]
                yield Band(first, sums[:done].argmax(-1).astype(np.uint8), sums[:done].max(-1))

    def whole(self, advance: Callable[[], Any] = lambda: None) -> Band:
        """Answer for all of the image, in memory."""
        bands = list(self.bands(advance=advance))
        return Band(
            0, *(np.concatenate([getattr(band, part) for band in bands]) for part in ("class_map", "confidence"))
        )
