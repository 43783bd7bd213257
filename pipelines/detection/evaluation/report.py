"""The report of a detector: figures, tables and pictures, from images as they are answered one after another."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.detection.evaluation.errors import ERROR_KINDS, kinds_of
from pipelines.detection.evaluation.examples import Case, cases_picture
from pipelines.detection.evaluation.matching import IGNORED, curve, match, overlapping, rank
from pipelines.detection.evaluation.metrics import detection_figures
from pipelines.detection.evaluation.plots import froc_picture, kinds_picture, precision_recall_picture, sizes_picture
from pipelines.images.boxes import Detected, Objects
from pipelines.reporting.report import Picture, Report

__all__ = ["Answered", "report"]

_KEPT, _SHOWN = 36, 12


@dataclass(frozen=True, eq=False)
class Answered:
    """An image that a detector has answered.

    Args:
        id: what the image is called.
        image: encoded bytes.
        truth: the objects.
        found: the detections, weak ones too: a curve ends where they do.
    """

    id: str
    image: bytes
    truth: Objects
    found: Detected


def report(title: str, answered: Iterable[Answered], classes: Sequence[str], protocol: str = "coco") -> Report:
    """Measure a detector.

    The images are read once, and of all but a few dozen the bytes are let go at once.

    Args:
        title: what was evaluated on what.
        answered: the images, in any order.
        classes: names.
        protocol: "coco", or "uiuc" for the equal-error figures of UIUC's cars, too.

    Returns:
        The figures of :func:`pipelines.detection.evaluation.metrics.detection_figures`, three tables and five pictures.

    Raises:
        ValueError: if a class has no name, or the protocol is neither.
    """
    truths, found, worst = _take(answered)
    figures = detection_figures(truths, found, classes, protocol)
    tables = {
        "Overview": _overview(figures),
        "Classes": _class_table(figures["classes"]),
        "Error types": _kinds_table(figures["error_kinds"]),
    }
    return Report(title, figures, tables, _pictures(figures, truths, found, worst, classes))


def _take(answered: Iterable[Answered]) -> tuple[list[Objects], list[Detected], list[Answered]]:
    truths, found = [], []
    kept: list[tuple[float, int, Answered]] = []
    for number, each in enumerate(answered):
        truths.append(each.truth)
        found.append(each.found)
        # The number settles ties, so that two answers are never compared.
        heapq.heappush(kept, (_badness(each), -number, each))
        if len(kept) > _KEPT:
            heapq.heappop(kept)
    return truths, found, [each for _, _, each in sorted(kept, key=lambda entry: (-entry[0], -entry[1]))]


def _badness(each: Answered) -> float:
    """Return by how much scores are off, squared: this needs no threshold, and none is known before the last image."""
    matched = match(each.truth, each.found, overlapping())
    off = np.where(matched >= 0, 1 - each.found.scores, np.where(matched == IGNORED, 0, each.found.scores))
    missed = int((~each.truth.ignored).sum()) - int((matched >= 0).sum())
    return float(np.square(off, dtype=np.float64).sum()) + missed


def _pictures(
    figures: dict[str, Any],
    truths: Sequence[Objects],
    found: Sequence[Detected],
    worst: Sequence[Answered],
    classes: Sequence[str],
) -> list[Picture]:
    threshold = _threshold(figures)
    ranking = rank(truths, found, overlapping())
    pictures = [
        precision_recall_picture(figures),
        froc_picture(curve(ranking)),
        kinds_picture(figures["error_kinds"], threshold),
        sizes_picture(ranking, threshold),
    ]
    cases = [Case(each.id, each.image, each.truth, each.found.above(threshold)) for each in worst]
    # Sorting keeps the order of equals, in which the worst by their scores come first.
    shown = sorted(cases, key=lambda case: -_errors(case))[:_SHOWN]
    return [*pictures, cases_picture(shown, classes)] if shown else pictures


def _errors(case: Case) -> int:
    kinds, missed = kinds_of(case.truth, case.found)
    return sum(kind not in ("correct", None) for kind in kinds) + int(missed.sum())


def _threshold(figures: dict[str, Any]) -> float:
    return 0.5 if figures["best"]["threshold"] is None else figures["best"]["threshold"]


def _show(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _point(point: dict[str, float | None]) -> str:
    return f"precision {_show(point['precision'])}, recall {_show(point['recall'])}, F1 {_show(point['f1'])}"


def _overview(figures: dict[str, Any]) -> list[list[str]]:
    ignored = f" and {figures['ignored_objects']:,} ignored" if figures["ignored_objects"] else ""
    rows = [
        ["figure", "value"],
        ["images", f"{figures['images']:,}"],
        ["objects", f"{figures['objects']:,}{ignored}"],
        ["COCO AP (IoU 0.50 to 0.95)", _show(figures["ap"])],
        ["COCO AP at IoU 0.50", _show(figures["ap50"])],
        ["COCO AP at IoU 0.75", _show(figures["ap75"])],
        ["COCO AP of small, medium, large", ", ".join(_show(figures[f"ap_{size}"]) for size in _SIZES)],
        ["COCO recall with 1, 10, 100 detections", ", ".join(_show(figures[f"ar{most}"]) for most in (1, 10, 100))],
        ["Pascal VOC AP (all points; eleven points)", f"{_show(figures['voc_ap'])}; {_show(figures['voc_ap_11'])}"],
        ["log-average miss rate", _show(figures["log_average_miss_rate"])],
        ["mean sensitivity at 1/8 to 8 false positives per image", _show(figures["froc"]["mean"])],
        ["threshold of the best F1", _show(figures["best"]["threshold"])],
        ["at that threshold", _point(figures["best"])],
    ]
    if "uiuc" in figures:
        equal, best = figures["uiuc"]["equal_error"], figures["uiuc"]["best"]
        rows += [
            ["UIUC: at equal error", _point(equal)],
            ["UIUC: threshold of equal error", _show(equal["threshold"])],
            ["UIUC: at the best F1", _point(best)],
        ]
    return rows


_SIZES = ("small", "medium", "large")


def _class_table(classes: dict[str, dict[str, Any]]) -> list[list[str]]:
    columns = ("ap", "ap50", "voc_ap", "precision", "recall", "f1")
    return [["class", "AP", "AP50", "VOC AP", "precision", "recall", "F1", "objects", "detections"]] + [
        [name, *(_show(row[column]) for column in columns), f"{row['objects']:,}", f"{row['detections']:,}"]
        for name, row in classes.items()
    ]


def _kinds_table(kinds: dict[str, dict[str, int]]) -> list[list[str]]:
    rows = [[name, *(f"{counts[kind]:,}" for kind in ERROR_KINDS)] for name, counts in kinds.items()]
    if len(kinds) > 1:
        rows.append(["all", *(f"{sum(counts[kind] for counts in kinds.values()):,}" for kind in ERROR_KINDS)])
    return [["class", *ERROR_KINDS], *rows]
