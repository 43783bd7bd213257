"""Pictures of how good a detector is: curves, kinds of errors, sizes of objects."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.boxes import areas
from pipelines.detection_errors import ERROR_KINDS
from pipelines.detection_metrics import FROC_RATES, OperatingPoint, froc
from pipelines.evaluation import BLUE, INK, Picture, png
from pipelines.matching import Curve, Ranking

__all__ = ["froc_picture", "kinds_picture", "precision_recall_picture", "shortened", "sizes_picture"]

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Told apart by the colour-blind, too (Okabe and Ito, 2008, "Color Universal Design")."""

_LINES = ("-", "--", "-.", ":")

_KIND_STYLES = {
    "correct": ("#0072b2", ""),
    "localisation": ("#56b4e9", "///"),
    "confusion": ("#cc79a7", "\\\\\\"),
    "duplicate": ("#e69f00", "..."),
    "background": ("#d55e00", "xxx"),
    "missed": ("#ffffff", "---"),
}

_MOST_CURVES, _MOST_BARS, _MOST_BINS = 10, 20, 8


def precision_recall_picture(curves: dict[str, Curve], ap50: dict[str, float | None], best: OperatingPoint) -> Picture:
    """Draw precision over recall of each class, at an overlap of 0.5.

    Args:
        curves: by the name of the class; those with the most objects are drawn.
        ap50: by the name of the class.
        best: of all classes together, where it is marked.

    Returns:
        The curves, with the average precision in the legend.
    """
    drawn = _largest({name: shown.objects for name, shown in curves.items()}, _MOST_CURVES)
    figure = Figure(figsize=(6.6, 5))
    axes = figure.subplots()
    for number, name in enumerate(drawn):
        shown = curves[name]
        label = f"{shortened(name)}  {ap50[name] or 0:.3f}"
        # From the left edge, so that a curve of one point is seen too.
        recall = np.concatenate([[0.0], shown.recall])
        precision = np.concatenate([shown.precision[:1] if len(shown.precision) else [0.0], shown.precision])
        colour, line = _COLOURS[number % len(_COLOURS)], _LINES[number % len(_LINES)]
        axes.plot(recall, precision, linewidth=1.6, label=label, color=colour, linestyle=line)
    if best.precision is not None:
        label = f"best F1 of all {best.f1:.3f}\n(score {best.threshold:.3f})"
        axes.plot([best.recall or 0], [best.precision], "*", color=INK, markersize=11, label=label)
    if not drawn:
        _say_nothing_is(axes, "to be found")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.grid(color="#dddddd", linewidth=0.6)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, frameon=False, title="AP at IoU 0.5")
    left_out = sum(shown.objects > 0 for shown in curves.values()) - len(drawn)
    more = f" The {len(drawn)} classes with the most objects; {left_out} more are left out." if left_out > 0 else ""
    return Picture(
        "Precision and recall", f"Over all thresholds of the score, at an overlap of 0.5.{more}", png(figure)
    )


def _largest(sizes: dict[str, int], most: int) -> list[str]:
    return [name for name in sorted(sizes, key=lambda name: -sizes[name])[:most] if sizes[name]]


def shortened(name: str, longest: int = 22) -> str:
    """Return a name, without its middle where it is longer than there is room for.

    Example:
        >>> shortened("traffic light, number 31", 12)
        'traffic…r 31'
    """
    tail = longest // 3
    return name if len(name) <= longest else f"{name[: longest - tail - 1].rstrip()}…{name[-tail:].lstrip()}"


def _say_nothing_is(axes: Axes, what: str) -> None:
    axes.text(0.5, 0.5, f"nothing is {what}", ha="center", va="center", transform=axes.transAxes, color=INK)


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
        _say_nothing_is(axes, "to be found")
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
    axes.set(xlabel="false alarms per image", ylabel="share of objects found", xlim=(least, 16), ylim=(0, 1.03))
    axes.grid(color="#dddddd", linewidth=0.6)
    caption = f"All classes together. The mean of the seven points is {mean}."
    return Picture("Found objects against false alarms", caption, png(figure))


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
    axes.set(xlabel="share of the detections and of the objects that were missed", xlim=(0, 1))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if drawn:
        axes.set_ylim(len(drawn) - 0.4, -0.6)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, frameon=False, handleheight=1.4)
    else:
        _say_nothing_is(axes, "found or missed")
    caption = f"Detections with a score of at least {threshold:.3f}, under the class that they were taken for."
    if sum(any(counts.values()) for counts in kinds.values()) > len(drawn):
        caption += f" The {len(drawn)} classes with the most of them; the table has the others."
    return Picture("Kinds of errors", caption, png(figure))


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
        _say_nothing_is(axes, "to be found")
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
    axes.set(xlabel="size of the object: square root of its area, in pixels", ylabel="share found", ylim=(0, 1.02))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    caption = f"At a score of at least {threshold:.3f}; in each bar its share and the number of objects."
    return Picture("Size of the objects", caption, png(figure))
