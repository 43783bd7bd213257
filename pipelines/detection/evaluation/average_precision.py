"""Average precision as COCO and as Pascal VOC define it.

The figures of COCO are pycocotools' own, run in memory; nothing of it is computed again here.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.detection.evaluation.matching import Curve, curve, overlapping, rank
from pipelines.images.boxes import Detected, Objects

__all__ = ["coco_figures", "coco_results", "precision_recall", "voc_area", "voc_average_precision"]

_COCO_NAMES = (
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip
_AT_75 = 5  # Overlaps are 0.50, 0.55, ..., 0.95.
_DIGITS = 4


def coco_results(
    ids: Sequence[int] | Sequence[str], found: Sequence[Detected], categories: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """Return detections as the list that COCO's tools and servers take as a results file.

    Args:
        ids: of the images, as in the annotations.
        found: the detections of each image.
        categories: the ``category_id`` of each class; by default counted from 1, as is usual.

    Returns:
        Of each detection ``image_id``, ``category_id``, ``bbox`` (left, top, width, height, in pixels) and ``score``.

    Raises:
        ValueError: if there are not as many ids as entries of detections.

    Example:
        >>> one = Detected(np.array([[10.0, 20.0, 40.0, 25.0]]), np.array([0.5]), np.array([0]))
        >>> coco_results([7], [one])
        [{'image_id': 7, 'category_id': 1, 'bbox': [10.0, 20.0, 30.0, 5.0], 'score': 0.5}]
    """
    if len(ids) != len(found):
        raise ValueError(f"received {len(ids)} ids and detections of {len(found)} images; expected as many")
    return [
        {
            "image_id": name,
            "category_id": int(class_id) + 1 if categories is None else int(categories[class_id]),
            "bbox": _xywh(box),
            "score": float(score),
        }
        for name, answers in zip(ids, found, strict=True)
        for box, score, class_id in zip(answers.boxes, answers.scores, answers.class_ids, strict=True)
    ]


def _xywh(box: np.ndarray) -> list[float]:
    left, top, right, bottom = map(float, box)
    return [left, top, right - left, bottom - top]


def coco_figures(truths: Sequence[Objects], found: Sequence[Detected], classes: Sequence[str]) -> dict[str, Any]:
    """Return the figures of COCO's detection challenge, as pycocotools computes them.

    An ignored object is a crowd. The area that decides between small, medium and large is that of the box. Of equal
    scores in different images, that of the earlier image ranks higher.

    Args:
        truths: the objects of each image.
        found: the detections of each image; of each class the best hundred count.
        classes: names.

    Returns:
        ``ap`` (mean over overlaps of 0.5 to 0.95 and over the classes), ``ap50``, ``ap75``, ``ap_small`` (below 32 x 32
        pixels), ``ap_medium``, ``ap_large`` (above 96 x 96), ``ar1``, ``ar10``, ``ar100`` (recall with at most so many
        detections an image and class), ``ar_small``, ``ar_medium``, ``ar_large``; ``classes``: by name ``ap`` and
        ``ap50``; and ``precision_recall``: the precisions at recalls of 0, 0.01, ..., 1 that ``ap50`` and ``ap75`` are
        the means of, to four digits: ``mean50`` and ``mean75`` of the classes together, and ``classes``: by name, at an
        overlap of 0.5. From 0 to 1; None where there is no such object.

    Raises:
        ValueError: if there are not as many entries of the one as of the other.

    Example:
        >>> truth = Objects.of([[0, 0, 40, 40]], [0])
        >>> found = Detected(np.array([[0, 0, 40, 31]]), np.array([0.5]), np.array([0]))
        >>> figures = coco_figures([truth], [found], ["car", "bus"])
        >>> round(figures["ap"], 3), round(figures["ap50"], 3), figures["ap_small"], figures["classes"]["bus"]
        (0.6, 1.0, None, {'ap': None, 'ap50': None})

    Reference:
        Lin, Maire, Belongie, Hays, Perona, Ramanan, Dollár, Zitnick (2014), "Microsoft COCO: Common Objects in
        Context".
    """
    if len(truths) != len(found):
        raise ValueError(f"received objects of {len(truths)} images and detections of {len(found)}; expected the same")
    evaluation = _coco_evaluation(truths, found, classes)
    # Overlap thresholds, recalls, classes, sizes (all first), limits (the largest last).
    precision = evaluation.eval["precision"][..., 0, -1]
    return {name: _known(value) for name, value in zip(_COCO_NAMES, evaluation.stats, strict=True)} | {
        "classes": {
            name: {"ap": _mean(precision[:, :, number]), "ap50": _mean(precision[0, :, number])}
            for number, name in enumerate(classes)
        },
        "precision_recall": {
            "mean50": _mean_curve(precision[0]),
            "mean75": _mean_curve(precision[_AT_75]),
            "classes": {name: _mean_curve(precision[0, :, [number]].T) for number, name in enumerate(classes)},
        },
    }


def _mean_curve(precision: np.ndarray) -> list[float] | None:
    """Return the mean over the classes that have objects, of shape (recalls, classes): -1 stands for all others."""
    known = precision[:, (precision > -1).all(axis=0)]
    return np.round(known.mean(axis=1), _DIGITS).tolist() if known.size else None


def _known(value: float) -> float | None:
    return None if value < 0 else float(value)


def _mean(values: np.ndarray) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _coco_evaluation(truths: Sequence[Objects], found: Sequence[Detected], classes: Sequence[str]) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    numbers = range(1, len(truths) + 1)
    truth, answers = COCO(), COCO()
    truth.dataset = {
        "images": [{"id": number} for number in numbers],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, start=1)],
        "annotations": _annotations(truths),
    }
    answers.dataset = {"annotations": []}
    results = coco_results(numbers, found)
    # It prints what it does, and has no switch for that.
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results) if results else answers, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _annotations(truths: Sequence[Objects]) -> list[dict[str, Any]]:
    listed = [
        (number, _xywh(box), int(class_id), bool(ignored))
        for number, truth in enumerate(truths, start=1)
        for box, class_id, ignored in zip(truth.boxes, truth.class_ids, truth.ignored, strict=True)
    ]
    # An id of 0 would be taken for "not matched".
    return [
        {"id": place, "image_id": number, "category_id": class_id + 1, "bbox": box, "area": box[2] * box[3],
         "iscrowd": int(ignored)}
        for place, (number, box, class_id, ignored) in enumerate(listed, start=1)
    ]  # fmt: skip


def precision_recall(
    truths: Sequence[Objects], found: Sequence[Detected], class_id: int | None = None, iou: float = 0.5
) -> Curve:
    """Return the curve of precision over recall at every score, with detections matched as COCO matches them.

    Args:
        truths: the objects of each image.
        found: the detections of each image.
        class_id: of which class; all together by default.
        iou: least overlap.

    Raises:
        ValueError: if there are not as many entries of the one as of the other.
    """
    return curve(rank(truths, found, overlapping(iou)), class_id)


def voc_average_precision(
    truths: Sequence[Objects],
    found: Sequence[Detected],
    class_id: int,
    iou: float = 0.5,
    eleven_points: bool = False,
) -> float | None:
    """Return the average precision of a class as Pascal VOC defines it.

    A detection belongs to the object that it overlaps most, and is wrong if that is found already; ignored objects are
    VOC's "difficult" ones. Precision at a recall is the best at that recall or any higher one. Its average is the area
    below it (since 2010), or the mean at recalls of 0, 0.1, ... 1 (until 2009). VOC leaves the order of equal scores
    open; here they count together.

    Args:
        truths: the objects of each image.
        found: the detections of each image.
        class_id: of which class.
        iou: least overlap; VOC asks for 0.5.
        eleven_points: the mean of eleven instead of the area.

    Returns:
        0 to 1; None where no object of the class counts.

    Raises:
        ValueError: if there are not as many entries of the one as of the other.

    Example:
        >>> truth = Objects.of([[0, 0, 10, 10], [50, 0, 60, 10]], [0, 0])
        >>> found = Detected(np.array([[0, 0, 10, 9]]), np.array([0.5]), np.array([0]))
        >>> voc_average_precision([truth], [found], 0)
        0.5

    Reference:
        Everingham, Van Gool, Williams, Winn, Zisserman (2010), "The Pascal Visual Object Classes (VOC) Challenge".
    """
    shown = curve(rank(truths, found, overlapping(iou, crowds=False), second_choice=False), class_id)
    return voc_area(shown, eleven_points)


def voc_area(shown: Curve, eleven_points: bool = False) -> float | None:
    """Return VOC's average precision of a curve; see :func:`voc_average_precision`."""
    if not shown.objects:
        return None
    best = np.maximum.accumulate(shown.precision[::-1])[::-1]
    if eleven_points:
        # In whole numbers, because in floating point 3 of 10 are less than 3 * 0.1.
        first = np.searchsorted(10 * shown.right, np.arange(11) * shown.objects)
        return float(np.append(best, 0.0)[first].sum() / 11)
    return float((np.diff(shown.right, prepend=0) * best).sum() / shown.objects)
