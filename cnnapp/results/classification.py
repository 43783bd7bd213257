"""The class of an image."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipelines.images import image_io
from pipelines.images.image_io import ImageInput

__all__ = ["Classification"]


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
