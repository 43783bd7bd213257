"""Answers for images that are asked for again and again, as a page does: what was answered is kept while it fits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.core.errors import CnnAppError, DataError, ImageTooLargeError
from pipelines.images import image_io

if TYPE_CHECKING:
    from cnnapp.prediction.predictor import Predictor
    from cnnapp.results.answer import Answer

__all__ = ["TILE", "AnswerStore", "Answered"]

TILE = 1024
"""Side of the pieces, in pixels, where an image is too large to be answered for at once."""

_LARGE = 4_000_000
"""From so many pixels on an image is answered piece by piece, which takes little longer, and shows how far it is."""

Advance = Callable[[str, int, int], object]
"""Called with the name of an image, how many of its pieces are done, and how many there are."""


@dataclass(frozen=True)
class Answered:
    """What became of an image.

    Args:
        name: of the image.
        answer: or why there is none.
        pieces: whether it was answered piece by piece.
    """

    name: str
    answer: Answer | DataError
    pieces: bool = False


class AnswerStore:
    """Gives answers as they come, and keeps them for the next time.

    Args:
        most_bytes: that are kept. What does not fit is answered anew each time.

    Example:
        >>> AnswerStore().size
        0
    """

    def __init__(self, most_bytes: int = 512 * 2**20) -> None:
        self._most_bytes = most_bytes
        self._kept: dict[tuple[Any, ...], Answered] = {}
        self._size = 0

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return self._size

    def __iter__(self) -> Iterator[Answered]:
        """Give what is kept, what was used last behind all others."""
        return iter(self._kept.values())

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._kept)

    def clear(self) -> None:
        """Forget all answers."""
        for key in list(self._kept):
            self._forget(key)

    def _forget(self, key: tuple[Any, ...]) -> None:
        self._size -= _size(self._kept.pop(key))

    def answer(
        self,
        model: Predictor,
        images: Sequence[tuple[str, bytes]],
        options: dict[str, Any] | None = None,
        tile: int | None = None,
        advance: Advance = lambda name, done, count: None,
    ) -> Iterator[Answered]:
        """Answer for images, one after another.

        An image that is large, or is refused as too large for memory, is answered piece by piece, where task and
        network allow that; the answer is the same.
        Answers for other images than these are forgotten; those for these with other options are kept while they fit.

        Args:
            model: answers.
            images: (name, encoded bytes); every name is another.
            options: of the model, as for :meth:`cnnapp.Predictor.predict`.
            tile: answer all of them in pieces of this side, in pixels.
            advance: is called behind each piece.

        Yields:
            What became of each, in order.
        """
        options = options or {}
        contents = [(name, hashlib.sha256(data).hexdigest()) for name, data in images]
        asked = (str(model.served.directory), model.card.created, tuple(sorted(options.items())), tile)
        keys = [(*content, *asked) for content in contents]
        present, wanted = set(contents), set(keys)
        for key in [key for key in self._kept if key[:2] not in present]:
            self._forget(key)
        missing = [image for image, key in zip(images, keys, strict=True) if key not in self._kept]
        cut = {image[0] for image in missing if tile is not None or _is_large(model, *image)}
        whole = self._whole(model, [image for image in missing if image[0] not in cut], options)
        for (name, data), key in zip(images, keys, strict=True):
            if key not in self._kept:
                if name in cut:
                    found = _in_pieces(model, name, data, options, tile or TILE, advance)
                    if tile is None and isinstance(found.answer, DataError):  # a network that sees the whole image
                        found = next(self._whole(model, [(name, data)], options))
                else:
                    found = next(whole)
                    if isinstance(found.answer, ImageTooLargeError) and model.answer_type.tiled:
                        found = _in_pieces(model, name, data, options, TILE, advance)
                if not isinstance(found.answer, DataError):
                    self._keep(key, found, wanted)
                yield found
            else:
                # What was used last is behind all others, which are forgotten first.
                self._kept[key] = self._kept.pop(key)
                yield self._kept[key]

    def _whole(
        self, model: Predictor, images: Sequence[tuple[str, bytes]], options: dict[str, Any]
    ) -> Iterator[Answered]:
        names = [name for name, _ in images]
        # Few in one call, so that the first answers come soon.
        together = model.answer_type.together
        found = model.predict_each([data for _, data in images], together, names=names, **options)
        return (Answered(name, answer) for name, answer in found)

    def _keep(self, key: tuple[Any, ...], found: Answered, wanted: set[tuple[Any, ...]]) -> None:
        """Keep an answer; forget old ones for that, but none that is wanted now, lest all be answered for ever anew."""
        needed = _size(found)
        if self._size + needed > self._most_bytes:
            for old in [old for old in self._kept if old not in wanted]:
                self._forget(old)
                if self._size + needed <= self._most_bytes:
                    break
        if self._size + needed <= self._most_bytes:
            self._kept[key] = found
            self._size += needed


def _is_large(model: Predictor, name: str, data: bytes) -> bool:
    if not model.answer_type.tiled:
        return False
    try:
        height, width = image_io.size_of(data, name)
    except ImageTooLargeError:
        return True
    return height * width > _LARGE


def _in_pieces(
    model: Predictor, name: str, data: bytes, options: dict[str, Any], tile: int, advance: Advance
) -> Answered:
    def step(done: int, count: int) -> None:
        advance(name, done, count)

    try:
        return Answered(name, model.predict_by_pieces(data, tile, name=name, advance=step, **options), pieces=True)
    except DataError as error:
        return Answered(name, error)
    except CnnAppError as error:
        return Answered(name, DataError(f"{name}: {error}"))


def _size(found: Answered) -> int:
    values = vars(found.answer).values()
    return sum(value.nbytes for value in values if isinstance(value, np.ndarray))
