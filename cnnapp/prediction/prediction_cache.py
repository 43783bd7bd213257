"""Answers for images that are asked for again and again, as a page does: what was answered is kept while it fits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnapp.sessions.session_memory import SessionMemory
from pipelines.core.errors import CnnAppError, DataError, ImageTooLargeError
from pipelines.images import image_io

if TYPE_CHECKING:
    from cnnapp.prediction.predictor import Predictor
    from cnnapp.results.answer import Answer

__all__ = ["TILE", "AnswerStore", "Answered", "Asked"]

TILE = 1024
"""Side of the pieces, in pixels, where an image is too large to be answered for at once."""

_LARGE = 4_000_000
"""From so many pixels on an image is answered piece by piece, which takes little longer, and shows how far it is."""

_FEW, _LIGHT, _LIGHT_BYTES = 32, 2**18, 2**24
"""Images, their pixels and their bytes, of which answers take but a moment."""

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


@dataclass(frozen=True)
class Asked:
    """Images that a model is asked about; made by :meth:`AnswerStore.ask`.

    Args:
        model: that is asked.
        images: (name, encoded bytes); every name is another.
        options: of the model.
        tile: the side of the tiles that all of them are processed in, None for those that need it.
        keys: of their answers.
        kept: those answers that are there already, by key.
    """

    model: Predictor
    images: tuple[tuple[str, bytes], ...]
    options: dict[str, Any]
    tile: int | None
    keys: tuple[tuple[Any, ...], ...]
    kept: dict[tuple[Any, ...], Answered]

    @property
    def missing(self) -> list[tuple[str, bytes]]:
        """Those of the images that there is no answer for."""
        return [image for image, key in zip(self.images, self.keys, strict=True) if key not in self.kept]

    @property
    def light(self) -> bool:
        """Whether all of them are answered in a moment, so that nobody has to wait for a turn."""
        missing = self.missing
        if len(missing) > _FEW or sum(len(data) for _, data in missing) > _LIGHT_BYTES:
            return False
        # What an answer costs grows with the image where the network sees all of its pixels.
        most = _LIGHT if "bytes_per_pixel" in self.model.card.input else _LARGE
        return sum(_pixels(name, data) for name, data in missing) <= most


class AnswerStore:
    """Gives answers as they come, and keeps them for the next time.

    Args:
        most_bytes: that are kept. What does not fit is answered anew each time.
        memory: where they are kept, beside other things; one of its own, of ``most_bytes``, by default.
        name: of the store, where several share a memory.

    Example:
        >>> AnswerStore().size
        0
    """

    def __init__(
        self, most_bytes: int = 512 * 2**20, memory: SessionMemory | None = None, name: str = "answers"
    ) -> None:
        self._memory = SessionMemory(most_bytes) if memory is None else memory
        self._name = name
        self._cleared = 0

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return sum(kept.size for _, kept in self._entries())

    def __iter__(self) -> Iterator[Answered]:
        """Give what is kept, what was used last behind all others."""
        return (kept.value for _, kept in self._entries())

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._entries())

    def clear(self) -> None:
        """Forget all answers, and those that are still being found."""
        self._cleared += 1
        for key, _ in self._entries():
            self._memory.drop(key)

    def _entries(self) -> list[tuple[Any, Any]]:
        return [(key, kept) for key, kept in self._memory.entries() if isinstance(key, tuple) and key[0] == self._name]

    def ask(
        self,
        model: Predictor,
        images: Sequence[tuple[str, bytes]],
        options: dict[str, Any] | None = None,
        tile: int | None = None,
    ) -> Asked:
        """Look for answers that are there already.

        Answers for other images than these are forgotten; those for these with other options are kept while they fit.

        Args:
            model: as for :meth:`answer`.
            images: likewise.
            options: likewise.
            tile: likewise.
        """
        options = options or {}
        contents = [(self._name, name, hashlib.sha256(data).hexdigest()) for name, data in images]
        asked = (str(model.served.directory), model.card.created, tuple(sorted(options.items())), tile)
        keys = tuple((*content, *asked) for content in contents)
        present = set(contents)
        for key, _ in self._entries():
            if key[:3] not in present:
                self._memory.drop(key)
        # What was used last is behind all others, which are forgotten first.
        found = ((key, self._memory.get(key)) for key in keys)
        kept = {key: answer for key, answer in found if answer is not None}
        return Asked(model, tuple(images), options, tile, keys, kept)

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
        yield from self.complete(self.ask(model, images, options, tile), advance)

    def complete(self, asked: Asked, advance: Advance = lambda name, done, count: None) -> Iterator[Answered]:
        """Answer for what was asked, with what is there already; see :meth:`answer`.

        Args:
            asked: as of :meth:`ask`.
            advance: is called behind each piece.

        Yields:
            What became of each image, in order.
        """
        model, options, tile = asked.model, asked.options, asked.tile
        missing, wanted, cleared = asked.missing, set(asked.keys), self._cleared
        cut = {image[0] for image in missing if tile is not None or _is_large(model, *image)}
        whole = self._whole(model, [image for image in missing if image[0] not in cut], options)
        for (name, data), key in zip(asked.images, asked.keys, strict=True):
            if key in asked.kept:
                yield asked.kept[key]
                continue
            if name in cut:
                found = _in_pieces(model, name, data, options, tile or TILE, advance)
                if tile is None and isinstance(found.answer, DataError):  # a network that sees the whole image
                    found = next(self._whole(model, [(name, data)], options))
            else:
                found = next(whole)
                if isinstance(found.answer, ImageTooLargeError) and model.answer_type.tiled:
                    found = _in_pieces(model, name, data, options, TILE, advance)
            if not isinstance(found.answer, DataError) and cleared == self._cleared:
                # None that is wanted now is dropped for it, lest all be answered for ever anew.
                self._memory.keep(key, found, _size(found), spare=wanted.__contains__)
            yield found

    def _whole(
        self, model: Predictor, images: Sequence[tuple[str, bytes]], options: dict[str, Any]
    ) -> Iterator[Answered]:
        names = [name for name, _ in images]
        # Few in one call, so that the first answers come soon.
        together = model.answer_type.together
        found = model.predict_each([data for _, data in images], together, names=names, **options)
        return (Answered(name, answer) for name, answer in found)


def _is_large(model: Predictor, name: str, data: bytes) -> bool:
    if not model.answer_type.tiled:
        return False
    try:
        height, width = image_io.size_of(data, name)
    except ImageTooLargeError:
        return True
    return height * width > _LARGE


def _pixels(name: str, data: bytes) -> int:
    try:
        height, width = image_io.size_of(data, name)
    except DataError:
        return 0  # refused in a moment
    return height * width


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
