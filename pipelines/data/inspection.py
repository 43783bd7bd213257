"""A look at an example: reading it with its label and decoding its image, exactly as all that comes later does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol

from pipelines.core.errors import DataError
from pipelines.data.splits import Example, Item, Label
from pipelines.data.verdicts import stamp_of
from pipelines.images.decoding import decoded_size
from pipelines.images.image_header import read_header

__all__ = ["Examiner", "Looked", "look_at", "read_one"]

_PIXELS = 1 << 26
"""Pixels that are decoded at the same time, in all threads together; an image of more is decoded alone."""
_SMALL = 1 << 15
"""Bytes of a file that holds no more pixels than matter here: no encoding makes an image much smaller than a
thousandth."""


class Examiner(Protocol):
    """What a proof asks of a task."""

    @property
    def name(self) -> str:
        """Its name."""

    def examine(self, example: Example[Any], size: tuple[int, int]) -> None:
        """Raise ``DataError`` if an example cannot be learned from, whose image has this (height, width)."""


@dataclass(frozen=True, eq=False)
class Looked(Generic[Label]):
    """What a look at an example showed.

    Args:
        example: as it was read; None if it cannot be used.
        size: (height, width) of the decoded image, upright; None if it cannot be used.
        fault: why not, "where: reason".
    """

    example: Example[Label] | None
    size: tuple[int, int] | None
    fault: str | None = None


def look_at(item: Item[Label], task: Examiner) -> Looked[Label]:
    """Read an example and decode its image, exactly as training, evaluation and every saved model do.

    Args:
        item: the example.
        task: looks at what was read.

    Returns:
        The example, or what is wrong with it.
    """
    try:
        with _ROOM.held(sum(map(_pixels_in, item.files))):
            example = read_one(item)
            with _ROOM.held(0 if item.files else _pixels_in(example.image)):
                size = decoded_size(example.image, str(item.files[0]) if item.files else example.id)
                task.examine(example, size)
    except DataError as error:
        return Looked(None, None, str(error))
    return Looked(example, size)


def read_one(item: Item[Label]) -> Example[Label]:
    """Read an example; whatever keeps it from being read is a ``DataError``, also of sources that are not ours."""
    try:
        return item.read()
    except OSError as error:
        raise DataError(f"{item.id}: cannot be read: {error.strerror or error}") from None
    except MemoryError:
        raise DataError(f"{item.id}: needs more memory than there is") from None


# === Memory ===


# === Memory ===


class _Room:
    """Lets in as many pixels at once as there is room for."""

    def __init__(self, pixels: int) -> None:
        self._pixels, self._taken = pixels, 0
        self._free = threading.Condition()

    @contextmanager
    def held(self, pixels: int) -> Iterator[None]:
        """Wait until there is room; an image that is larger than all of it waits until it is alone."""
        with self._free:
            self._free.wait_for(lambda: not pixels or not self._taken or self._taken + pixels <= self._pixels)
            self._taken += pixels
        try:
            yield
        finally:
            with self._free:
                self._taken -= pixels
                self._free.notify_all()


_ROOM = _Room(_PIXELS)


def _pixels_in(image: Path | bytes) -> int:
    """Return how many pixels an image has, by its header; 0 where that is not known, or they are few."""
    if isinstance(image, Path):
        stamp = stamp_of(image)  # what is no regular file may have no end
        if stamp is None or stamp.size < _SMALL:
            return 0
    elif len(image) < _SMALL:
        return 0
    try:
        height, width = read_header(image, "").size
    except DataError:
        return 0
    return height * width
