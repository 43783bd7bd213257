"""The class of an image."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from PIL import Image, ImageDraw

from cnnapp.results.answer import Answer, Difference
from pipelines.core.percent import percent
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput

__all__ = ["ClassDifference", "Classification"]


@dataclass(frozen=True, eq=False)
class Classification(Answer):
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

    outputs = ("scores",)
    together = 16
    one_class = True
    counted_by = ("serving_default", "scores")

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

    @classmethod
    def to_outputs(cls, answers: Sequence[Self], limit: int = 100) -> dict[str, np.ndarray]:
        """Return the scores, and the class with the highest, as number and as name."""
        return super().to_outputs(answers, limit) | {
            "class_ids": np.array([one.class_id for one in answers], np.int64),
            "class_names": np.array([one.class_name for one in answers], object),
        }

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
        return self.line(3)

    def line(self, top: int) -> str:
        """Return one line: the image and its likeliest classes.

        Args:
            top: how many.
        """
        return f"{self.source}: " + ", ".join(f"{name} ({percent(score, 1)})" for name, score in self.top(top))

    @classmethod
    def columns(cls, classes: Sequence[str]) -> list[str]:
        """Return the class, its score, and a column with the score of each class."""
        return ["class_name", "score", *classes]

    def rows(self) -> list[list[str]]:
        """Return one row."""
        return [[self.class_name, f"{self.score:.6f}", *(f"{score:.6f}" for score in self.scores)]]

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
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{percent(score, 1)}</td></tr>" for name, score in self.top()
        )
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
            pen.text((left, top), f"{name}  {percent(score, 1)}", fill="#222222")
            pen.rectangle((left, top + 15, left + width, top + 23), fill="#e6e9ed")
            pen.rectangle((left, top + 15, left + width * score, top + 23), fill="#3567b0")
        return canvas

    def compare(self, other: Self) -> Difference:
        """Say how far the scores of two classifiers differ. Classes are the same where their names are.

        Example:
            >>> first = Classification("a.png", np.array([0.75, 0.25], "float32"), ("cat", "dog"))
            >>> second = Classification("a.png", np.array([0.5, 0.5], "float32"), ("dog", "cat"))
            >>> first.compare(second).amount
            0.25
        """
        places = {name: number for number, name in enumerate(dict.fromkeys([*self.class_names, *other.class_names]))}
        scores = np.zeros((2, len(places)))
        for row, answer in zip(scores, (self, other), strict=True):
            row[[places[name] for name in answer.class_names]] = answer.scores
        amount = float(np.clip(np.abs(scores[0] - scores[1]).sum() / 2, 0, 1))
        return ClassDifference(self.source, amount, self.class_name == other.class_name, self, other)


@dataclass(frozen=True, eq=False)
class ClassDifference(Difference):
    """Two classes of one image.

    ``amount`` is the total variation between the scores, half the sum of their absolute differences: the largest
    difference in the probability of any set of classes.
    """

    first: Classification
    second: Classification

    def right(self, label: str) -> tuple[bool, bool]:
        """Return which of the two names the true class."""
        return self.first.class_name == label, self.second.class_name == label
