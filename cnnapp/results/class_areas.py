"""What answers of segmentation have in common: how many pixels each class has."""

from __future__ import annotations

import html
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from cnnapp.results.answer import Answer
from pipelines.core.percent import percent

__all__ = ["ClassAreas"]


class ClassAreas(Answer):
    """The areas of classes over one image; subclasses define where the counts come from."""

    outputs = ("class_map", "confidence", "sizes")
    unit = "pixel"
    coco = True
    tiled = True
    counted_by = ("probabilities", "probabilities")

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width of the upright image, in pixels."""

    @property
    @abstractmethod
    def counts(self) -> np.ndarray:
        """How many pixels each class has."""

    def areas(self) -> list[tuple[str, int, float]]:
        """Return the classes that occur, the largest area first: name, pixels, share of the image."""
        counts = self.counts
        order = np.argsort(-counts, kind="stable")
        return [(self.class_names[i], int(counts[i]), float(counts[i] / counts.sum())) for i in order if counts[i]]

    def __str__(self) -> str:
        """Return one line: the image, its size, and the shares of the classes with the largest areas."""
        height, width = self.size
        shown = ", ".join(f"{name} {percent(share, 1)}" for name, _, share in self.areas()[:5])
        more = len(self.areas()) - 5
        return f"{self.source}: {width} x {height} pixels: {shown}" + (f", and {more} more" if more > 0 else "")

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{percent(share, 1)}</td></tr>" for name, _, share in self.areas()
        )
        return f"<table><caption>{html.escape(self.source)}</caption>{rows}</table>"

    @classmethod
    def columns(cls, classes: Sequence[str]) -> list[str]:
        """Return the columns of a table with a row for each class that occurs."""
        return ["class_name", "pixels", "share"]

    def rows(self) -> list[list[str]]:
        """Return a row for each class that occurs, the largest area first."""
        return [[name, str(pixels), f"{share:.6f}"] for name, pixels, share in self.areas()]

    def to_json(self) -> dict[str, object]:
        """Return size and areas as plain values."""
        height, width = self.size
        areas = [{"class_name": name, "pixels": pixels, "share": share} for name, pixels, share in self.areas()]
        return {"source": self.source, "height": height, "width": width, "areas": areas}
