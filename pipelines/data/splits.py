"""What every source gives: three splits of examples, the names of the classes, and where it all came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar

__all__ = ["SPLIT_NAMES", "Example", "Split", "Splits", "everything", "split_of"]

SPLIT_NAMES = ("train", "validation", "test")
_SHARES = {"train": 0.70, "validation": 0.15, "test": 0.15}

Label = TypeVar("Label")


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


@dataclass(frozen=True)
class Split(Generic[Label]):
    """A part of a data set.

    Args:
        name: "train", "validation" or "test".
        size: the number of examples.
        examples: gives an iterator over them, always in the same order; images are read as it goes.
    """

    name: str
    size: int
    examples: Callable[[], Iterator[Example[Label]]]


@dataclass(frozen=True)
class Splits(Generic[Label]):
    """A data set.

    Args:
        source: as the user named it.
        classes: the names, in the order of the labels' indices.
        train, validation, test: the parts; no image is in two of them.
        mirrored: whether an image and its mirror image may be taken for the same thing.
        fingerprint: SHA-256 over what the parts consist of.
    """

    source: str
    classes: tuple[str, ...]
    train: Split[Label]
    validation: Split[Label]
    test: Split[Label]
    mirrored: bool
    fingerprint: str

    def __getitem__(self, name: str) -> Split[Label]:
        """Return a part by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


def everything(splits: Splits[Label]) -> Split[Label]:
    """Return all parts as one, named "all": for a set that serves as a test as a whole."""
    parts = [splits[name] for name in SPLIT_NAMES]
    return Split(
        "all", sum(part.size for part in parts), lambda: chain.from_iterable(part.examples() for part in parts)
    )


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
