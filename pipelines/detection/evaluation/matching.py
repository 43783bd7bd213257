"""Which detection found which object, and what follows for every threshold of the score.

Detections are judged image by image, the highest score first, and only against objects of their own class. What counts
as finding an object is a rule: enough overlap, or a centre close enough to the centre.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.images.boxes import Detected, Objects, areas, overlaps

__all__ = ["IGNORED", "WRONG", "Curve", "Ranking", "Rule", "centred", "curve", "match", "overlapping", "rank"]

WRONG = -1
"""Stands where the index of an object would: this detection found none."""

IGNORED = -2
"""Stands where the index of an object would: this detection is neither right nor wrong."""

_TINY = np.finfo(np.float32).tiny

Rule = Callable[[Objects, Detected], np.ndarray]
"""From the objects and the detections of one image, whatever their classes, to how well each pair fits: float64 of
shape (detections, objects), negative where the detection does not find the object at all."""


def overlapping(iou: float = 0.5, crowds: bool = True) -> Rule:
    """Return the rule that a detection finds an object where their boxes overlap enough.

    Args:
        iou: least intersection over union, above 0 to 1.
        crowds: whether an ignored object is a crowd, as in COCO: what counts is then which share of the detection lies
            within it. Otherwise it is an object like the others, as "difficult" ones are in Pascal VOC.

    Example:
        >>> truth = Objects.of([[0, 0, 10, 10]], [0])
        >>> found = Detected(np.array([[0, 0, 10, 8], [0, 0, 10, 4]]), np.ones(2), np.zeros(2, int))
        >>> overlapping(0.5)(truth, found).tolist()
        [[0.8], [-1.0]]
    """

    def rule(truth: Objects, found: Detected) -> np.ndarray:
        # In double precision, so that a pair at the very threshold is judged as pycocotools judges it.
        boxes, true_boxes = found.boxes.astype(np.float64), truth.boxes.astype(np.float64)
        shares = overlaps(boxes, true_boxes)
        if crowds and truth.ignored.any():
            low, high = (
                np.maximum(boxes[:, None, :2], true_boxes[:, :2]),
                np.minimum(boxes[:, None, 2:], true_boxes[:, 2:]),
            )
            within = areas(np.concatenate([low, high], axis=-1)) / np.maximum(areas(boxes), _TINY)[:, None]
            shares = np.where(truth.ignored, within, shares)
        return np.where(shares >= iou, shares, -1.0)

    return rule


def centred(share: float = 0.25) -> Rule:
    """Return the rule that a detection finds an object where its centre is close to the object's.

    The centre of the detection must lie within an ellipse around the centre of the object, whose half axes are a share
    of the object's height and width: (di / (share h))^2 + (dj / (share w))^2 <= 1.

    Args:
        share: half axes of the ellipse, in sizes of the object.

    Example:
        >>> truth = Objects.of([[0, 0, 100, 40]], [0])
        >>> found = Detected(np.array([[25, 0, 125, 40], [26, 0, 126, 40]]), np.ones(2), np.zeros(2, int))
        >>> (centred()(truth, found) >= 0).tolist()
        [[True], [False]]

    Reference:
        Agarwal, Awan, Roth (2004), "Learning to Detect Objects in Images via a Sparse, Part-Based Representation".
    """

    def rule(truth: Objects, found: Detected) -> np.ndarray:
        boxes, true_boxes = found.boxes.astype(np.float64), truth.boxes.astype(np.float64)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        true_centres = (true_boxes[:, :2] + true_boxes[:, 2:]) / 2
        half_axes = np.maximum(share * (true_boxes[:, 2:] - true_boxes[:, :2]), _TINY)
        # Nothing beyond the square around the ellipse matters, and squares of huge numbers would overflow.
        away = np.minimum(np.abs(centres[:, None] - true_centres) / half_axes, 2.0)
        closeness = 1.0 - np.square(away).sum(axis=-1)
        return np.where(closeness >= 0, closeness, -1.0)

    return rule


def match(truth: Objects, found: Detected, rule: Rule, second_choice: bool = True) -> np.ndarray:
    """Say which object of an image each detection found.

    The detections choose in the order of their scores. An object is found once; a second detection of it is wrong. An
    ignored object may be found any number of times, and is chosen only where nothing else is left.

    Args:
        truth: the objects.
        found: the detections.
        rule: what it takes to find an object.
        second_choice: whether a detection whose best object is taken already may find another (COCO). Without it, it is
            wrong (Pascal VOC), and ignored objects are chosen like others.

    Returns:
        int64 of shape (detections,): the index of the object, ``WRONG`` or ``IGNORED``.

    Example:
        >>> truth = Objects.of([[0, 0, 10, 10]], [0])
        >>> found = Detected(np.array([[0, 0, 10, 9], [0, 0, 10, 10]]), np.array([0.4, 0.8]), np.array([0, 0]))
        >>> match(truth, found, overlapping()).tolist()
        [-1, 0]
    """
    result = np.full(len(found), WRONG)
    if not len(truth) or not len(found):
        return result
    fits = np.where(found.class_ids[:, None] == truth.class_ids, rule(truth, found), -1.0)
    free = np.ones(len(truth), bool)
    order = np.argsort(-found.scores, kind="stable")
    for row in order[fits[order].max(axis=1) >= 0]:
        fit = fits[row]
        if second_choice:
            fit = np.where(free, fit, -1.0)
            real = np.where(truth.ignored, -1.0, fit)
            fit = real if real.max() >= 0 else fit
        # Of equals the last, as in pycocotools.
        best = len(fit) - 1 - int(fit[::-1].argmax())
        if fit[best] >= 0 and free[best]:
            result[row] = IGNORED if truth.ignored[best] else best
            free[best] = truth.ignored[best]
    return result


@dataclass(frozen=True, eq=False)
class Ranking:
    """The detections of all images that are right or wrong, the highest score first, and the objects to be found.

    Args:
        scores: float64 of shape (n,), falling.
        class_ids: int64 of shape (n,).
        right: bool of shape (n,).
        objects: all objects but the ignored ones, in the order of the images.
        found_at: float64 of shape (objects,): the score of the detection that found each; NaN where none did.
        images: their number.
    """

    scores: np.ndarray
    class_ids: np.ndarray
    right: np.ndarray
    objects: Objects
    found_at: np.ndarray
    images: int


def rank(truths: Sequence[Objects], found: Sequence[Detected], rule: Rule, second_choice: bool = True) -> Ranking:
    """Match every image, and put all detections into one order.

    Args:
        truths: the objects of each image.
        found: the detections of each image.
        rule: as for :func:`match`.
        second_choice: as for :func:`match`.

    Raises:
        ValueError: if there are not as many entries of the one as of the other.
    """
    if len(truths) != len(found):
        raise ValueError(f"received objects of {len(truths)} images and detections of {len(found)}; expected the same")
    scores, class_ids, right, found_at = [np.zeros(0)], [np.zeros(0, int)], [np.zeros(0, bool)], [np.zeros(0)]
    for truth, answers in zip(truths, found, strict=True):
        matched = match(truth, answers, rule, second_choice)
        counted, hit = matched != IGNORED, matched >= 0
        at = np.full(len(truth), np.nan)
        at[matched[hit]] = answers.scores[hit]
        scores.append(answers.scores[counted])
        class_ids.append(answers.class_ids[counted])
        right.append(hit[counted])
        found_at.append(at[~truth.ignored])
    all_scores = np.concatenate(scores, dtype=np.float64)
    order = np.argsort(-all_scores, kind="stable")
    return Ranking(
        all_scores[order],
        np.concatenate(class_ids)[order],
        np.concatenate(right)[order],
        Objects.of(
            np.concatenate([np.zeros((0, 4)), *(truth.boxes[~truth.ignored] for truth in truths)]),
            np.concatenate([np.zeros(0, int), *(truth.class_ids[~truth.ignored] for truth in truths)]),
        ),
        np.concatenate(found_at),
        len(truths),
    )


@dataclass(frozen=True, eq=False)
class Curve:
    """What a detector does at every threshold that makes a difference, the highest first.

    Detections of equal score come and go together, so that nothing depends on the order of the images.

    Args:
        thresholds: float64 of shape (k,), falling: detections with at least this score are kept.
        right: int64 of shape (k,): how many of these are right.
        wrong: int64 of shape (k,): how many are wrong.
        objects: how many there are to be found.
        images: in how many images.
    """

    thresholds: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    objects: int
    images: int

    @property
    def recall(self) -> np.ndarray:
        """The share of the objects that are found, of shape (k,); 0 where there are none."""
        return self.right / max(self.objects, 1)

    @property
    def precision(self) -> np.ndarray:
        """The share of the detections that are right, of shape (k,)."""
        shares: np.ndarray = self.right / (self.right + self.wrong)
        return shares

    @property
    def f1(self) -> np.ndarray:
        """The harmonic mean of recall and precision, of shape (k,)."""
        means: np.ndarray = 2 * self.right / (self.right + self.wrong + self.objects)
        return means

    @property
    def wrong_per_image(self) -> np.ndarray:
        """False positives per image, of shape (k,)."""
        return self.wrong / max(self.images, 1)


def curve(ranking: Ranking, class_id: int | None = None) -> Curve:
    """Return recall, precision and false positives over the threshold.

    Args:
        ranking: all detections.
        class_id: of which class; all together by default.

    Example:
        >>> truth = Objects.of([[0, 0, 10, 10]], [0])
        >>> found = Detected(np.array([[0, 0, 10, 9], [30, 0, 40, 10]]), np.array([0.5, 0.75]), np.array([0, 0]))
        >>> shown = curve(rank([truth], [found], overlapping()))
        >>> shown.thresholds.tolist(), shown.recall.tolist(), shown.precision.tolist()
        ([0.75, 0.5], [0.0, 1.0], [0.0, 0.5])
    """
    mine = slice(None) if class_id is None else ranking.class_ids == class_id
    scores, right = ranking.scores[mine], ranking.right[mine]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, int)
    hits = np.cumsum(right, dtype=np.int64)[last]
    wanted = len(ranking.objects) if class_id is None else int((ranking.objects.class_ids == class_id).sum())
    return Curve(scores[last], hits, last + 1 - hits, wanted, ranking.images)
