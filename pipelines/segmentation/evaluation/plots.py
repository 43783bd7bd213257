"""Pictures of how good the class of every pixel is: overlap of the classes, and what is taken for what."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipelines.core.percent import percent
from pipelines.reporting.report import BLUE, INK, Picture, png, shortened

__all__ = ["iou_picture", "shares_picture"]

_MOST_BARS, _MOST_NAMES, _MOST_NUMBERS = 30, 50, 22


def iou_picture(classes: dict[str, dict[str, Any]], mean: float | None) -> Picture:
    """Draw how far the answers overlap the truth, a bar for each class.

    Args:
        classes: by name, with ``iou`` and ``pixels``; those with the most pixels are drawn, in the order given.
        mean: of all classes, drawn as a line.

    Returns:
        Horizontal bars, with the share of the class in the pixels beside its name.
    """
    measured = [name for name, row in classes.items() if row["iou"] is not None]
    largest = sorted(measured, key=lambda name: -classes[name]["pixels"])[:_MOST_BARS]
    drawn = [name for name in measured if name in largest]
    total = max(sum(row["pixels"] for row in classes.values()), 1)
    values = [classes[name]["iou"] for name in drawn]
    figure = Figure(figsize=(7, 1.2 + 0.3 * max(len(drawn), 1)))
    axes = figure.subplots()
    axes.barh(range(len(drawn)), values, height=0.7, color=BLUE)
    for place, value in enumerate(values):
        axes.text(value + 0.01, place, f"{value:.3f}", va="center", fontsize=8, color=INK,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
    if mean is not None:
        axes.axvline(mean, color=INK, linestyle="--", linewidth=1, label=f"mean of the classes {mean:.3f}", zorder=0)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=8, frameon=False)
    names = [f"{shortened(name)} ({percent(classes[name]['pixels'] / total, 1)})" for name in drawn]
    axes.set_yticks(range(len(drawn)), names)
    axes.set(xlabel="intersection over union", xlim=(0, 1.08), ylim=(max(len(drawn), 1) - 0.4, -0.6))
    axes.set_xticks(np.linspace(0, 1, 6))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    caption = "Intersection over union of each class; next to its name, its share of all labelled pixels."
    if len(drawn) < len(measured):
        caption += f" The {len(drawn)} most common classes; the table has all of them."
    return Picture("Intersection over union", caption, png(figure))


def shares_picture(confusion: np.ndarray, classes: tuple[str, ...]) -> Picture:
    """Draw a confusion matrix as shares of its rows.

    Args:
        confusion: counts of shape (classes, classes); rows are the truth, columns the answer.
        classes: names.

    Returns:
        A heat map; with percentages in it up to 22 classes, and names up to 50. Rows of classes without a pixel are
        empty.
    """
    count = len(classes)
    side = float(np.clip(2.5 + 0.45 * count, 4, 13))
    figure = Figure(figsize=(side, side))
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if count <= _MOST_NAMES:
        names = [shortened(name) for name in classes]
        axes.set_xticks(range(count), names, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(count), names)
    if count <= _MOST_NUMBERS:
        # Below half a percent a cell would read 0, which it is not.
        for row, column in zip(*np.nonzero(shares >= 0.005), strict=True):
            ink = "white" if shares[row, column] > 0.5 else INK
            axes.text(column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", color=ink, fontsize=8)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    caption = "For the pixels of each true class (row), the share of each predicted class (column), in per cent."
    return Picture("Confusion matrix", caption, png(figure))
