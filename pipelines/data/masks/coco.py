"""COCO with outlines: the JSON files of :mod:`pipelines.data.formats.coco`, whose annotations have a ``segmentation``.

Class 0 is the background, and a category of that name is the same. Crowds are 255, of which nothing is said.

Reference:
    T.-Y. Lin et al. (2014), "Microsoft COCO: Common Objects in Context".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.core.errors import DataError
from pipelines.data.formats import coco
from pipelines.data.formats.annotations import Annotated
from pipelines.data.formats.parsing import Fault
from pipelines.data.masks.class_table import ClassTable
from pipelines.data.masks.mask_set import Masked, MaskSet
from pipelines.data.masks.polygons import Outline, Outlines, take_outline
from pipelines.images.masks import IGNORED
from pipelines.intake.regular_file import open_regular

__all__ = ["BACKGROUND", "read", "recognises"]

BACKGROUND = "background"
"""The class of all pixels that lie in no outline."""

# Sets of boxes often have the field too, with an empty list in it.
_OUTLINE = re.compile(rb'"segmentation"\s*:\s*(\[\s*\[|\{)')
_CHUNK = 1 << 22
_OVERLAP = 256

_Taken = tuple[Path, int, bool, Outline]


def recognises(path: Path) -> bool:
    """Say whether a path looks like a COCO file with outlines, or like a folder with such files."""
    return any(_has_outlines(file) for file in coco.files_of(path))


def _has_outlines(file: Path) -> bool:
    with open_regular(file, "annotation file") as opened:
        rest = b""
        while chunk := opened.read(_CHUNK):
            if _OUTLINE.search(rest + chunk):
                return True
            rest = chunk[-_OVERLAP:]
    return False


def read(path: Path, fault: Fault, ignore: int | None) -> MaskSet:
    """Read a COCO set with outlines.

    Args:
        path: as for :func:`pipelines.data.formats.coco.read`.
        fault: is called with each thing that is wrong.
        ignore: an index that is no class, where 0 is the background and 1 the category with the smallest id.

    Returns:
        All images, also those without annotations.

    Raises:
        DataError: as :func:`pipelines.data.formats.coco.read`, or if there are more categories than a mask has values.
    """
    found = coco.read_records(path, fault, _take)
    names = [BACKGROUND, *(name for name in found.classes if name != BACKGROUND)]
    table = ClassTable.of(dict(enumerate(names)), where=path, ignore=ignore)
    if not found.images:
        raise DataError(f"{path}: lists no image that is there; expected some in the list 'images'")
    values = [names.index(name) for name in found.classes]
    return MaskSet(found.root, table, tuple(_masked(one, taken, values, path) for one, taken in found.images))


def _take(record: Mapping[str, Any], file: Path, field: str, labels: Mapping[int, int]) -> _Taken:
    label, crowd = coco.label_of(record, file, field, labels)
    return file, label, crowd, take_outline(record.get("segmentation"), file, f"{field}.segmentation")


def _masked(one: Annotated, taken: list[_Taken], values: Sequence[int], path: Path) -> Masked:
    file = taken[0][0] if taken else path
    drawn = [(IGNORED if crowd else values[label], outline) for _, label, crowd, outline in taken]
    return Masked(one.id, one.path, one.part, Outlines(file, one.size, drawn))
