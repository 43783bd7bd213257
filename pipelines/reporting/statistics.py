"""Intervals of shares, and calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Calibration", "calibration", "wilson_interval"]


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
