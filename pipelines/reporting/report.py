"""A report of how good a model is: figures, tables and pictures, ready to be written out."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipelines.classification.metrics import Calibration
from pipelines.images import image_io

__all__ = [
    "BLUE",
    "INK",
    "RED",
    "Mistake",
    "Picture",
    "Report",
    "confusion_picture",
    "mistakes_picture",
    "png",
    "reliability_picture",
]

INK, BLUE, RED = "#222222", "#3567b0", "#c0392b"
"""The colours of lines and bars, which all pictures share."""


@dataclass(frozen=True)
class Picture:
    """A figure of a report: a PNG, with the sentence that belongs under it.

    Args:
        title: what it shows.
        caption: how it is to be read.
        png: the figure.
        description: what is to be seen in it, for those who do not see it, where the caption does not say so.
    """

    title: str
    caption: str
    png: bytes
    description: str = ""

    @property
    def alt(self) -> str:
        """What stands for the picture where it is not seen."""
        return f"{self.title}. {self.description or self.caption}"


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Args:
        title: what was evaluated on what.
        figures: plain values, as they go into ``report.json``.
        tables: by title: a list of rows, the first of which names the columns.
        pictures: in the order to show them.
    """

    title: str
    figures: dict[str, Any]
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)


@dataclass(frozen=True)
class Mistake:
    """One wrong answer: the image, and in words what it is and what it was taken for."""

    image: bytes
    text: str


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG, cut to what is drawn."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", facecolor="white")
    return buffer.getvalue()


def confusion_picture(confusion: np.ndarray, classes: tuple[str, ...]) -> Picture:
    """Draw a confusion matrix.

    Args:
        confusion: counts of shape (classes, classes); rows are the truth, columns the answer.
        classes: names.

    Returns:
        A heat map, coloured by share of the row; with the counts in it up to 30 classes.
    """
    count = len(classes)
    side = float(np.clip(2.5 + 0.45 * count, 4, 14))
    figure = Figure(figsize=(side, side))
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if count <= 50:
        axes.set_xticks(range(count), classes, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(count), classes)
    if count <= 30:
        for row, column in zip(*np.nonzero(confusion), strict=True):
            ink = "white" if shares[row, column] > 0.5 else INK
            axes.text(column, row, str(confusion[row, column]), ha="center", va="center", color=ink, fontsize=8)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    return Picture("Confusion matrix", "Rows are the truth, columns the answer; all else than the diagonal is wrong.",
                   png(figure))  # fmt: skip


def reliability_picture(found: Calibration) -> Picture:
    """Draw how often answers are right against how sure they were.

    Args:
        found: the bins.

    Returns:
        Bars of accuracy a bin with the diagonal of a perfectly calibrated model, and the number of answers below.
    """
    figure = Figure(figsize=(5, 5.5))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    middles = (found.edges[:-1] + found.edges[1:]) / 2
    width = float(found.edges[1] - found.edges[0]) * 0.92
    above.bar(middles, np.nan_to_num(found.accuracy), width, color=BLUE, label="share right")
    above.plot([0, 1], [0, 1], "--", color=INK, linewidth=1, label="perfectly calibrated")
    above.plot(found.confidence, found.accuracy, "o", color=RED, markersize=4, label="mean score of the bin")
    above.set_ylabel("share right")
    above.set_ylim(0, 1)
    above.legend(loc="upper left", fontsize=8)
    below.bar(middles, found.count, width, color="#9aa5b1")
    below.set_ylabel("answers")
    below.set_xlabel("score of the chosen class")
    below.set_xlim(0, 1)
    caption = f"Expected calibration error {found.error:.3f}: 0 means that scores can be taken for probabilities."
    return Picture("Reliability", caption, png(figure))


def mistakes_picture(mistakes: list[Mistake]) -> Picture:
    """Draw wrong answers in a grid.

    Args:
        mistakes: the worst first.

    Returns:
        Each image with its text above it.
    """
    columns = 6
    rows = max(1, -(-len(mistakes) // columns))
    figure = Figure(figsize=(columns * 1.7, rows * 2.1))
    for axes in (grid := figure.subplots(rows, columns, squeeze=False)).flat:
        axes.axis("off")
    for axes, mistake in zip(grid.flat, mistakes, strict=False):
        axes.imshow(np.asarray(image_io.open_rgb(mistake.image, max_side=160)))
        axes.set_title(mistake.text, fontsize=7, color=INK)
    figure.tight_layout()
    return Picture("Worst mistakes", "The wrong answers that were given with the highest score.", png(figure))
