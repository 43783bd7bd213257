"""Outlines of objects, as COCO writes them, and the mask that is drawn of them.

An outline is a list of polygons ``[x1, y1, x2, y2, ...]`` in pixels from the corner of the image, or a mask in run
lengths: the numbers of pixels outside and inside in turn, down the columns, as a list or in a text of COCO's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.errors import DataError
from pipelines.data.formats.parsing import short
from pipelines.data.masks.mask_file import Pixels
from pipelines.images import image_io
from pipelines.images.image_header import Header
from pipelines.images.masks import IGNORED

__all__ = ["Outline", "Outlines", "runs_of", "take_outline"]

_BITS = 5  # Of a run in each character of the text.


@dataclass(frozen=True, eq=False)
class Outline:
    """The outline of an object or of a crowd.

    Args:
        polygons: float64 of shape (2 * points,) each; together they are one object.
        runs: run lengths, where it is written so.
        size: (height, width) of what the run lengths cover.
        field: where it is written.
    """

    polygons: tuple[np.ndarray, ...]
    runs: tuple[int, ...]
    size: tuple[int, int] | None
    field: str

    def runs_in(self, height: int, width: int, file: Path) -> np.ndarray:
        """Give its run lengths in an image; ``file`` is what messages call it by."""
        from pycocotools import mask as coco

        if self.size is not None:
            if self.size != (height, width):
                raise DataError(
                    f"{file}: {self.field}.size: received {list(self.size)}; expected {[height, width]}, the height "
                    "and the width of the image"
                )
            return np.array(self.runs, np.int64)
        farthest = max(float(np.abs(polygon).max()) for polygon in self.polygons)
        if farthest > 4 * max(height, width):  # An edge costs as much time and memory as it is long.
            raise DataError(
                f"{file}: {self.field}: a polygon reaches to {farthest:g}; expected pixels of an image of "
                f"{width} x {height}"
            )
        polygons = [polygon.tolist() for polygon in self.polygons]
        merged = coco.merge(coco.frPyObjects(polygons, height, width))
        # pycocotools's own way from there to pixels warns on NumPy 2.
        return np.fromiter(runs_of(merged["counts"].decode()), np.int64)


@dataclass(frozen=True, eq=False)
class Outlines:
    """A mask drawn of outlines: the background is 0, crowds are 255, and small objects lie on large ones.

    Args:
        file: where they are written.
        size: (height, width) of the image, where it is declared.
        outlines: with the index that the pixels of each get, in the order of the file.
    """

    file: Path
    size: tuple[int, int] | None
    outlines: Sequence[tuple[int, Outline]]

    @property
    def name(self) -> str:
        """Return the file in which the outlines are."""
        return str(self.file)

    def pixels(self, header: Header) -> Pixels:
        """Draw the outlines, in the size that is declared or else in that of the upright image."""
        runs_size = next((one.size for _, one in self.outlines if one.size is not None), None)
        height, width = self.size or runs_size or header.upright
        if (height, width) not in (header.upright, header.size):
            # Before anything is drawn: whoever wrote the file chose the size, and it may be without measure.
            shown_height, shown_width = header.upright
            raise DataError(
                f"{self.file}: an image of {shown_width} x {shown_height} pixels (width x height) is annotated as "
                f"{width} x {height}; annotate it in its own size"
            )
        drawn = np.zeros((height, width), np.uint8)
        lying = [(value, one.runs_in(height, width, self.file)) for value, one in self.outlines]
        # Where the objects in a crowd are outlined too, they are known.
        lying.sort(key=lambda one: (one[0] != IGNORED, -one[1][1::2].sum()))
        for value, runs in lying:
            inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T
            drawn[inside] = value
        return Pixels(drawn, upright=True)

    def digest(self) -> bytes:
        """Return the SHA-256 of the outlines."""
        digest = hashlib.sha256(repr(self.size).encode())
        for value, one in self.outlines:
            digest.update(repr((value, one.size, one.runs)).encode())
            for polygon in one.polygons:
                digest.update(polygon.astype("<f8").tobytes() + b";")
        return digest.digest()


def take_outline(written: object, where: object, field: str) -> Outline:
    """Take an outline as it is written.

    Args:
        written: the value of ``segmentation``.
        where, field: how messages call it.

    Returns:
        The outline.

    Raises:
        DataError: if it is none.

    Example:
        >>> take_outline([[0, 0, 4, 0, 4, 4]], "a.json", "segmentation").polygons[0].tolist()
        [0.0, 0.0, 4.0, 0.0, 4.0, 4.0]
    """
    if isinstance(written, dict):
        size, runs = _take_runs(written, where, field)
        return Outline((), runs, size, field)
    if not isinstance(written, list) or not written:
        raise DataError(f"{where}: {field}: received {short(written)}; expected a list of polygons, or counts and size")
    polygons = tuple(_take_polygon(polygon, where, f"{field}[{index}]") for index, polygon in enumerate(written))
    return Outline(polygons, (), None, field)


def _take_polygon(written: object, where: object, field: str) -> np.ndarray:
    try:
        polygon = np.asarray(written, np.float64) if isinstance(written, list) else np.zeros(0)
    except (TypeError, ValueError, OverflowError):
        polygon = np.zeros(0)
    if polygon.ndim != 1 or polygon.size < 6 or polygon.size % 2 or not np.isfinite(polygon).all():
        raise DataError(f"{where}: {field}: received {short(written)}; expected x and y of three points or more")
    return polygon


def _take_runs(written: Mapping[str, Any], where: object, field: str) -> tuple[tuple[int, int], tuple[int, ...]]:
    size = written.get("size")
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise DataError(f"{where}: {field}.size: received {short(size)}; expected [height, width]")
    height, width = size
    counts = written.get("counts")
    if isinstance(counts, str):
        runs = tuple(runs_of(counts))
    elif isinstance(counts, list) and all(type(run) is int for run in counts):
        runs = tuple(counts)
    else:
        raise DataError(f"{where}: {field}.counts: received {short(counts)}; expected a list of run lengths or a text")
    # What pycocotools decodes is not checked there, and has to cover just the image.
    if height * width > image_io.MAX_PIXELS or min(runs, default=0) < 0 or sum(runs) != height * width:
        raise DataError(
            f"{where}: {field}.counts: received the runs {short(list(runs))}; expected lengths of together "
            f"{height} x {width} pixels, at most {image_io.MAX_PIXELS:,}"
        )
    return (height, width), runs


def runs_of(text: str) -> Iterator[int]:
    """Read the run lengths of COCO's text: characters of 5 bits each, and from the fourth run on the differences.

    What is no such text gives other numbers, also negative ones.

    Example:
        >>> list(runs_of("34i1"))
        [3, 4, 57]
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += _BITS
        if shift > 60:  # No run is as long.
            yield -1
            return
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            yield runs[-1]
            value = shift = 0
    if shift:
        yield -1
