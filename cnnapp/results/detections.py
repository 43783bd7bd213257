"""Answers: frozen records that print, draw and convert to JSON."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from cnnapp.results.class_areas import ClassAreas
from cnnapp.results.large_segmentation import LargeSegmentation
from cnnapp.results.segmentation import Segmentation
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput
from pipelines.images.palette import class_colours, ink_on
from pipelines.images.windowed_reader import is_too_large, open_raster, reduced

__all__ = ["Answer", "Classification", "Detection", "Detections", "Segmentation", "to_coco", "to_rows"]

_LARGE_SIDE = 2048


@dataclass(frozen=True, eq=False)
class Classification:
    """The class of one image.

    Args:
        source: how the image was named: its path, or what it is.
        scores: float32 of shape (classes,), 0 to 1, summing to 1.
        class_names: the names of all classes, in the order of the scores.

    Raises:
        ValueError: if the scores are no probabilities, or are not as many as the names.

    Example:
        >>> answer = Classification("a.png", np.array([0.25, 0.75], "float32"), ("cat", "dog"))
        >>> print(answer)
        a.png: dog (75.0 %), cat (25.0 %)
        >>> answer.class_name, answer.class_id, answer.score
        ('dog', 1, 0.75)
    """

    source: str
    scores: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the scores, and keep them from being changed."""
        if self.scores.shape != (len(self.class_names),):
            raise ValueError(f"scores: received shape {self.scores.shape}; expected ({len(self.class_names)},)")
        if not (np.isfinite(self.scores).all() and abs(float(self.scores.sum()) - 1.0) < 1e-3):
            raise ValueError(f"scores: expected probabilities that sum to 1; received a sum of {self.scores.sum()}")
        self.scores.setflags(write=False)

    @property
    def class_id(self) -> int:
        """The index of the class with the highest score."""
        return int(self.scores.argmax())

    @property
    def class_name(self) -> str:
        """The name of the class with the highest score."""
        return self.class_names[self.class_id]

    @property
    def score(self) -> float:
        """The highest score."""
        return float(self.scores[self.class_id])

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """Return the ``count`` classes with the highest scores, highest first, as (name, score)."""
        order = np.argsort(-self.scores, kind="stable")[:count]
        return [(self.class_names[i], float(self.scores[i])) for i in order]

    def __str__(self) -> str:
        """Return one line: the image and its three likeliest classes."""
        return f"{self.source}: " + ", ".join(f"{name} ({score:.1%})".replace("%", " %") for name, score in self.top(3))

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain values, for ``json.dumps``."""
        return {
            "source": self.source,
            "class_id": self.class_id,
            "class_name": self.class_name,
            "score": self.score,
            "scores": dict(zip(self.class_names, map(float, self.scores), strict=True)),
        }

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{score:.1%}</td></tr>" for name, score in self.top())
        return f"<table><caption>{html.escape(self.source)}</caption>{rows}</table>"

    def draw(self, image: ImageInput | None = None, count: int = 5, side: int = 320) -> Image.Image:
        """Draw the image with bars for its likeliest classes beside it.

        Args:
            image: the image; by default it is read again from ``source``.
            count: how many classes.
            side: the longer side of the image in the drawing, in pixels.

        Returns:
            A picture of mode RGB.

        Raises:
            DataError: if the image cannot be read.
        """
        picture = image_io.open_rgb(self.source if image is None else image)
        scale = side / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        # Small images are shown by their pixels; a smooth enlargement would hide what the network sees.
        how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
        picture = picture.resize(size, how)
        bars = self.top(count)
        canvas = Image.new("RGB", (size[0] + 300, max(size[1], 34 * len(bars) + 16)), "white")
        canvas.paste(picture, (0, 0))
        pen = ImageDraw.Draw(canvas)
        left, width = size[0] + 16, 268
        for row, (name, score) in enumerate(bars):
            top = 10 + 34 * row
            pen.text((left, top), f"{name}  {score:.1%}", fill="#222222")
            pen.rectangle((left, top + 15, left + width, top + 23), fill="#e6e9ed")
            pen.rectangle((left, top + 15, left + width * score, top + 23), fill="#3567b0")
        return canvas


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
class Detections:
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
            f"{each.class_name} ({each.score * 100:.1f} %) at {', '.join(f'{side:.0f}' for side in each.box)}"
            for each in islice(self, 3)
        )
        more = f"; and {len(self) - 3} more" if len(self) > 3 else ""
        return f"{self.source}: {len(self)} object{'s' if len(self) > 1 else ''}: {shown}{more}"

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain values, for ``json.dumps``."""
        return {"source": self.source, "objects": [each.to_json() for each in self]}

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{html.escape(each.class_name)}</td><td>{each.score:.1%}</td></tr>" for each in self)
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


