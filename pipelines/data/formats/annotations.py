"""What the formats of labelled objects on disk share: annotations as they are written, and unchecked values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipelines.images.boxes import Objects

__all__ = ["NO_OBJECTS", "Annotated", "Annotations", "to_pixels", "with_area"]

NO_OBJECTS = Objects.of([], [])
"""What is to be found in an image of background."""


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
