"""Figures of how good answers are.

Labels are integers of shape (n,); scores are probabilities of shape (n, classes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Calibration", "calibration", "classification_figures", "wilson_interval"]


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a proportion.

    Args:
        right: how many were right.
        total: of how many, at least 1.

    Returns:
        Lower and upper bound, from 0 to 1.

    Example:
        >>> low, high = wilson_interval(97, 100)
        >>> round(low, 3), round(high, 3)
        (0.915, 0.99)

    Reference:
        Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    z = 1.959963984540054
    share = right / total
    middle = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    # Rounding must not push a bound past the share itself, as it would at 0 and 1.
    return min(share, max(0.0, (middle - spread) / scale)), max(share, min(1.0, (middle + spread) / scale))


@dataclass(frozen=True)
class Calibration:
    """How far a score can be taken for a probability.

    Args:
        error: expected calibration error, 0 to 1.
        edges: bounds of the bins of confidence, of shape (bins + 1,).
        confidence: mean score of the chosen class in each bin; NaN where the bin is empty.
        accuracy: share of right answers in each bin; NaN where the bin is empty.
        count: answers in each bin.
    """

    error: float
    edges: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray


def calibration(labels: np.ndarray, scores: np.ndarray, bins: int = 10) -> Calibration:
    """Compare the scores of the chosen classes with how often they are right.

    Args:
        labels: integers of shape (n,).
        scores: probabilities of shape (n, classes).
        bins: bins of equal width between 0 and 1.

    Returns:
        The bins, and sum over bins of count / n * |accuracy - confidence|.

    Reference:
        Guo, Pleiss, Sun, Weinberger (2017), "On Calibration of Modern Neural Networks".
    """
    chosen = scores.max(axis=1)
    right = scores.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    # A bin holds its upper bound, so that a score of exactly 1 belongs to the last one.
    place = np.clip(np.ceil(chosen * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, weights=chosen, minlength=bins) / count
        accuracy = np.bincount(place, weights=right, minlength=bins) / count
    gaps = np.abs(np.nan_to_num(accuracy) - np.nan_to_num(confidence))
    return Calibration(float((count * gaps).sum() / len(labels)), edges, confidence, accuracy, count)


def classification_figures(labels: np.ndarray, scores: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return every figure of a classification report, as plain values.

    Args:
        labels: integers of shape (n,).
        scores: probabilities of shape (n, classes).
        classes: names, in the order of the scores.

    Returns:
        ``images``, ``accuracy``, ``accuracy_95`` (Wilson), ``log_loss``, ``expected_calibration_error``, ``macro_f1``,
        ``calibration`` (``confidence``, ``accuracy`` and ``images`` by bin, None where a bin is empty), ``classes``
        (precision, recall, F1 and support by name) and ``confusion`` (rows: truth, columns: answer).
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    numbers = np.arange(len(classes))
    answers = scores.argmax(axis=1)
    right = int((answers == labels).sum())
    precision, recall, f1, support = precision_recall_fscore_support(labels, answers, labels=numbers, zero_division=0.0)
    bins = calibration(labels, scores)
    true_scores = np.clip(scores[np.arange(len(labels)), labels], 1e-12, 1.0)
    return {
        "images": len(labels),
        "accuracy": right / len(labels),
        "accuracy_95": list(wilson_interval(right, len(labels))),
        "log_loss": float(-np.log(true_scores).mean()),
        "expected_calibration_error": bins.error,
        "calibration": {
            "confidence": _plain(bins.confidence),
            "accuracy": _plain(bins.accuracy),
            "images": bins.count.tolist(),
        },
        "macro_f1": float(np.mean(f1)),
        "classes": {
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, name in enumerate(classes)
        },
        "confusion": confusion_matrix(labels, answers, labels=numbers).tolist(),
    }


def _plain(values: np.ndarray) -> list[float | None]:
    """Return numbers for JSON, which has no NaN."""
    return [None if math.isnan(value) else float(value) for value in values]