def _draw_box(picture: Image.Image, each: Detection, factor: float, colour: tuple[int, int, int]) -> None:
    """Draw a box and what is in it; the text is as large as the picture lets it be read on a small screen."""
    pen = ImageDraw.Draw(picture)
    longest = max(picture.size)
    width, size = max(1, round(longest / 300)), max(14, round(longest / 45))
    left, top, right, bottom = (factor * place for place in each.box)
    pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=width)
    text = f"{each.class_name} {each.score:.0%}"
    around = pen.textbbox((0, 0), text, font_size=size)
    across, height = around[2] - around[0] + 6, around[3] + 4
    # Above the box where there is room, and nowhere beyond the picture.
    above = top - height if top >= height else top
    start = max(0.0, min(left, picture.width - across))
    pen.rectangle((start, above, start + across, above + height), fill=colour)
    pen.text((start + 3, above + 1), text, fill=ink_on(colour), font_size=size)


Answer = Classification | Detections | Segmentation
"""What a model says of one image, by its task."""


def to_rows(
    answers: Sequence[Answer], failures: list[dict[str, str]], classes: Sequence[str], task: str = "classification"
) -> list[list[str]]:
    """Return answers as the rows of a table, the first of which names the columns.

    Args:
        answers: one row each; of detections one row an object, of segmentation one a class that occurs.
        failures: records with ``source`` and ``error``; one row each, behind the answers.
        classes: names; each has a column with its score.
        task: of the model.

    Returns:
        Columns ``source``, ``class_name``, ``score``, one a class (for detection the box: ``left``, ``top``, ``right``,
        ``bottom``; for segmentation ``pixels`` and ``share`` instead of the score), and ``error``.
    """
    if task == "segmentation":
        rows = [["source", "class_name", "pixels", "share", "error"]]
        for answer in answers:
            assert isinstance(answer, ClassAreas)
            rows += [[answer.source, name, str(pixels), f"{share:.6f}", ""] for name, pixels, share in answer.areas()]
        return rows + [[failure["source"], "", "", "", failure["error"]] for failure in failures]
    if task == "detection":
        rows = [["source", "class_name", "score", "left", "top", "right", "bottom", "error"]]
        for answer in answers:
            assert isinstance(answer, Detections)
            for each in answer:
                box = [f"{place:.2f}" for place in each.box]
                rows.append([answer.source, each.class_name, f"{each.score:.6f}", *box, ""])
        return rows + [[failure["source"], *[""] * 6, failure["error"]] for failure in failures]
    rows = [["source", "class_name", "score", *classes, "error"]]
    for answer in answers:
        assert isinstance(answer, Classification)
        scores = [f"{score:.6f}" for score in answer.scores]
        rows.append([answer.source, answer.class_name, f"{answer.score:.6f}", *scores, ""])
    blank = [""] * (len(classes) + 2)
    return rows + [[failure["source"], *blank, failure["error"]] for failure in failures]


def to_coco(answers: Sequence[Detections | Segmentation | LargeSegmentation]) -> list[dict[str, Any]]:
    """Return detections, or masks as run lengths, in COCO's results format.

    Args:
        answers: one an image.

    Returns:
        A record an object: ``image_id`` (the answer's source), ``category_id`` (the class id + 1), ``bbox`` (left, top,
        width, height in pixels), ``score``; of masks as :meth:`Segmentation.to_coco` has it.
    """
    kinds = (Segmentation, LargeSegmentation)
    masks = [record for answer in answers if isinstance(answer, kinds) for record in answer.to_coco()]
    return masks + [
        {
            "image_id": answer.source,
            "category_id": each.class_id + 1,
            "bbox": [each.box[0], each.box[1], each.box[2] - each.box[0], each.box[3] - each.box[1]],
            "score": each.score,
        }
        for answer in answers
        if isinstance(answer, Detections)
        for each in answer
    ]
