"""Boundaries between the classes of a mask, and how well those of two masks agree."""

from __future__ import annotations

import math

import numpy as np

from pipelines.images.masks import IGNORED

__all__ = ["boundary", "boundary_counts", "tolerance_of"]


def tolerance_of(shape: tuple[int, ...], share: float = 0.0075) -> float:
    """Return how far apart two boundaries may be to count as the same, in pixels.

    Args:
        shape: (height, width) of the image.
        share: of its diagonal.

    Returns:
        At least 1.

    Example:
        >>> tolerance_of((360, 480))
        4.5
    """
    return max(1.0, share * math.hypot(*shape))


def boundary(mask: np.ndarray) -> np.ndarray:
    """Mark the pixels that have a pixel of another class above, below, left or right of them.

    Args:
        mask: uint8 of shape (height, width). Ignored pixels are not of another class, and neither is what lies beyond
            the image.

    Returns:
        bool of shape (height, width).

    Example:
        >>> boundary(np.array([[0, 0, 1, 1, 255]], np.uint8)).tolist()
        [[False, True, True, False, False]]
    """
    marked = np.zeros(mask.shape, bool)
    known = mask != IGNORED
    for first, second in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        differs = (mask[first] != mask[second]) & known[first] & known[second]
        marked[first] |= differs
        marked[second] |= differs
    return marked


def boundary_counts(truth: np.ndarray, found: np.ndarray, classes: int, tolerance: float) -> np.ndarray:
    """Count the boundary pixels of each class in two masks, and those that the other mask has, too.

    A boundary pixel is matched where the other mask has one of the same class no farther away than the tolerance.

    Args:
        truth: uint8 of shape (height, width).
        found: uint8 of the same shape; it is ignored where the truth is.
        classes: number of classes.
        tolerance: Euclidean distance in pixels, at least 0.

    Returns:
        int64 of shape (4, classes): boundary pixels of the truth, those of them that are matched, boundary pixels of
        what was found, those of them that are matched.

    Example:
        >>> truth, found = np.array([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1]], np.uint8)[:, np.newaxis]
        >>> boundary_counts(truth, found, 2, tolerance=1).tolist()
        [[1, 1], [1, 1], [1, 1], [1, 1]]

    Reference:
        Csurka, Larlus, Perronnin (2013), "What is a good evaluation measure for semantic segmentation?"
    """
    found = np.where(truth == IGNORED, np.uint8(IGNORED), found)
    reach = int(tolerance)
    truth_lines, found_lines = (
        np.pad(np.where(boundary(mask), mask, np.uint8(IGNORED)), reach, constant_values=IGNORED)
        for mask in (truth, found)
    )
    offsets = _disc(tolerance, truth_lines.shape[1])
    return np.concatenate(
        [_matched(truth_lines, found_lines, offsets, classes), _matched(found_lines, truth_lines, offsets, classes)]
    )


def _disc(radius: float, width: int) -> np.ndarray:
    """Return the steps to all pixels within a radius, the nearest first, in a flat array of rows of a width."""
    reach = np.arange(-int(radius), int(radius) + 1)
    distance = reach[:, np.newaxis] ** 2 + reach**2
    steps = reach[:, np.newaxis] * width + reach
    inside = distance <= radius**2
    return steps[inside][np.argsort(distance[inside], kind="stable")]


def _matched(lines: np.ndarray, others: np.ndarray, offsets: np.ndarray, classes: int) -> np.ndarray:
    # Looking around each boundary pixel until its class is met costs the same for any number of classes; with eleven,
    # a distance transform for each takes ten times as long and more.
    flat = others.ravel()
    places = np.flatnonzero(lines != IGNORED)
    of = lines.ravel()[places]
    count = np.bincount(of, minlength=classes)
    for offset in offsets:
        missed = flat[places + offset] != of
        places, of = places[missed], of[missed]
        if not len(places):
            break
    return np.stack([count, count - np.bincount(of, minlength=classes)]).astype(np.int64)
