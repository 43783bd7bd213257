"""The answer of regression: one number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnapp.results.answer import Answer

__all__ = ["Number"]


@dataclass(frozen=True, eq=False)
class Number(Answer):
    """The number of one image."""

    outputs = ("values",)

    source: str
    values: np.ndarray
    class_names: tuple[str, ...]

    @property
    def value(self) -> float:
        """The number."""
        return float(self.values)

    def __str__(self) -> str:
        """Return one line: the image, and the number."""
        return f"{self.source}: {self.value:.3f}"

    @classmethod
    def columns(cls, classes: Sequence[str]) -> list[str]:
        """Return one column."""
        return ["value"]

    def to_json(self) -> dict[str, object]:
        """Return the number as a plain value."""
        return {"source": self.source, "value": self.value}
