"""Images with what a detector was to find in them and what it found, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, withStroke

from pipelines.core.errors import DataError
from pipelines.detection.evaluation.errors import kinds_of
from pipelines.images import image_io
from pipelines.images.boxes import Detected, Objects
from pipelines.reporting.report import INK, Picture, png, shortened

__all__ = ["Case", "cases_picture"]

_HIT, _FALSE, _TRUTH = "#3fa9f5", "#ff7f32", "#ffe94d"
_MOST_LABELS = 8
_SIDE = 420


@dataclass(frozen=True, eq=False)
class Case:
    """An image with its objects and what was found in it.

    Args:
        id: what the image is called.
        image: encoded bytes.
        truth: the objects.
        found: the detections above the threshold.
    """

    id: str
    image: bytes
    truth: Objects
    found: Detected


def cases_picture(cases: Sequence[Case], classes: Sequence[str]) -> Picture:
    """Draw images with their objects and detections.

    Args:
        cases: the worst first.
        classes: names; with one alone, the labels are bare scores.

    Returns:
        A grid of images: hits, false alarms and misses in colours and lines of their own.
    """
    columns = min(4, max(len(cases), 1))
    rows = max(1, -(-len(cases) // columns))
    figure = Figure(figsize=(columns * 3.4, rows * 3.4))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, case in zip(grid.flat, cases, strict=False):
        _draw_case(axes, case, classes)
    # The highest image sets the height of the rows, so that wide ones are not lost in white.
    steepest = max((_steepness(axes) for axes in grid.flat[: len(cases)]), default=1.0)
    height = rows * (3.3 * min(steepest, 1.5) + 0.35) + 0.4
    figure.set_size_inches(columns * 3.4, height)
    beside = 4 if columns > 1 else 2
    figure.legend(handles=_legend(), loc="upper center", ncols=beside, fontsize=9, frameon=False, handlelength=3.5)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.4 / height))
    caption = "The images with the most errors, worst first: correct detections, false positives and missed objects."
    return Picture("True positives, false positives and misses", caption, png(figure))


def _steepness(axes: Axes) -> float:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    return abs((top - bottom) / (right - left))


def _legend() -> list[Line2D]:
    styles: list[tuple[str, str, Any, float]] = [
        ("true positive", _HIT, "-", 2.2),
        ("false positive", _FALSE, (0, (1, 1)), 2.2),
        ("missed", _TRUTH, (0, (4, 2)), 2.2),
        ("labelled object", _TRUTH, (0, (4, 2)), 0.9),
    ]
    return [
        Line2D([], [], color=colour, linestyle=line, linewidth=width, label=label, path_effects=_outlined(width))
        for label, colour, line, width in styles
    ]


def _outlined(width: float) -> list[withStroke | Normal]:
    """Return a dark rim, without which no colour shows on every image."""
    return [withStroke(linewidth=width + 1.4, foreground=INK), Normal()]


def _draw_case(axes: Axes, case: Case, classes: Sequence[str]) -> None:
    axes.set_title(shortened(case.id, 40), fontsize=7.5, color=INK)
    try:
        image = image_io.open_rgb(case.image)
    except DataError:
        axes.text(0.5, 0.5, "cannot be displayed", ha="center", va="center", transform=axes.transAxes, fontsize=8)
        return
    width, height = image.size
    image.thumbnail((_SIDE, _SIDE))
    axes.imshow(np.asarray(image), extent=(0, width, height, 0), interpolation="nearest" if width < 150 else None)
    truth, found = case.truth, case.found
    kinds, missed = kinds_of(truth, found)
    for box, lost in zip(truth.boxes, missed, strict=True):
        _frame(axes, box, _TRUTH, (0, (4, 2)), 2.2 if lost else 0.9)
    for box, kind in zip(found.boxes, kinds, strict=True):
        right = kind in ("correct", None)
        _frame(axes, box, _HIT if right else _FALSE, "-" if right else (0, (1, 1)), 2.2 if not right else 1.6)
    # In a crowd, the labels of what is right would hide what is wrong.
    crowded = len(found) > _MOST_LABELS
    for box, score, class_id, kind in zip(found.boxes, found.scores, found.class_ids, kinds, strict=True):
        if not crowded or kind not in ("correct", None):
            name = f"{shortened(classes[class_id], 14)} " if len(classes) > 1 else ""
            _label(axes, box, f"{name}{score:.2f}", _HIT if kind in ("correct", None) else _FALSE, height)
    for box, class_id in zip(truth.boxes[missed], truth.class_ids[missed], strict=True):
        text = shortened(classes[class_id], 14) if len(classes) > 1 else "missed"
        _label(axes, box, text, _TRUTH, height, below=True)
    # Boxes may reach outside the image, and are to be seen there.
    reach = np.concatenate([truth.boxes, found.boxes, [[0, 0, width, height]]])
    room = np.array([0.15 * width, 0.15 * height])
    left, top = np.maximum(reach[:, :2].min(axis=0), -room)
    right, bottom = np.minimum(reach[:, 2:].max(axis=0), np.array([width, height]) + room)
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _frame(axes: Axes, box: np.ndarray, colour: str, line: Any, width: float) -> None:
    left, top, right, bottom = map(float, box)
    axes.add_patch(
        Rectangle(
            (left, top),
            right - left,
            bottom - top,
            fill=False,
            edgecolor=colour,
            linewidth=width,
            linestyle=line,
            path_effects=_outlined(width),
        )
    )


def _label(axes: Axes, box: np.ndarray, text: str, colour: str, height: int, below: bool = False) -> None:
    left, top, _, bottom = map(float, box)
    axes.text(
        max(left, 0), min(bottom, height) if below else max(top, 0), text, fontsize=6.5, color=INK, clip_on=True,
        va="top" if below else "bottom", bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.8, "alpha": 0.9},
    )  # fmt: skip
