"""In which ways a detector errs: every detection is of one kind, and so is every object that it missed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.detection.evaluation.matching import IGNORED, match, overlapping
from pipelines.images.boxes import Detected, Objects, overlaps

__all__ = ["ERROR_KINDS", "error_kinds", "kinds_of"]

ERROR_KINDS = ("correct", "localisation", "confusion", "duplicate", "background", "missed")
"""What can become of a detection; and, last, of an object."""


def kinds_of(
    truth: Objects, found: Detected, iou: float = 0.5, background: float = 0.1
) -> tuple[list[str | None], np.ndarray]:
    """Say of each detection of an image what it is, and which objects are missed.

    Args:
        truth: the objects.
        found: the detections, of which the weak ones have been left out already.
        iou: least overlap of a detection that is right.
        background: least overlap of one that belongs to an object at all.

    Returns:
        Of each detection one of ``ERROR_KINDS``, or None if it lies on an ignored object; and bool of shape (objects,):
        whether it counts and none found it.

    Example:
        >>> truth = Objects.of([[0, 0, 10, 10]], [0])
        >>> found = Detected(np.array([[0, 0, 10, 10], [0, 6, 10, 16]]), np.array([0.9, 0.8]), np.array([0, 0]))
        >>> kinds_of(truth, found)
        (['correct', 'localisation'], array([False]))
    """
    matched = match(truth, found, overlapping(iou))
    missed = ~truth.ignored
    missed[matched[matched >= 0]] = False
    shares = overlaps(found.boxes.astype(np.float64), truth.boxes[~truth.ignored].astype(np.float64))
    same = found.class_ids[:, None] == truth.class_ids[~truth.ignored]
    own = np.where(same, shares, 0.0).max(axis=1, initial=0.0)
    other = np.where(same, 0.0, shares).max(axis=1, initial=0.0)
    kinds = np.select(
        [matched >= 0, (own >= background) & (own < iou), other >= iou, own >= iou],
        ["correct", "localisation", "confusion", "duplicate"],
        "background",
    )
    return [None if at == IGNORED else str(kind) for at, kind in zip(matched, kinds, strict=True)], missed


def error_kinds(
    truths: Sequence[Objects],
    found: Sequence[Detected],
    classes: Sequence[str],
    threshold: float,
    iou: float = 0.5,
    background: float = 0.1,
) -> dict[str, dict[str, int]]:
    """Count what is right, and what is wrong in which way.

    A detection is, in this order: correct; a matter of localisation (an object of its class overlaps it by at least
    ``background``, but none by ``iou``); confusion (an object of another class overlaps it by ``iou``); a duplicate (an
    object of its class does, but has been found by a better one); or background, which is everything else. Objects that
    no detection found are missed, also if a badly placed or confused one lies on them. Ignored objects, and what lies
    on them, are not counted.

    Args:
        truths: the objects of each image.
        found: the detections of each image.
        classes: names.
        threshold: detections with a lower score are left out.
        iou: least overlap of a detection that is right.
        background: least overlap of one that belongs to an object at all.

    Returns:
        By the name of the class, counts by ``ERROR_KINDS``: detections under the class that they were taken for, missed
        objects under their own.

    Raises:
        ValueError: if there are not as many entries of the one as of the other.

    Reference:
        Bolya, Foley, Hays, Hoffman (2020), "TIDE: A General Toolbox for Identifying Object Detection Errors", whose
        kinds and order these are, but for "both", which is background here; Hoiem, Chodpathumwan, Dai (2012),
        "Diagnosing Error in Object Detectors".
    """
    if len(truths) != len(found):
        raise ValueError(f"received objects of {len(truths)} images and detections of {len(found)}; expected the same")
    counts = {name: dict.fromkeys(ERROR_KINDS, 0) for name in classes}
    for truth, answers in zip(truths, found, strict=True):
        kept = answers.above(threshold)
        kinds, missed = kinds_of(truth, kept, iou, background)
        for kind, class_id in zip(kinds, kept.class_ids, strict=True):
            if kind is not None:
                counts[classes[class_id]][kind] += 1
        for class_id in truth.class_ids[missed]:
            counts[classes[class_id]]["missed"] += 1
    return counts
