"""Figures of how good the class of every pixel is, from counts that are gathered image by image.

Pixels whose truth is ``IGNORED`` (255) count nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.images.masks import IGNORED, MOST_CLASSES
from pipelines.reporting.statistics import Calibration
from pipelines.segmentation.evaluation.boundaries import boundary_counts, tolerance_of

__all__ = ["PixelCounts", "intersection_over_union", "mean_iou", "segmentation_figures"]

_BINS = 10
_ROUNDING = 1e-3
# Confidences are summed up as multiples of this, in whole numbers, so that no order of the images changes the sum.
_UNIT = 2.0**-24


class PixelCounts:
    """What is counted in the pixels of many images; all of it is whole numbers that add up.

    Args:
        classes: number of classes, 1 to 255.

    Attributes:
        images: how many were added.
        ignored: pixels that were left out.
        confusion: int64 of shape (classes, classes), in pixels; rows are the truth, columns the answer.
        boundaries: int64 of shape (4, classes), as :func:`pipelines.segmentation.evaluation.boundaries.boundary_counts`
            returns it.

    Raises:
        ValueError: for another number of classes.

    Example:
        >>> counts = PixelCounts(2)
        >>> truth = np.array([[0, 1, 255]], np.uint8)
        >>> counts.add(truth, np.array([[0, 0, 1]]), np.array([[0.9, 0.6, 0.8]])).tolist()
        [[1, 0], [1, 0]]
        >>> segmentation_figures(counts, ("ground", "car"))["pixel_accuracy"]
        0.5
    """

    def __init__(self, classes: int):
        if not 1 <= classes <= MOST_CLASSES:
            raise ValueError(f"received {classes} classes; expected 1 to {MOST_CLASSES}")
        self.classes = classes
        self.images = 0
        self.ignored = 0
        self.confusion = np.zeros((classes, classes), np.int64)
        self.boundaries = np.zeros((4, classes), np.int64)
        # Rows: pixels, those that are right, the sum of their confidences in units.
        self._bins = np.zeros((3, _BINS), np.int64)

    @property
    def pixels(self) -> int:
        """Return how many pixels were counted."""
        return int(self.confusion.sum())

    def add(self, truth: np.ndarray, prediction: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        """Count the pixels of one image.

        Args:
            truth: uint8 of shape (height, width): classes, or 255 where nothing is said.
            prediction: integers of the same shape: classes.
            confidence: floats of the same shape, 0 to 1: the scores of these classes.

        Returns:
            The confusion matrix of this image alone.

        Raises:
            ValueError: if shapes, types or values are others.
        """
        self._check(truth, prediction, confidence)
        known = truth != IGNORED
        # 255 is no class, so that a uint8 holds every one.
        prediction = prediction.astype(np.uint8)
        labels, answers = truth[known], prediction[known]
        pairs = labels.astype(np.intp) * self.classes + answers
        confusion = np.bincount(pairs, minlength=self.classes**2).astype(np.int64).reshape(self.confusion.shape)
        self.images += 1
        self.ignored += truth.size - len(labels)
        self.confusion += confusion
        self.boundaries += boundary_counts(truth, prediction, self.classes, tolerance_of(truth.shape))
        self._bins += _bins(labels == answers, np.clip(confidence[known], 0, 1))
        return confusion

    def merge(self, other: PixelCounts) -> None:
        """Add what was counted in other images.

        Args:
            other: of as many classes.

        Raises:
            ValueError: if it is of another number of classes.
        """
        if other.classes != self.classes:
            raise ValueError(f"received counts of {other.classes} classes; expected {self.classes}")
        self.images += other.images
        self.ignored += other.ignored
        self.confusion += other.confusion
        self.boundaries += other.boundaries
        self._bins += other._bins

    def calibration(self) -> Calibration:
        """Return how far the confidence of a pixel can be taken for a probability.

        Returns:
            Ten bins of equal width, as :func:`pipelines.reporting.statistics.calibration` has them; the error is NaN
            where no pixel was counted.
        """
        count, right, units = self._bins
        with np.errstate(invalid="ignore"):
            accuracy, confidence = right / count, units * _UNIT / count
            error = np.abs(right - units * _UNIT).sum() / np.float64(count.sum())
        return Calibration(float(error), np.linspace(0.0, 1.0, _BINS + 1), confidence, accuracy, count.copy())

    def _check(self, truth: np.ndarray, prediction: np.ndarray, confidence: np.ndarray) -> None:
        if truth.dtype != np.uint8 or truth.ndim != 2:
            raise ValueError(f"received a truth of {truth.dtype} {truth.shape}; expected uint8 (height, width)")
        for name, kind, values in (("prediction", np.integer, prediction), ("confidence", np.floating, confidence)):
            if values.shape != truth.shape or not np.issubdtype(values.dtype, kind):
                raise ValueError(
                    f"received a {name} of {values.dtype} {values.shape}; expected {kind.__name__} {truth.shape}, "
                    "as the truth has it"
                )
        if not truth.size:
            return
        if not (prediction.min() >= 0 and prediction.max() < self.classes):
            raise ValueError(
                f"received predictions {prediction.min()} to {prediction.max()}; expected 0 to {self.classes - 1}"
            )
        if ((truth >= self.classes) & (truth != IGNORED)).any():
            wrong = truth[(truth >= self.classes) & (truth != IGNORED)].max()
            raise ValueError(f"received a truth with class {wrong}; expected 0 to {self.classes - 1}, or {IGNORED}")
        # Written so that NaN is refused, too.
        if not (confidence.min() >= -_ROUNDING and confidence.max() <= 1 + _ROUNDING):
            raise ValueError(f"received confidences {confidence.min()} to {confidence.max()}; expected 0 to 1")


def _bins(right: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    # As in pipelines.reporting.statistics.calibration, a bin holds its upper bound.
    place = np.clip(np.ceil(confidence * _BINS).astype(np.intp) - 1, 0, _BINS - 1)
    # The sums of whole numbers are exact in float64 up to 2^53: for images of up to 2^29 pixels.
    units = np.rint(confidence.astype(np.float64) / _UNIT)
    return np.stack(
        [
            np.bincount(place, minlength=_BINS),
            np.bincount(place[right], minlength=_BINS),
            np.bincount(place, weights=units, minlength=_BINS),
        ]
    ).astype(np.int64)


def intersection_over_union(confusion: np.ndarray) -> np.ndarray:
    """Return right / (truth + answered - right) of each class.

    Args:
        confusion: counts of shape (classes, classes).

    Returns:
        float64 of shape (classes,), 0 to 1; NaN for a class that is neither in the truth nor answered.

    Example:
        >>> intersection_over_union(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])).round(2).tolist()
        [0.75, 0.67, nan]
    """
    right = confusion.diagonal()
    return _ratio(right, confusion.sum(axis=1) + confusion.sum(axis=0) - right)


def mean_iou(confusion: np.ndarray) -> float | None:
    """Return the mean intersection over union of the classes that are in the truth or in the answers.

    This is what ``keras.metrics.MeanIoU`` computes: a class that occurs in neither is left out, one that is in the
    answers alone counts as 0.

    Args:
        confusion: counts of shape (classes, classes).

    Returns:
        0 to 1; None if nothing was counted.

    Example:
        >>> mean_iou(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))
        0.7083333333333333
    """
    return _mean(intersection_over_union(confusion))


def segmentation_figures(counts: PixelCounts, classes: Sequence[str]) -> dict[str, Any]:
    """Return every figure of a segmentation report, as plain values; None where one is not defined.

    Args:
        counts: of all images.
        classes: names.

    Returns:
        ``images``, ``pixels`` and ``ignored_pixels``; ``mean_iou`` (:func:`mean_iou`); ``frequency_weighted_iou``:
        weighted by the share of the class in the truth; ``pixel_accuracy``: share of the pixels that are right;
        ``mean_accuracy``: mean recall of the classes in the truth; ``boundary_f1``: mean of the classes that have a
        boundary in the truth or in the answers; ``expected_calibration_error`` of the pixels, and its bins in
        ``calibration`` (``confidence``, ``accuracy``, ``pixels``); ``classes``: by name ``iou``, ``precision``,
        ``recall``, ``f1`` (Dice), ``boundary_f1``, and ``pixels`` in the truth; ``confusion`` (rows: truth, columns:
        answer).

        The boundary F1 has a tolerance of 0.75 % of the diagonal of an image, and at least 1 pixel. Its counts are
        pooled over all images, as those of the other figures are; in the paper, the measure of each image is averaged.

    Raises:
        ValueError: if there are not as many names as classes.

    Reference:
        Csurka, Larlus, Perronnin (2013), "What is a good evaluation measure for semantic segmentation?"
    """
    if len(classes) != counts.classes:
        raise ValueError(f"received {len(classes)} names; expected {counts.classes}, one for each class")
    confusion = counts.confusion
    right, truth, answered = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    iou, recall, boundary = intersection_over_union(confusion), _ratio(right, truth), _boundary_f1(counts.boundaries)
    columns = {
        "iou": iou,
        "precision": _ratio(right, answered),
        "recall": recall,
        "f1": _ratio(2 * right, truth + answered),
        "boundary_f1": boundary,
    }
    calibration = counts.calibration()
    return {
        "images": counts.images,
        "pixels": counts.pixels,
        "ignored_pixels": counts.ignored,
        "mean_iou": mean_iou(confusion),
        "frequency_weighted_iou": _plain((truth * np.nan_to_num(iou)).sum() / counts.pixels) if counts.pixels else None,
        "pixel_accuracy": _plain(right.sum() / counts.pixels) if counts.pixels else None,
        "mean_accuracy": _mean(recall),
        "boundary_f1": _mean(boundary),
        "expected_calibration_error": _plain(calibration.error),
        "calibration": {
            "confidence": [_plain(value) for value in calibration.confidence],
            "accuracy": [_plain(value) for value in calibration.accuracy],
            "pixels": calibration.count.tolist(),
        },
        "classes": {
            name: {column: _plain(values[number]) for column, values in columns.items()}
            | {"pixels": int(truth[number])}
            for number, name in enumerate(classes)
        },
        "confusion": confusion.tolist(),
    }


def _boundary_f1(boundaries: np.ndarray) -> np.ndarray:
    truth, truth_matched, found, found_matched = boundaries
    recall, precision = (
        np.nan_to_num(_ratio(matched, total)) for matched, total in ((truth_matched, truth), (found_matched, found))
    )
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    return np.where(truth + found > 0, f1, np.nan)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        shares: np.ndarray = part / whole
        return shares


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
