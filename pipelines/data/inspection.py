"""A look at an example: reading it with its label and decoding its image, exactly as all that comes later does."""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipelines.core.errors import DataError
from pipelines.data.splits import Example, Item, Label, Split
from pipelines.data.verdicts import stamp_of
from pipelines.images.decoding import decoded_size
from pipelines.images.image_header import read_header

__all__ = ["End", "Examine", "Looked", "examine_nothing", "in_threads", "items_of", "look_at", "read_one", "room_for"]

Examine = Callable[[Example[Any], tuple[int, int]], None]
"""What a task has against an example whose image has a (height, width), upright: a ``DataError``."""

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

_PIXELS = 1 << 26
"""Pixels that are decoded at the same time, in all threads together; an image of more is decoded alone."""
_SMALL = 1 << 15
"""Bytes of a file that holds no more pixels than matter here: no encoding makes an image much smaller than a
thousandth."""
_AHEAD = 4
"""How many for each thread are asked for before the first is answered."""


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


def examine_nothing(example: Example[Any], size: tuple[int, int]) -> None:
    """Have nothing against an example that was read and decoded: what most tasks examine."""


def look_at(item: Item[Label], examine: Examine = examine_nothing) -> Looked[Label]:
    """Read an example and decode its image, exactly as training, evaluation and every saved model do.

    Args:
        item: the example.
        examine: what the task looks at besides.

    Returns:
        The example, or what is wrong with it.
    """
    try:
        with room_for(*item.files):
            example = read_one(item)
            with room_for(*(() if item.files else (example.image,))):
                size = decoded_size(example.image, str(item.files[0]) if item.files else example.id)
                examine(example, size)
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


def in_threads(ask: Callable[[Asked], Answered], things: Iterable[Asked]) -> Iterator[tuple[Asked, Answered]]:
    """Ask about many things in several threads, and give the answers in order; few are held at a time.

    Args:
        ask: is called in the threads.
        things: are taken as they are needed.

    Example:
        >>> list(in_threads(len, ["a", "bc"]))
        [('a', 1), ('bc', 2)]
    """
    workers = max(2, min(16, _processors()))
    pool = ThreadPoolExecutor(max_workers=workers)
    waiting: deque[tuple[Asked, Any]] = deque()
    try:
        for thing in things:
            waiting.append((thing, pool.submit(ask, thing)))
            if len(waiting) > _AHEAD * workers:
                asked, future = waiting.popleft()
                yield asked, future.result()
        while waiting:
            asked, future = waiting.popleft()
            yield asked, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


# === Sources that have examples alone ===


class End(Item[Any]):
    """Where a source ends that has examples alone: whoever asks for them again gets no further."""


def items_of(split: Split[Label]) -> Iterator[Item[Label]]:
    """Give the items of a part; where a source has examples alone, make them of these.

    The last is an :class:`End` where such a source ends at an image that cannot be read.
    """
    if split.items is not None:
        yield from split.items()
        return
    given = 0
    try:
        for example in split.examples():
            given += 1
            yield Item(example.id, functools.partial(_itself, example))
    except (DataError, OSError) as error:
        reason = str(error) if isinstance(error, DataError) else f"{error.filename}: {error.strerror or error}"
        yield End(f"image {given + 1:,} of the {split.name} part", functools.partial(_refuse, reason))


def _itself(example: Example[Label]) -> Example[Label]:
    return example


def _refuse(reason: str) -> Example[Any]:
    raise DataError(f"{reason}; what is behind it cannot be reached in this source")


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


@contextmanager
def room_for(*images: Path | bytes) -> Iterator[None]:
    """Wait until there is room for the pixels of images, and hold it while they are decoded."""
    with _ROOM.held(sum(map(_pixels_in, images))):
        yield


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
