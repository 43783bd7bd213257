"""Figures of how good a detector is, from the objects and the detections of every image.

Where nothing else is said, a detection is right if it overlaps an object of its class by at least half, which no better
one has found (see :func:`pipelines.detection.evaluation.matching.match`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipelines.detection.evaluation.average_precision import coco_figures, voc_area
from pipelines.detection.evaluation.errors import error_kinds
from pipelines.detection.evaluation.matching import Curve, Rule, centred, curve, overlapping, rank
from pipelines.images.boxes import Detected, Objects

__all__ = [
    "FROC_RATES",
    "OperatingPoint",
    "best_point",
    "detection_figures",
    "equal_error",
    "froc",
    "log_average_miss_rate",
    "point_at",
]

FROC_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per image at which a free-response curve is summed up."""


@dataclass(frozen=True)
class OperatingPoint:
    """What a detector does at one threshold; None where it is not defined.

    Args:
        threshold: detections with at least this score are kept.
        precision: share of the detections that are right.
        recall: share of the objects that are found.
        f1: harmonic mean of the two.
    """

    threshold: float | None
    precision: float | None
    recall: float | None
    f1: float | None


def _point(shown: Curve, place: int) -> OperatingPoint:
    figures = (shown.thresholds, shown.precision, shown.recall, shown.f1)
    return OperatingPoint(*(float(values[place]) for values in figures))


def _nowhere(shown: Curve) -> OperatingPoint:
    return OperatingPoint(None, None, 0.0, 0.0) if shown.objects else OperatingPoint(None, None, None, None)


def best_point(shown: Curve) -> OperatingPoint:
    """Return the threshold at which F1 is best, of equals the highest: a suggestion, which fits the data it came from.

    Args:
        shown: of all classes together, for one threshold that serves them all.

    Returns:
        The point; without a threshold where no detection is right.

    Example:
        >>> shown = Curve(np.array([0.9, 0.8, 0.3]), np.array([1, 2, 2]), np.array([0, 0, 4]), objects=3, images=2)
        >>> best_point(shown)
        OperatingPoint(threshold=0.8, precision=1.0, recall=0.6666666666666666, f1=0.8)
    """
    return _point(shown, int(shown.f1.argmax())) if shown.right.any() else _nowhere(shown)


def point_at(shown: Curve, threshold: float) -> OperatingPoint:
    """Return what a detector does at a given threshold.

    Args:
        shown: the curve.
        threshold: detections with at least this score are kept.

    Returns:
        The point; precision is None where nothing is detected, and recall where there is nothing to be found.
    """
    kept = int(np.searchsorted(-shown.thresholds, -threshold, side="right"))
    right, wrong = (int(shown.right[kept - 1]), int(shown.wrong[kept - 1])) if kept else (0, 0)
    return OperatingPoint(
        threshold,
        right / (right + wrong) if right + wrong else None,
        right / shown.objects if shown.objects else None,
        2 * right / (right + wrong + shown.objects) if shown.objects else None,
    )


def equal_error(truths: Sequence[Objects], found: Sequence[Detected], rule: Rule) -> OperatingPoint:
    """Return the point at which recall and precision are equal.

    They are where there are as many detections as objects. Where no threshold leaves exactly as many, because scores
    are equal or detections too few, it is the threshold that comes nearest; of two as near, the one of better F1. The
    figures are those at that threshold: nothing is interpolated.

    Args:
        truths: the objects of each image.
        found: the detections of each image.
        rule: what it takes to find an object: :func:`pipelines.detection.evaluation.matching.centred` for the protocol
            of UIUC's cars.

    Returns:
        The point; without a threshold where nothing is detected or there is nothing to be found.

    Raises:
        ValueError: if there are not as many entries of the one as of the other.

    Reference:
        Agarwal, Awan, Roth (2004), "Learning to Detect Objects in Images via a Sparse, Part-Based Representation".
    """
    return _equal_error(curve(rank(truths, found, rule)))


def _equal_error(shown: Curve) -> OperatingPoint:
    if not shown.objects or not len(shown.thresholds):
        return _nowhere(shown)
    surplus = np.abs(shown.right + shown.wrong - shown.objects)
    return _point(shown, int(np.lexsort((-shown.f1, surplus))[0]))


def _recall_within(shown: Curve, rates: np.ndarray) -> np.ndarray:
    """Return the best recall with at most so many false positives an image; 0 where the first detection is too many."""
    reached = np.searchsorted(shown.wrong_per_image, rates, side="right")
    return np.concatenate([[0.0], shown.recall])[reached]


