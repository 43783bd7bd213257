"""What the formats of masks on disk share: images and their masks as they lie there, and reading them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from pipelines.core.errors import DataError
from pipelines.data.masks import mask_file
from pipelines.data.masks.class_table import ClassTable, as_indices
from pipelines.data.masks.mask_file import Pixels
from pipelines.images.image_header import Header, read_header
from pipelines.images.masks import IGNORED
from pipelines.intake.limits import LIMITS
from pipelines.intake.regular_file import read_bounded

__all__ = ["Labelled", "Mask", "MaskFile", "MaskSet", "Masked", "indices_in", "label", "table_of_indices"]


class Mask(Protocol):
    """A mask that is read when it is asked for: a file, or outlines to be drawn."""

    @property
    def name(self) -> str:
        """Return how messages call it."""

    def pixels(self, header: Header) -> Pixels:
        """Read it for the image of a header; ``DataError`` if that cannot be done."""

    def digest(self) -> bytes:
        """Return the SHA-256 of what it consists of."""


@dataclass(frozen=True)
class MaskFile:
    """A mask in a file of its own."""

    path: Path

    @property
    def name(self) -> str:
        """Return its path."""
        return str(self.path)

    def pixels(self, header: Header) -> Pixels:
        """Read the file, whatever image it belongs to."""
        return mask_file.decode(read_bounded(self.path, LIMITS.image_bytes, "image"), self.name)

    def digest(self) -> bytes:
        """Return the SHA-256 of the file."""
        return hashlib.sha256(read_bounded(self.path, LIMITS.image_bytes, "image")).digest()


@dataclass(frozen=True, eq=False)
class Masked:
    """An image file and its mask.

    Args:
        id: the path of the image below the root of the set, with slashes.
        path: the image file.
        part: the part that the format states, or None.
        mask: of the image.
    """

    id: str
    path: Path
    part: str | None
    mask: Mask


@dataclass(frozen=True, eq=False)
class MaskSet:
    """A segmentation set as it lies on disk.

    Args:
        root: its folder.
        table: what the values of the masks stand for.
        images: sorted by part and then by name.
        unlabelled: image files beside the others that have no mask, where the format does not ask for one.
        orphans: masks without an image.
    """

    root: Path
    table: ClassTable
    images: tuple[Masked, ...]
    unlabelled: tuple[Path, ...] = ()
    orphans: tuple[Path, ...] = ()


@dataclass(frozen=True, eq=False)
class Labelled:
    """A mask that was read.

    Args:
        mask: class ids, uint8 of the (height, width) of the upright image, ``IGNORED`` where nothing is said or the
            value is no class.
        strange: the number of pixels by the value that is no class.
        coloured: whether these values are colours.
    """

    mask: np.ndarray
    strange: dict[int, int]
    coloured: bool


def label(one: Masked, table: ClassTable) -> Labelled:
    """Read the mask of an image, upright.

    Args:
        one: an image that can be decoded, and its mask.
        table: of its set.

    Returns:
        The mask, whatever its values are.

    Raises:
        DataError: if the mask cannot be read, or is not of the size of the image.
    """
    header = read_header(one.path, str(one.path))
    pixels = mask_file.fit(one.mask.pixels(header), header, one.mask.name, one.path.name)
    mask, strange = table.label(pixels, one.mask.name)
    return Labelled(mask, strange, pixels.coloured and bool(table.colours))


# === Classes that nothing names ===


def indices_in(files: Iterable[Path], ignore: int | None) -> list[int]:
    """Find the indices of classes that occur in mask files.

    Files that cannot be read are passed over; that is said of them when they are.

    Args:
        files: of masks.
        ignore: an index that is no class.

    Returns:
        The values below 255, ascending.

    Raises:
        DataError: if not one of the files can be read.
    """

    def look(path: Path) -> np.ndarray | DataError:
        try:
            pixels = as_indices(mask_file.decode(read_bounded(path, LIMITS.image_bytes, "image"), str(path)), str(path))
        except DataError as error:
            return error
        return np.unique(pixels.values)

    first: DataError | None = None
    occurring: set[int] = set()
    readable = False
    rest = iter(files)
    with ThreadPoolExecutor(max_workers=4) as pool:
        while chunk := list(islice(rest, 256)):
            for found in pool.map(look, chunk):
                if isinstance(found, DataError):
                    first = first or found
                else:
                    readable = True
                    occurring.update(found.tolist())
    if not readable and first is not None:
        raise first
    return sorted(value for value in occurring - {ignore} if 0 <= value < IGNORED)


def table_of_indices(indices: list[int], where: object, ignore: int | None, first: int = 0) -> ClassTable:
    """Name classes by their indices, from ``first`` to the largest that occurs; ``where`` is the set, for messages."""
    last = max(indices, default=-1)
    return ClassTable.of(
        {value: str(value) for value in range(first, last + 1)}, where=where, ignore=ignore, named=False
    )
