"""Figures of how good answers are.

Labels are integers of shape (n,); scores are probabilities of shape (n, classes).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipelines.reporting.statistics import calibration, wilson_interval

__all__ = ["classification_figures"]


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
