"""Pictures of a detector from what its card records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipelines.reporting.report import BLUE, INK, Picture, png, shortened

__all__ = ["alarms_picture", "precision_picture"]

_MOST_BARS = 30


def precision_picture(classes: Mapping[str, Mapping[str, Any]], mean: float | None) -> Picture:
    """Draw the average precision of each class at two demands on the overlap.

    Args:
        classes: by name, with ``ap50``, ``ap`` and ``objects``.
        mean: of the classes, at IoU 0.5.
    """
    measured = [name for name, row in classes.items() if row["ap50"] is not None]
    largest = set(sorted(measured, key=lambda name: -classes[name]["objects"])[:_MOST_BARS])
    drawn = [name for name in measured if name in largest]
    figure = Figure(figsize=(7, 1.2 + 0.34 * max(len(drawn), 1)))
    axes = figure.subplots()
    places = np.arange(len(drawn))
    half = [classes[name]["ap50"] for name in drawn]
    strict = [classes[name]["ap"] or 0.0 for name in drawn]
    axes.barh(places, half, height=0.76, color="#9ec3e6", edgecolor=INK, linewidth=0.4, label="at IoU 0.5")
    axes.barh(places, strict, height=0.4, color=BLUE, label="mean of IoU 0.50 to 0.95 (COCO)")
    for place, value in enumerate(half):
        axes.text(value + 0.01, place, f"{value:.3f}", va="center", fontsize=8, color=INK,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
    if mean is not None:
        axes.axvline(mean, color=INK, linestyle="--", linewidth=1, label=f"mean of the classes {mean:.3f}", zorder=0)
    axes.set_yticks(places, [f"{shortened(name)} ({classes[name]['objects']:,})" for name in drawn])
    axes.set(xlabel="average precision", xlim=(0, 1.12), ylim=(max(len(drawn), 1) - 0.4, -0.6))
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=8, frameon=False, ncols=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    caption = "The area under the curve of precision over recall; beside the name, how many objects there are."
    if len(drawn) < len(measured):
        caption += f" The {len(drawn)} classes with the most objects."
    return Picture("Average precision", caption, png(figure))


def alarms_picture(froc: Mapping[str, Any]) -> Picture:
    """Draw how many objects are found at the numbers of false alarms that the card records.

    Args:
        froc: ``rates``, ``sensitivity`` and ``mean``.
    """
    figure = Figure(figsize=(6, 3.6))
    axes = figure.subplots()
    axes.plot(froc["rates"], froc["sensitivity"], "o-", color=BLUE, linewidth=1.6)
    for rate, value in zip(froc["rates"], froc["sensitivity"], strict=True):
        axes.annotate(f"{value:.3f}", (rate, value), (0, -12), textcoords="offset points", ha="center", fontsize=8)
    axes.set_xscale("log")
    axes.set_xticks(froc["rates"], ["1/8", "1/4", "1/2", "1", "2", "4", "8"][: len(froc["rates"])])
    axes.minorticks_off()
    axes.set(xlabel="false alarms per image", ylabel="share of objects found", ylim=(0, 1.05))
    axes.grid(color="#dddddd", linewidth=0.6)
    caption = f"All classes together. The mean of the points is {froc['mean']:.3f}."
    return Picture("Found objects against false alarms", caption, png(figure))
