"""Pictures of a classifier's figures: its confusion matrix, and its worst mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from pipelines.images.decoding import decode
from pipelines.reporting.report import INK, Picture, png

__all__ = ["Mistake", "confusion_picture", "mistakes_picture"]

_SIDE = 160


@dataclass(frozen=True)
class Mistake:
    """One wrong answer: the image, and in words what it is and what it was taken for."""

    image: bytes
    text: str


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
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    caption = "Rows: true class; columns: predicted class. All entries off the diagonal are errors."
    return Picture("Confusion matrix", caption, png(figure))


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
        axes.imshow(_shown(mistake.image))
        axes.set_title(mistake.text, fontsize=7, color=INK)
    figure.tight_layout()
    return Picture("Worst mistakes", "The misclassified images with the highest scores.", png(figure))


def _shown(image: bytes) -> np.ndarray:
    """Decode an image as the classifier did, small enough for its place."""
    picture = Image.fromarray(decode(image, "image"))
    picture.thumbnail((_SIDE, _SIDE))
    return np.asarray(picture)
