"""The figures on a model card, as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipelines.artifacts.model_card import ModelCard
from pipelines.classification.plots import confusion_picture
from pipelines.detection.evaluation.plots import kinds_picture, precision_recall_picture
from pipelines.reporting.report import BLUE, INK, RED, Picture, png, reliability_picture, shortened
from pipelines.reporting.statistics import Calibration
from pipelines.segmentation.evaluation.plots import iou_picture, shares_picture

__all__ = ["card_pictures", "history_pictures"]

_MOST_BARS = 30


def card_pictures(card: ModelCard, part: str = "test") -> list[Picture]:
    """Return how good a model is, as pictures.

    Args:
        card: of the model.
        part: of the data: "test" or "validation".

    Returns:
        For classification the confusion matrix and the reliability; for detection the average precision of the classes,
        precision over recall, found objects against false alarms, and the kinds of errors; for segmentation the overlap
        of the classes, the confusion matrix and the reliability. Of these, what the card records: models of earlier
        versions recorded less. None where the part was not measured.
    """
    found = card.metrics.get(part)
    if not found:
        return []
    classes = tuple(card.classes)
    if card.task == "classification":
        return [confusion_picture(np.array(found["confusion"]), classes), *_reliability(found, "images")]
    if card.task == "detection":
        threshold = found["best"]["threshold"]
        return [
            _precision_picture(found["classes"], found["ap50"]),
            *([precision_recall_picture(found)] if "precision_recall" in found else []),
            *_alarms_picture(found["froc"]),
            kinds_picture(found["error_kinds"], 0.5 if threshold is None else threshold),
        ]
    return [
        iou_picture(found["classes"], found["mean_iou"]),
        shares_picture(np.array(found["confusion"]), classes),
        *_reliability(found, "pixels"),
    ]


def _reliability(found: dict[str, Any], counted: str) -> list[Picture]:
    bins = found.get("calibration")
    if not bins or found["expected_calibration_error"] is None:
        return []
    count = np.array(bins[counted])
    confidence, accuracy = (
        np.array([np.nan if one is None else one for one in bins[key]]) for key in ("confidence", "accuracy")
    )
    edges = np.linspace(0.0, 1.0, len(count) + 1)
    return [reliability_picture(Calibration(found["expected_calibration_error"], edges, confidence, accuracy, count))]


def _precision_picture(classes: dict[str, dict[str, Any]], mean: float | None) -> Picture:
    """Draw the average precision of each class at two demands on the overlap."""
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


def _alarms_picture(froc: dict[str, Any]) -> list[Picture]:
    """Draw how many objects are found at the numbers of false alarms that the card records."""
    if froc["sensitivity"] is None:
        return []
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
    return [Picture("Found objects against false alarms", caption, png(figure))]


def history_pictures(card: ModelCard) -> list[Picture]:
    """Draw how training went: the loss, and what else was followed, on training and on validation images.

    Args:
        card: of the model.

    Returns:
        A curve for each figure, with the epoch that was kept; none where the card records no epoch.
    """
    epochs = card.history["epochs"]
    best = card.history["best_epoch"]
    caption = f"On training images (solid) and validation images (dashed), epoch by epoch; kept was epoch {best}."
    names = [name for name in epochs[0] if not name.startswith("val_")] if epochs else []
    return [Picture(name.replace("_", " "), caption, png(_history(epochs, name, best))) for name in names]


def _history(epochs: list[dict[str, Any]], name: str, best: int) -> Figure:
    figure = Figure(figsize=(4.4, 3.1), layout="constrained")
    axes = figure.subplots()
    for key, label, colour, line in ((name, "training", BLUE, "-"), (f"val_{name}", "validation", RED, "--")):
        values = [np.nan if epoch.get(key) is None else epoch[key] for epoch in epochs]
        marker = "o" if len(epochs) < 3 else None
        axes.plot(range(1, len(epochs) + 1), values, line, color=colour, linewidth=1.5, label=label, marker=marker)
    axes.axvline(best, color=INK, linestyle=":", linewidth=1, label="kept")
    axes.set_title(name.replace("_", " "), color=INK)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(fontsize=8, frameon=False)
    return figure
