"""Unchecked values of annotation files, read with errors that name the file and the field."""

from __future__ import annotations

import contextlib
import math
import os
import re
import reprlib
from collections.abc import Callable, Iterable
from pathlib import Path

from pipelines.core.errors import DataError
from pipelines.images import image_io
from pipelines.intake.regular_file import read_bounded

__all__ = [
    "Fault",
    "class_name",
    "class_names",
    "images_in",
    "inside",
    "number",
    "part_in",
    "read_bytes",
    "read_lines",
    "short",
]

Fault = Callable[[DataError], None]
"""What a reader calls with each thing that is wrong; if it returns, the reader leaves that thing out and goes on."""

_PART = re.compile(r"(?:^|[^a-z])(train|val|test)(?:ing|id|idation)?(?=[^a-z]|$)", re.IGNORECASE)
_LARGEST = 1e8  # Pixels: float32 boxes are no longer exact far below, and no image is as long.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 60, 60


def short(value: object) -> str:
    """Show a received value in a message, however long or deep it is."""
    with contextlib.suppress(ValueError, RecursionError):  # of integers of thousands of digits
        return _SHORT.repr(value)
    return f"a very large {type(value).__name__}"


def read_bytes(path: Path, limit: int) -> bytes:
    """Read an annotation file of at most ``limit`` bytes; ``DataError`` if it cannot be read."""
    return read_bounded(path, limit, "annotation file")


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
    name = ""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):  # of integers of thousands of digits
            name = str(value).strip()
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
