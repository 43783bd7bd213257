"""What every source gives: three splits of examples, the names of the classes, and where it all came from."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Generic, TypeVar

__all__ = ["SPLIT_NAMES", "Example", "Item", "Split", "Splits", "Unusable", "everything", "split_of"]

SPLIT_NAMES = ("train", "validation", "test")
_SHARES = {"train": 0.70, "validation": 0.15, "test": 0.15}

Label = TypeVar("Label")
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Example(Generic[Label]):
    """One labelled image: where it came from, its encoded bytes, and what the task learns of it.

    For classification that is the index of its class; for detection its :class:`pipelines.images.boxes.Objects`; for
    segmentation the class of each pixel, uint8 of the (height, width) of the upright image
    (:mod:`pipelines.images.masks`).
    """

    id: str
    image: bytes
    label: Label


def _no_classes() -> Collection[int]:
    return ()


@dataclass(frozen=True)
class Item(Generic[Label]):
    """An example that is not read yet: one that cannot be read does not keep the others from being read.

    Args:
        id: of the example.
        read: reads it; ``DataError`` if that cannot be done.
        files: all that it is read from; none where it does not lie in files of its own.
        meaning: what else decides how it is read. Of the same content of files and the same meaning comes the same
            example.
        classes: gives the class indices that are known to be in it, without reading its image.
    """

    id: str
    read: Callable[[], Example[Label]]
    files: tuple[Path, ...] = ()
    meaning: str = ""
    classes: Callable[[], Collection[int]] = _no_classes


@dataclass(frozen=True)
class Unusable:
    """An example that cannot be read or decoded.

    Args:
        part: that it is in.
        id: of the example.
        where: what is at fault: the path of its image or of its mask, or else its id.
        reason: why.
    """

    part: str
    id: str
    where: str
    reason: str

    def __str__(self) -> str:
        """Return the line to print."""
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True)
class Split(Generic[Label]):
    """A part of a data set.

    Args:
        name: "train", "validation" or "test".
        size: the number of examples.
        examples: gives an iterator over them, always in the same order; images are read as it goes.
        items: gives the same examples, each still to be read. A source that lacks it ends at the first that cannot be
            read.
        ahead: how many ``examples`` reads before they are asked for.
    """

    name: str
    size: int
    examples: Callable[[], Iterator[Example[Label]]]
    items: Callable[[], Iterator[Item[Label]]] | None = None
    ahead: int = 0

    @classmethod
    def of(cls, name: str, size: int, items: Callable[[], Iterator[Item[Label]]], ahead: int = 0) -> Split[Label]:
        """Make a part of what can be read one by one.

        Args:
            name: of the part.
            size: the number of examples.
            items: as for the class; with ``ahead`` they are read in several threads.
            ahead: as for the class.

        Example:
            >>> one = Example("a.png", b"...", 0)
            >>> part = Split.of("test", 1, lambda: iter([Item("a.png", lambda: one)]))
            >>> next(part.examples()).id
            'a.png'
        """
        return cls(name, size, lambda: _read(items(), ahead), items, ahead)

    def without(self, places: Collection[int]) -> Split[Label]:
        """Return the part without the examples at some places, from 0; the others keep their order."""
        if not places:
            return self
        left_out, size, items, examples = frozenset(places), self.size - len(places), self.items, self.examples

        def kept(things: Iterator[Thing]) -> Iterator[Thing]:
            return (thing for place, thing in enumerate(things) if place not in left_out)

        if items is None:
            return Split(self.name, size, lambda: kept(examples()))
        return Split.of(self.name, size, lambda: kept(items()), self.ahead)


def _read(items: Iterator[Item[Label]], ahead: int) -> Iterator[Example[Label]]:
    if not ahead:
        yield from (item.read() for item in items)
        return
    # Disks answer several requests at once; a bounded window keeps what is read ahead small.
    pool = ThreadPoolExecutor(max_workers=4)
    try:
        waiting = deque(pool.submit(item.read) for item in islice(items, ahead))
        while waiting:
            yield waiting.popleft().result()
            waiting += [pool.submit(item.read) for item in islice(items, 1)]
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Splits(Generic[Label]):
    """A data set.

    Args:
        source: as the user named it.
        classes: the names, in the order of the labels' indices.
        train, validation, test: the parts; no image is in two of them.
        mirrored: whether an image and its mirror image may be taken for the same thing.
        fingerprint: SHA-256 over what the parts consist of.
        skipped: the examples that were left out of the parts because they cannot be used.
    """

    source: str
    classes: tuple[str, ...]
    train: Split[Label]
    validation: Split[Label]
    test: Split[Label]
    mirrored: bool
    fingerprint: str
    skipped: tuple[Unusable, ...] = ()

    def __getitem__(self, name: str) -> Split[Label]:
        """Return a part by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


def everything(splits: Splits[Label]) -> Split[Label]:
    """Return all parts as one, named "all": for a set that serves as a test as a whole."""
    parts = [splits[name] for name in SPLIT_NAMES]
    size, ahead = sum(part.size for part in parts), max(part.ahead for part in parts)
    listed = [part.items for part in parts if part.items is not None]
    if len(listed) == len(parts):
        return Split.of("all", size, lambda: chain.from_iterable(items() for items in listed), ahead)
    return Split("all", size, lambda: chain.from_iterable(part.examples() for part in parts))


def split_of(key: str, seed: int, shares: dict[str, float] | None = None) -> str:
    """Say which part an example belongs to, from a seeded hash of its name alone.

    The part of one image does not depend on which others there are, so a folder may grow without an image wandering
    from the test images into the training images.

    Args:
        key: the name of the example.
        seed: another seed gives another split.
        shares: the share of each part; 70, 15 and 15 % by default.

    Returns:
        A key of ``shares``.

    Example:
        >>> split_of("cat/7.jpg", seed=0) == split_of("cat/7.jpg", seed=0)
        True
    """
    shares = shares or _SHARES
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    for name, share in shares.items():
        if position < share:
            return name
        position -= share
    return next(reversed(shares))
