"""What the formats of labelled objects on disk share: annotations as they are written, and unchecked values."""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import reprlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.core.errors import DataError
from pipelines.images import image_io
from pipelines.images.boxes import Objects

__all__ = [
    "NO_OBJECTS",
    "Annotated",
    "Annotations",
    "Fault",
    "Header",
    "class_name",
    "class_names",
    "images_in",
    "inside",
    "number",
    "part_in",
    "read_bytes",
    "read_header",
    "read_lines",
    "short",
    "to_pixels",
    "upright_size",
    "with_area",
]

Fault = Callable[[DataError], None]
"""What a reader calls with each thing that is wrong; if it returns, the reader leaves that thing out and goes on."""

NO_OBJECTS = Objects.of([], [])
"""What is to be found in an image of background."""

_PART = re.compile(r"(?:^|[^a-z])(train|val|test)(?:ing|id|idation)?(?=[^a-z]|$)", re.IGNORECASE)
_LARGEST = 1e8  # Pixels: float32 boxes are no longer exact far below, and no image is as long.
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_READ_BY_GRAPH = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB")
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 60, 60


@dataclass(frozen=True, eq=False)
class Annotated:
    """An image file and what is written about it.

    Args:
        id: the path of the image below the root of the set, with slashes.
        path: the image file.
        part: the part that the format states, or None.
        objects: as they are written, with those that have no area.
        relative: whether the boxes are fractions of the image's width and height instead of pixels.
        size: (height, width) in pixels, where the annotation declares it.
    """

    id: str
    path: Path
    part: str | None
    objects: Objects
    relative: bool = False
    size: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Annotations:
    """A detection set as it lies on disk.

    Args:
        root: its folder.
        classes: the names, in the order of the class ids.
        images: sorted by part and then by name.
        unlabelled: image files beside the others about which nothing is written.
        orphans: annotation files without an image, where the format's own tools pass over them.
    """

    root: Path
    classes: tuple[str, ...]
    images: tuple[Annotated, ...]
    unlabelled: tuple[Path, ...] = ()
    orphans: tuple[Path, ...] = ()


def with_area(objects: Objects) -> Objects:
    """Leave out the objects whose box has no area."""
    left, top, right, bottom = objects.boxes.T
    kept = (right > left) & (bottom > top)
    return Objects(objects.boxes[kept], objects.class_ids[kept], objects.ignored[kept])


def to_pixels(objects: Objects, size: tuple[int, int]) -> Objects:
    """Turn boxes in fractions of an image into pixels; ``size`` is (height, width)."""
    height, width = size
    return replace(objects, boxes=objects.boxes * np.array([width, height, width, height], np.float32))


@dataclass(frozen=True)
class Header:
    """What the header of an image says of its shape.

    Args:
        size: (height, width) as it is stored.
        orientation: of EXIF, 1 to 8; 1 where there is none.
    """

    size: tuple[int, int]
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Return (height, width) as it is shown."""
        height, width = self.size
        return (width, height) if self.orientation in _SIDEWAYS else (height, width)


def read_header(image: bytes | Path, name: str) -> Header:
    """Read the header of an image from encoded bytes or from its file.

    The orientation is the one that :func:`pipelines.images.image_io.read` and the graph apply to it.

    Raises:
        DataError: if it is no image.
    """
    try:
        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
            width, height = opened.size
            exif = Image.Exif()
            if opened.format in _READ_BY_GRAPH:
                with contextlib.suppress(Exception):  # As in the graph: an orientation that cannot be read is none.
                    exif.load(opened.info.get("exif", b""))
            else:
                exif = opened.getexif()
            written = exif.get(_ORIENTATION)
            orientation = written if isinstance(written, int) and 1 <= written <= 8 else 1
            if opened.format == "TIFF" and orientation in _SIDEWAYS:  # Pillow says the size that it will have.
                width, height = height, width
    except Exception:  # Pillow's parsers raise whatever a malformed header leads them to.
        raise DataError(f"{name}: is not an image whose size can be read") from None
    return Header((height, width), orientation)


def upright_size(image: bytes, name: str) -> tuple[int, int]:
    """Read (height, width) of the upright image from the header of encoded bytes; ``DataError`` if there is none."""
    return read_header(image, name).upright


def short(value: object) -> str:
    """Show a received value in a message, however long or deep it is."""
    return _SHORT.repr(value)


def read_bytes(path: Path, limit: int) -> bytes:
    """Read an annotation file of at most ``limit`` bytes; ``DataError`` if it cannot be read."""
    try:
        size = path.stat().st_size
        if size > limit:
            raise DataError(f"{path}: has {size:,} bytes; expected at most {limit:,} of an annotation file")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def read_lines(path: Path, limit: int) -> list[str]:
    """Read the lines of a text of at most ``limit`` bytes, without the spaces around them."""
    return [line.strip() for line in read_bytes(path, limit).decode("utf-8-sig", "replace").split("\n")]


def number(value: object, where: object, field: str) -> float:
    """Take a finite number, or the text of one; ``DataError`` naming the file and the field otherwise."""
    try:
        taken = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        taken = math.nan
    if not abs(taken) <= _LARGEST:
        raise DataError(f"{where}: {field}: received {short(value)}; expected a number between ±{_LARGEST:.0e}")
    return taken


def class_name(value: object, where: object, field: str) -> str:
    """Take the name of a class; it has to fit on a line of ``labels.txt``."""
    name = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not name or not name.isprintable():
        raise DataError(f"{where}: {field}: received {short(value)}; expected the name of a class, on one line")
    return name


def class_names(names: Iterable[object], where: object, fields: Iterable[str]) -> tuple[str, ...]:
    """Take the names of all classes, which have to differ; ``fields`` says where each is written."""
    taken: dict[str, None] = {}
    for name, field in zip(names, fields, strict=False):
        one = class_name(name, where, field)
        if one in taken:
            raise DataError(f"{where}: {field}: {short(one)} is the name of another class too; rename one")
        taken[one] = None
    return tuple(taken)


def inside(root: Path, folder: Path, name: object, where: object, field: str) -> Path:
    """Take the path of a file below the root of the set, as written relative to ``folder``.

    Links on the disk are followed, as a set may be made of them; it is the written name that must not lead outside.
    """
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise DataError(f"{where}: {field}: received {short(name)}; expected the name of a file")
    path = os.path.normpath(os.path.join(folder, name.strip().replace("\\", "/")))
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(root)):
        raise DataError(
            f"{where}: {field}: {short(name)} leads outside the data folder {root}; write it relative to it"
        )
    return Path(path)


def part_in(name: str) -> str | None:
    """Find the name of a part in that of a file or folder.

    Example:
        >>> part_in("instances_val2017"), part_in("Training"), part_in("contest")
        ('validation', 'train', None)
    """
    found = _PART.search(name)
    return {"train": "train", "val": "validation", "test": "test"}[found[1].lower()] if found else None


def images_in(folder: Path, deep: bool = True) -> list[Path]:
    """List the image files of a folder, sorted; those of its subfolders too if ``deep``."""

    def fail(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from None

    found = []
    for at, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if deep and not name.startswith(".")]
        images = (name for name in names if os.path.splitext(name)[1].lower() in image_io.EXTENSIONS)
        found += [Path(at) / name for name in images if not name.startswith(".")]
    return sorted(found)
