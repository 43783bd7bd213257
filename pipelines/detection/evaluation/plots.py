"""Pictures of how good a detector is: curves, kinds of errors, sizes of objects."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.detection.evaluation.errors import ERROR_KINDS
from pipelines.detection.evaluation.matching import Curve, Ranking
from pipelines.detection.evaluation.metrics import FROC_RATES, froc
from pipelines.images.boxes import areas
from pipelines.reporting.report import BLUE, INK, Picture, png, shortened

__all__ = ["froc_picture", "kinds_picture", "precision_recall_picture", "sizes_picture"]

_COLOURS = ("#0072b2", "#d55e00")
"""Told apart by the colour-blind, too (Okabe and Ito, 2008, "Color Universal Design")."""

_KIND_STYLES = {
    "correct": ("#0072b2", ""),
    "localisation": ("#56b4e9", "///"),
    "confusion": ("#cc79a7", "\\\\\\"),
    "duplicate": ("#e69f00", "..."),
    "background": ("#d55e00", "xxx"),
    "missed": ("#ffffff", "---"),
}

_MOST_CURVES, _MOST_BARS, _MOST_BINS = 12, 20, 8
_COLUMNS = 4  # of panels, a class each
_SPOKEN, _MOST_SPOKEN = (0.5, 0.8, 0.9, 0.95, 1.0), 30


def precision_recall_picture(figures: dict[str, Any]) -> Picture:
    """Draw precision over recall: the mean of the classes at two overlaps, and each class at an overlap of 0.5.

    Args:
        figures: of :func:`pipelines.detection.evaluation.metrics.detection_figures`, or as they are on a model card:
            ``precision_recall``, ``ap50``, ``ap75``, ``best`` and ``classes``.

    Returns:
        The mean with all classes faintly behind it, and where there are several a panel for each, up to twelve of them:
        in one panel, the curves of good classes lie upon each other.
    """
    curves, rows = figures["precision_recall"], figures["classes"]
    sizes = {name: row["objects"] for name, row in rows.items() if curves["classes"][name] is not None}
    largest = set(_largest(sizes, _MOST_CURVES))
    drawn = [name for name in sizes if name in largest] if len(sizes) > 1 else []
    lines = -(-len(drawn) // _COLUMNS)
    figure = Figure(figsize=(6, 3.7 + 1.3 * lines), layout="constrained")
    grid = figure.add_gridspec(1 + lines, _COLUMNS, height_ratios=[3, *[1.2] * lines])
    _draw_mean(figure.add_subplot(grid[0, :]), figures)
    for place, name in enumerate(drawn):
        axes = figure.add_subplot(grid[1 + place // _COLUMNS, place % _COLUMNS])
        _draw_curve(axes, curves["mean50"], color="#b8b8b8", linewidth=1.2)
        _draw_curve(axes, curves["classes"][name], color=_COLOURS[0], linewidth=1.5)
        axes.set_title(f"{shortened(name, 12)}: {rows[name]['ap50']:.3f}", fontsize=9, color=INK)
        _frame(axes, (0, 1))
        axes.tick_params(labelsize=7, labelleft=place % _COLUMNS == 0, labelbottom=place // _COLUMNS == lines - 1)
    caption = (
        "Precision is interpolated: at each recall, the highest precision at that recall or above. The area under a "
        "curve is its average precision (AP, as COCO defines it)."
    )
    if drawn:
        caption += " Below: each class with its AP at IoU 0.5; the mean of all classes in grey."
    if len(drawn) < len(sizes) and drawn:
        caption += f" The {len(drawn)} classes with the most objects; {len(sizes) - len(drawn)} more are omitted."
    return Picture("Precision and recall", caption, png(figure), _in_words(figures, list(sizes)))


def _draw_mean(axes: Axes, figures: dict[str, Any]) -> None:
    """Draw the mean of the classes, before all of these, with the point of the best F1."""
    curves, best = figures["precision_recall"], figures["best"]
    for each in curves["classes"].values():
        _draw_curve(axes, each, color="#d5d5d5", linewidth=0.8)
    for key, overlap, colour, line in (("50", "0.50", _COLOURS[0], "-"), ("75", "0.75", _COLOURS[1], "--")):
        if curves[f"mean{key}"] is not None:
            label = f"AP at IoU {overlap}: {figures[f'ap{key}']:.3f}"
            _draw_curve(axes, curves[f"mean{key}"], color=colour, linestyle=line, linewidth=1.8, label=label)
    if best["precision"] is not None:
        label = f"best F1: {best['f1']:.3f} (score {best['threshold']:.3f})"
        axes.plot([best["recall"] or 0], [best["precision"]], "*", color=INK, markersize=9, label=label)
    if curves["mean50"] is None:
        _say_none(axes, "no objects")
    _frame(axes, np.linspace(0, 1, 6))
    axes.set(xlabel="recall", ylabel="precision")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=8.5, frameon=False, ncols=3, columnspacing=1)


def _draw_curve(axes: Axes, precision: list[float] | None, **style: Any) -> None:
    """Draw precisions at even recalls from 0 to 1, down to the axis where no object more is found."""
    if precision is None:
        return
    reached = int(np.count_nonzero(precision))
    recall = np.linspace(0, 1, len(precision))[:reached]
    axes.plot([*recall, *recall[-1:]], [*precision[:reached], *[0.0][:reached]], **style)


def _frame(axes: Axes, ticks: Sequence[float] | np.ndarray) -> None:
    axes.set(xlim=(-0.015, 1.03), ylim=(-0.015, 1.03))
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.grid(color="#dddddd", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _in_words(figures: dict[str, Any], classes: list[str]) -> str:
    """Say what the curves show to those who do not see them."""
    mean = figures["precision_recall"]["mean50"]
    if mean is None:
        return "No curve: there are no objects."
    points = [f"{mean[round(recall * (len(mean) - 1))]:.3f} at recall {recall:g}" for recall in _SPOKEN]
    said = f"At IoU 0.5 the mean precision of the classes is {', '.join(points)}."
    if len(classes) > 1:
        by_class = ", ".join(f"{name} {figures['classes'][name]['ap50']:.3f}" for name in classes[:_MOST_SPOKEN])
        more = f", and {len(classes) - _MOST_SPOKEN} more" if len(classes) > _MOST_SPOKEN else ""
        said += f" Average precision by class: {by_class}{more}."
    return said


def _largest(sizes: dict[str, int], most: int) -> list[str]:
    return [name for name in sorted(sizes, key=lambda name: -sizes[name])[:most] if sizes[name]]


def _say_none(axes: Axes, what: str) -> None:
    axes.text(0.5, 0.5, what, ha="center", va="center", transform=axes.transAxes, color=INK)


def froc_picture(shown: Curve) -> Picture:
    """Draw how many objects are found over how many false alarms there are an image.

    Args:
        shown: of all classes together.

    Returns:
        The free-response curve, with the points by which it is summed up.
    """
    summary = froc(shown)
    figure = Figure(figsize=(6, 4.2))
    axes = figure.subplots()
    least = min(FROC_RATES[0], 1 / max(shown.images, 1)) / 2
    # Steps, as what can be reached with at most so many; before the first false alarm they begin at the left edge.
    rates = np.concatenate([[least], np.maximum(shown.wrong_per_image, least), [FROC_RATES[-1] * 2]])
    reached = np.concatenate([[0.0], shown.recall, shown.recall[-1:] if len(shown.recall) else [0.0]])
    mean = "not defined without objects"
    if summary["sensitivity"] is None:
        _say_none(axes, "no objects")
    else:
        axes.step(rates, reached, where="post", color=BLUE, linewidth=1.6)
        axes.plot(summary["rates"], summary["sensitivity"], "o", color=INK, markersize=5)
        for rate, value in zip(summary["rates"], summary["sensitivity"], strict=True):
            axes.annotate(f"{value:.3f}", (rate, value), (4, -4 if value > 0.1 else 12), textcoords="offset points",
                          va="top", fontsize=8, color=INK)  # fmt: skip
        mean = f"{summary['mean']:.3f}"
    axes.set_xscale("log")
    axes.set_xticks(FROC_RATES, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.minorticks_off()
    axes.set(xlabel="false positives per image", ylabel="sensitivity (recall)", xlim=(least, 16), ylim=(0, 1.03))
    axes.grid(color="#dddddd", linewidth=0.6)
    caption = f"All classes together. The mean of the seven points is {mean}."
    return Picture("Free-response ROC (FROC)", caption, png(figure))


def kinds_picture(kinds: dict[str, dict[str, int]], threshold: float) -> Picture:
    """Draw what became of the detections and the objects of each class.

    Args:
        kinds: by the name of the class, counts by kind.
        threshold: of the score, for the caption.

    Returns:
        A stacked bar a class.
    """
    drawn = _largest({name: sum(counts.values()) for name, counts in kinds.items()}, _MOST_BARS)
    figure = Figure(figsize=(7.5, 1.4 + 0.36 * max(len(drawn), 1)))
    axes = figure.subplots()
    totals = np.array([sum(kinds[name].values()) for name in drawn], float)
    start = np.zeros(len(drawn))
    for kind in ERROR_KINDS:
        colour, hatch = _KIND_STYLES[kind]
        shares = np.array([kinds[name][kind] for name in drawn]) / totals
        axes.barh(range(len(drawn)), shares, left=start, height=0.7, color=colour, hatch=hatch, edgecolor=INK,
                  linewidth=0.6, label=f"{kind} ({sum(each[kind] for each in kinds.values()):,})")  # fmt: skip
        start += shares
    names = [f"{shortened(name)} ({total:,.0f})" for name, total in zip(drawn, totals, strict=True)]
    axes.set_yticks(range(len(drawn)), names)
    axes.set(xlabel="share of detections and missed objects", xlim=(0, 1))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if drawn:
        axes.set_ylim(len(drawn) - 0.4, -0.6)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, frameon=False, handleheight=1.4)
    else:
        _say_none(axes, "no detections and no objects")
    caption = f"Detections with a score of at least {threshold:.3f}, by predicted class."
    if sum(any(counts.values()) for counts in kinds.values()) > len(drawn):
        caption += f" Shown are the {len(drawn)} classes with the most; the table has all of them."
    return Picture("Error types", caption, png(figure))


def sizes_picture(ranking: Ranking, threshold: float) -> Picture:
    """Draw how many of the small and of the large objects are found.

    Args:
        ranking: all detections and objects.
        threshold: detections with at least this score are kept.

    Returns:
        A bar for each of up to eight ranges of size that hold about as many objects each.
    """
    sizes = np.sqrt(areas(ranking.objects.boxes.astype(np.float64)))
    hit = ranking.found_at >= threshold
    figure = Figure(figsize=(7, 3.6))
    axes = figure.subplots()
    if not len(sizes):
        axes.set_xticks([])
        _say_none(axes, "no objects")
    else:
        inner = np.round(np.quantile(sizes, np.linspace(0, 1, min(_MOST_BINS, len(sizes)) + 1)[1:-1]))
        edges = np.unique([np.floor(sizes.min()), *inner, np.floor(sizes.max()) + 1])
        place = np.searchsorted(edges, sizes, side="right") - 1
        count = np.bincount(place, minlength=len(edges) - 1)
        recall = np.bincount(place, weights=hit, minlength=len(edges) - 1) / np.maximum(count, 1)
        axes.bar(range(len(count)), recall, width=0.8, color=BLUE)
        for number, (share, total) in enumerate(zip(recall, count, strict=True)):
            if total:
                text = f"{share:.2f}\n{total:,}"
                high = share > 0.2
                axes.text(number, share - 0.02 if high else share + 0.02, text, ha="center", fontsize=8,
                          va="top" if high else "bottom", color="white" if high else INK)  # fmt: skip
        axes.set_xticks(range(len(count)), [f"{low:.0f}–{high:.0f}" for low, high in pairwise(edges)], fontsize=8)
    axes.set(xlabel="object size: square root of the area, in pixels", ylabel="recall", ylim=(0, 1.02))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    caption = f"At a score of at least {threshold:.3f}; each bar shows the recall and the number of objects."
    return Picture("Recall by object size", caption, png(figure))