def log_average_miss_rate(shown: Curve) -> float | None:
    """Return the geometric mean of the miss rate at nine rates of false positives between 0.01 and 1 an image.

    exp(1/9 sum_i log(max(1e-10, 1 - recall at 10^(-2 + i/4) false positives an image))), i = 0..8. Where a curve ends
    before a rate, its least miss rate counts; where it begins beyond one, nothing is found there.

    Args:
        shown: the curve, usually of one class.

    Returns:
        1e-10 (nothing is missed) to 1; None where there are no objects.

    Reference:
        Dollár, Wojek, Schiele, Perona (2012), "Pedestrian Detection: An Evaluation of the State of the Art".
    """
    if not shown.objects:
        return None
    missed = 1 - _recall_within(shown, np.logspace(-2, 0, 9))
    return float(np.exp(np.log(np.maximum(missed, 1e-10)).mean()))


def froc(shown: Curve) -> dict[str, Any]:
    """Return how sensitive a detector is at given rates of false positives (free-response operating characteristic).

    The curve itself is ``shown.recall`` over ``shown.wrong_per_image``.

    Args:
        shown: the curve.

    Returns:
        ``rates``: ``FROC_RATES``; ``sensitivity``: the best recall with at most so many false positives an image, 0 to
        1; ``mean``: the mean of these. The last two are None where there are no objects.

    Reference:
        Setio et al. (2017), "Validation, comparison, and combination of algorithms for automatic detection of pulmonary
        nodules in computed tomography images: The LUNA16 challenge".
    """
    if not shown.objects:
        return {"rates": list(FROC_RATES), "sensitivity": None, "mean": None}
    reached = _recall_within(shown, np.array(FROC_RATES))
    return {"rates": list(FROC_RATES), "sensitivity": reached.tolist(), "mean": float(reached.mean())}


def detection_figures(
    truths: Sequence[Objects], found: Sequence[Detected], classes: Sequence[str], protocol: str = "coco"
) -> dict[str, Any]:
    """Return every figure of a detection report, as plain values; None where one is not defined.

    Args:
        truths: the objects of each image.
        found: the detections of each image.
        classes: names.
        protocol: "coco", or "uiuc" for what the cars of UIUC are measured by, too.

    Returns:
        ``images``, ``objects``, ``ignored_objects``, ``detections``; those of
        :func:`pipelines.detection.evaluation.average_precision.coco_figures`; ``voc_ap`` and ``voc_ap_11``, means over
        the classes; of all classes together ``log_average_miss_rate``, ``froc`` (:func:`froc`) and ``best``
        (:func:`best_point`); ``error_kinds`` (:func:`pipelines.detection.evaluation.errors.error_kinds`) at the best
        threshold, or at 0.5 where there is none; ``classes``: by name ``ap``, ``ap50``, ``voc_ap``,
        ``log_average_miss_rate``, ``objects``, ``detections`` (but for those on ignored objects), and ``precision``,
        ``recall`` and ``f1`` at that threshold; and for "uiuc" ``uiuc``: ``equal_error`` and ``best``, both where
        centres decide.

    Raises:
        ValueError: if there are not as many entries of the one as of the other, a class has no name, or the protocol is
            neither.
    """
    if protocol not in ("coco", "uiuc"):
        raise ValueError(f'received the protocol "{protocol}"; expected "coco" or "uiuc"')
    for records in (truths, found):
        if any(((each.class_ids < 0) | (each.class_ids >= len(classes))).any() for each in records):
            raise ValueError(f"received a class_id that is not below {len(classes)}, the number of classes")
    ranking = rank(truths, found, overlapping())
    everything = curve(ranking)
    best = best_point(everything)
    threshold = 0.5 if best.threshold is None else best.threshold
    coco = coco_figures(truths, found, classes)
    voc_ranking = rank(truths, found, overlapping(crowds=False), second_choice=False)
    voc = [curve(voc_ranking, number) for number in range(len(classes))]
    rows = {
        name: coco["classes"][name] | {"voc_ap": voc_area(voc[number])} | _class_row(curve(ranking, number), threshold)
        for number, name in enumerate(classes)
    }
    figures = {
        "images": len(truths),
        "objects": len(ranking.objects),
        "ignored_objects": sum(int(truth.ignored.sum()) for truth in truths),
        "detections": sum(map(len, found)),
        **coco,
        "voc_ap": _mean([row["voc_ap"] for row in rows.values()]),
        "voc_ap_11": _mean([voc_area(each, eleven_points=True) for each in voc]),
        "log_average_miss_rate": log_average_miss_rate(everything),
        "froc": froc(everything),
        "best": asdict(best),
        "error_kinds": error_kinds(truths, found, classes, threshold),
        "classes": rows,
    }
    if protocol == "uiuc":
        cars = curve(rank(truths, found, centred()))
        figures["uiuc"] = {"equal_error": asdict(_equal_error(cars)), "best": asdict(best_point(cars))}
    return figures


def _class_row(shown: Curve, threshold: float) -> dict[str, Any]:
    point = asdict(point_at(shown, threshold))
    del point["threshold"]
    # The last point of a curve counts every detection.
    detections = int(shown.right[-1] + shown.wrong[-1]) if len(shown.right) else 0
    miss_rate = log_average_miss_rate(shown)
    return {"log_average_miss_rate": miss_rate, **point, "objects": shown.objects, "detections": detections}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
