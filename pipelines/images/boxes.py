"""Boxes around objects: the true ones, the ones found, and how much two of them overlap.

A box is ``(left, top, right, bottom)`` in pixels of the upright original image. Pixel (0, 0) covers the square from
(0, 0) to (1, 1), so that a box around the whole of an image is ``(0, 0, width, height)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Detected", "Objects", "areas", "overlaps"]


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one image, as they are labelled.

    Args:
        boxes: float32 of shape (n, 4), xyxy in pixels.
        class_ids: int32 of shape (n,), indices into the names of the classes.
        ignored: bool of shape (n,); such an object ("difficult", "crowd") need not be found, and finding it is not
            wrong.

    Example:
        >>> one = Objects.of([[0, 0, 10, 20]], [3])
        >>> len(one), one.ignored.tolist()
        (1, [False])
    """

    boxes: np.ndarray
    class_ids: np.ndarray
    ignored: np.ndarray

    @classmethod
    def of(cls, boxes: object, class_ids: object, ignored: object = None) -> Objects:
        """Make a record from anything NumPy takes; none is ignored by default."""
        corners = np.asarray(boxes, np.float32).reshape(-1, 4)
        count = len(corners)
        return cls(
            corners,
            np.asarray(class_ids, np.int32).reshape(count),
            np.zeros(count, bool) if ignored is None else np.asarray(ignored, bool).reshape(count),
        )

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.boxes)


@dataclass(frozen=True, eq=False)
class Detected:
    """What a detector found in one image, the highest score first.

    Args:
        boxes: float32 of shape (n, 4), xyxy in pixels.
        scores: float32 of shape (n,), 0 to 1.
        class_ids: int32 of shape (n,).
    """

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray

    def __len__(self) -> int:
        """Return the number of detections."""
        return len(self.boxes)

    def above(self, score: float) -> Detected:
        """Return those with at least this score."""
        kept = self.scores >= score
        return Detected(self.boxes[kept], self.scores[kept], self.class_ids[kept])


def areas(boxes: np.ndarray) -> np.ndarray:
    """Return the area of boxes (..., 4) in square pixels, 0 where a side is not positive."""
    widths = np.clip(boxes[..., 2] - boxes[..., 0], 0, None)
    found: np.ndarray = widths * np.clip(boxes[..., 3] - boxes[..., 1], 0, None)
    return found


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union of every pair of boxes.

    Args:
        first: of shape (n, 4).
        second: of shape (m, 4).

    Returns:
        Shape (n, m), 0 to 1; 0 where both are empty.

    Example:
        >>> overlaps(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2], [5, 5, 6, 6]])).round(3).tolist()
        [[0.333, 0.0]]
    """
    corners = np.concatenate(
        [np.maximum(first[:, None, :2], second[:, :2]), np.minimum(first[:, None, 2:], second[:, 2:])], axis=-1
    )
    shared = areas(corners)
    union = areas(first)[:, None] + areas(second) - shared
    shares: np.ndarray = shared / np.maximum(union, np.finfo(np.float32).tiny)
    return shares
