"""The answer of detection: the objects in an image, as boxes."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np
from PIL import Image, ImageDraw

from cnnapp.results.answer import Answer, Difference
from cnnapp.results.tiles import Tiles
from pipelines.core.percent import percent
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput
from pipelines.images.palette import class_colours, ink_on
from pipelines.images.windowed_reader import is_too_large, open_raster, reduced

__all__ = ["Detection", "Detections", "ObjectDifference"]

_LARGE_SIDE = 2048
_SAME = 0.5  # the overlap from which on two boxes are of one object, as in Pascal VOC


@dataclass(frozen=True)
class Detection:
    """One object: its box (left, top, right, bottom) in pixels of the upright image, its class, its score."""

    box: tuple[float, float, float, float]
    class_id: int
    class_name: str
    score: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"box": list(self.box), "class_id": self.class_id, "class_name": self.class_name, "score": self.score}


@dataclass(frozen=True, eq=False)
class Detections(Answer):
    """The objects found in one image, the highest score first.

    Args:
        source: how the image was named: its path, or what it is.
        boxes: float32 of shape (n, 4), xyxy in pixels of the upright image.
        scores: float32 of shape (n,), 0 to 1.
        class_ids: int of shape (n,).
        class_names: the names of all classes.

    Raises:
        ValueError: if the arrays are of different lengths, a score is not between 0 and 1, or a class has no name.

    Example:
        >>> found = Detections("a.png", np.array([[0, 0, 9, 5]]), np.array([0.75]), np.array([1]), ("cat", "dog"))
        >>> print(found)
        a.png: 1 object: dog (75.0 %) at 0, 0, 9, 5
        >>> [each.class_name for each in found], len(found.above(0.9))
        (['dog'], 0)
    """

    outputs = ("boxes", "scores", "class_ids", "num_detections")
    unit = "window"
    coco = True
    tiled = True
    counted_by = ("score_map", "scores")

    source: str
    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the arrays, and keep them from being changed."""
        count = len(self.scores)
        if self.boxes.shape != (count, 4) or self.class_ids.shape != (count,) or self.scores.shape != (count,):
            shapes = [part.shape for part in (self.boxes, self.scores, self.class_ids)]
            raise ValueError(f"boxes, scores, class_ids: received shapes {shapes}; expected (n, 4), (n,) and (n,)")
        if count and not (self.scores.min() >= 0 and self.scores.max() <= 1 and np.isfinite(self.boxes).all()):
            raise ValueError("scores: expected numbers from 0 to 1, and boxes of finite numbers")
        if count and not (self.class_ids.min() >= 0 and self.class_ids.max() < len(self.class_names)):
            raise ValueError(f"class_ids: expected indices into the {len(self.class_names)} class names")
        for part in (self.boxes, self.scores, self.class_ids):
            part.setflags(write=False)

    @classmethod
    def from_one(cls, name: str, values: Sequence[np.ndarray], class_names: tuple[str, ...]) -> Self:
        """Return the objects of one image; what fills the arrays up to the same length is left out."""
        boxes, scores, class_ids, count = values
        return cls(name, boxes[:count], scores[:count], class_ids[:count], class_names)

    @classmethod
    def to_outputs(cls, answers: Sequence[Self], limit: int = 100) -> dict[str, np.ndarray]:
        """Return the arrays of all images, filled up to ``limit`` objects."""
        names = [[one.class_names[number] for number in one.class_ids] for one in answers]
        return {
            "boxes": np.stack([np.pad(one.boxes, ((0, limit - len(one)), (0, 0))) for one in answers]),
            "scores": np.stack([np.pad(one.scores, (0, limit - len(one))) for one in answers]),
            "class_ids": np.stack([np.pad(one.class_ids, (0, limit - len(one))) for one in answers]),
            "class_names": np.array([row + [""] * (limit - len(row)) for row in names], object),
            "num_detections": np.array([len(one) for one in answers], np.int32),
        }

    @classmethod
    def in_tiles(cls, tiles: Tiles) -> Detections:
        """Find the objects of a large image in tiles; their number is not limited."""
        from pipelines.detection.tiled import ScanByPieces

        chosen = {**tiles.served.card.input["options"], **tiles.options}
        scales = chosen["scales"] if isinstance(chosen["scales"], (tuple, list)) else (chosen["scales"],)
        scan = ScanByPieces(tiles.served, tiles.raster, tiles.side, tuple(scales))
        score, overlap, softness = (
            float(chosen[key]) for key in ("score_threshold", "overlap_threshold", "soft_nms_sigma")
        )
        boxes, scores, class_ids = scan.detect(score, overlap, softness, tiles.counting(scan.pieces))
        return cls(tiles.name, boxes, scores, class_ids, tiles.classes)

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        """Yield the objects, the highest score first."""
        for box, score, class_id in zip(
            self.boxes.tolist(), self.scores.tolist(), self.class_ids.tolist(), strict=True
        ):
            yield Detection(tuple(box), class_id, self.class_names[class_id], score)

    def counts(self) -> dict[str, int]:
        """Return how many objects of each class were found, in the order of the classes; those without are left out."""
        names = [each.class_name for each in self]
        return {name: names.count(name) for name in self.class_names if name in names}

    def above(self, score: float) -> Detections:
        """Return those with at least this score."""
        kept = self.scores >= score
        return Detections(self.source, self.boxes[kept], self.scores[kept], self.class_ids[kept], self.class_names)

    def __str__(self) -> str:
        """Return one line: the image, how many objects, and the three with the highest scores."""
        if not len(self):
            return f"{self.source}: no object"
        shown = "; ".join(
            f"{each.class_name} ({percent(each.score, 1)}) at {', '.join(f'{side:.0f}' for side in each.box)}"
            for each in islice(self, 3)
        )
        more = f"; and {len(self) - 3} more" if len(self) > 3 else ""
        return f"{self.source}: {len(self)} object{'s' if len(self) > 1 else ''}: {shown}{more}"

    @classmethod
    def columns(cls, classes: Sequence[str]) -> list[str]:
        """Return the columns of a table with a row for each object."""
        return ["class_name", "score", "left", "top", "right", "bottom"]

    def rows(self) -> list[list[str]]:
        """Return a row for each object."""
        return [
            [each.class_name, f"{each.score:.6f}", *(f"{place:.2f}" for place in each.box)] for each in self
        ]  # fmt: skip

    def to_coco(self) -> list[dict[str, Any]]:
        """Return a record for each object, in COCO's results format.

        Returns:
            ``image_id`` (the source), ``category_id`` (the class id + 1), ``bbox`` (left, top, width, height in
            pixels) and ``score``.
        """
        return [
            {
                "image_id": self.source,
                "category_id": each.class_id + 1,
                "bbox": [each.box[0], each.box[1], each.box[2] - each.box[0], each.box[3] - each.box[1]],
                "score": each.score,
            }
            for each in self
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain values, for ``json.dumps``."""
        return {"source": self.source, "objects": [each.to_json() for each in self]}

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(each.class_name)}</td><td>{percent(each.score, 1)}</td></tr>" for each in self
        )
        return f"<table><caption>{html.escape(self.source)}</caption>{rows}</table>"

    def draw(
        self,
        image: ImageInput | None = None,
        side: int = 960,
        shown: Collection[int] | None = None,
        opacity: float = 1.0,
    ) -> Image.Image:
        """Draw the boxes on the image, each with its class and score.

        Args:
            image: the image; by default it is read again from ``source``.
            side: the longer side of the drawing, in pixels, unless the image is larger; tiny images are enlarged by
                whole pixels. Of an image too large to be decoded at once a small version is drawn on, no side of which
                is longer than 2,048 pixels.
            shown: class ids whose boxes are drawn; all by default.
            opacity: of the boxes, 0 to 1.

        Returns:
            A picture of mode RGB.

        Raises:
            DataError: if the image cannot be read.
        """
        image = self.source if image is None else image
        if is_too_large(image):
            with open_raster(image, self.source) as raster:
                picture = Image.fromarray(reduced(raster, _LARGE_SIDE))
                factor = 1 / -(-max(raster.height, raster.width) // max(picture.size))
        else:
            picture = image_io.open_rgb(image)
            times = max(1, side // max(picture.size))
            picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
            factor = float(times)
        boxes = picture if opacity >= 1 else picture.copy()
        table = class_colours(self.class_names)
        # The surest last, on top of all others.
        for each in reversed(list(self)):
            if shown is None or each.class_id in shown:
                _draw_box(boxes, each, factor, tuple(table[each.class_id].tolist()))
        return boxes if opacity >= 1 else Image.blend(picture, boxes, opacity)

    def compare(self, other: Self) -> Difference:
        """Pair the objects that two detectors found."""
        pairs = _pairs(self, other)
        rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
        ones, others = list(self), list(other)
        alone = len(ones) + len(others) - 2 * len(pairs)
        return ObjectDifference(
            self.source,
            alone / max(len(ones) + len(others), 1),
            not alone,
            self,
            other,
            tuple((ones[row], others[column]) for row, column in pairs),
            tuple(one for number, one in enumerate(ones) if number not in rows),
            tuple(one for number, one in enumerate(others) if number not in columns),
        )


@dataclass(frozen=True, eq=False)
class ObjectDifference(Difference):
    """The objects that two detectors found in one image.

    ``amount`` is the share of what was found that has no counterpart with the other.

    Args:
        both: pairs of one object each, with an overlap of at least 0.5 and the same class.
        first_only: what only the first found.
        second_only: likewise.
    """

    first: Detections
    second: Detections
    both: tuple[tuple[Detection, Detection], ...]
    first_only: tuple[Detection, ...]
    second_only: tuple[Detection, ...]


def _pairs(first: Detections, second: Detections) -> list[tuple[int, int]]:
    """Return which objects of two answers are the same: of a class, and of boxes that overlap."""
    from pipelines.images.boxes import overlaps

    shares = overlaps(first.boxes.astype(float).reshape(-1, 4), second.boxes.astype(float).reshape(-1, 4))
    same = np.array([[one.class_name == other.class_name for other in second] for one in first], bool)
    shares = np.where(same.reshape(shares.shape), shares, 0.0)
    pairs = []
    # The pairs that fit best first, so that what is found does not depend on which model is named first.
    for flat in np.argsort(-shares, axis=None, kind="stable"):
        row, column = divmod(int(flat), len(second))
        if shares[row, column] < _SAME:  # or one of the two has its counterpart already
            continue
        pairs.append((row, column))
        shares[row, :] = shares[:, column] = 0.0
    return pairs


def _draw_box(picture: Image.Image, each: Detection, factor: float, colour: tuple[int, int, int]) -> None:
    """Draw a box and what is in it; the text is as large as the picture lets it be read on a small screen."""
    pen = ImageDraw.Draw(picture)
    longest = max(picture.size)
    width, size = max(1, round(longest / 300)), max(14, round(longest / 45))
    left, top, right, bottom = (factor * place for place in each.box)
    pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=width)
    text = f"{each.class_name} {percent(each.score, 0)}"
    around = pen.textbbox((0, 0), text, font_size=size)
    across, height = around[2] - around[0] + 6, around[3] + 4
    # Above the box where there is room, and nowhere beyond the picture.
    above = top - height if top >= height else top
    start = max(0.0, min(left, picture.width - across))
    pen.rectangle((start, above, start + across, above + height), fill=colour)
    pen.text((start + 3, above + 1), text, fill=ink_on(colour), font_size=size)
