"""How large objects are, and at what scales a detector that has one window for all is to look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["LEGIBLE", "SPREAD", "Scales", "choose_scales", "too_small"]

LEGIBLE = 8.0
"""Objects of less area than a square of this side, in pixels of the network, show too little to be told."""
SPREAD = 6.0
"""How many times larger than the smallest the largest object of one level of the pyramid may be."""

_SMALL = 20.0
"""The shorter side that small objects are brought to, in pixels of the network."""
_LARGE_WINDOW = 128.0
"""Windows that were cut out are scaled down to this side where they are larger."""
_COARSE = 40.0
"""Objects of this size are found with windows at every 8 pixels, smaller ones at every 4."""


@dataclass(frozen=True)
class Scales:
    """How images are scaled for the network.

    Args:
        scale: of the finest level that a detector is trained on: pixels of the network a pixel of the image.
        levels: of the pyramid, as factors of the scale, the first one 1.
        stride: pixels of the network between neighbouring windows.
        largest: (height, width) in pixels of the network that hold 95 of 100 objects of the largest class.
        small: the size (square root of the area) in pixels of the network that 5 of 100 objects fall short of.
    """

    scale: float
    levels: tuple[float, ...]
    stride: int
    largest: tuple[float, float]
    small: float


def choose_scales(
    sizes: np.ndarray,
    class_ids: np.ndarray,
    *,
    windows: bool = False,
    scale: float | None = None,
    stride: int | None = None,
) -> Scales:
    """Choose scales from the sizes of objects.

    Objects of the smallest class are brought to a shorter side of 20 pixels, never enlarged; windows that were cut out
    stay as they are, up to a side of 128 pixels. There is one level where no object is more than 6 times larger than
    the smallest, one more for each factor of 2 beyond.

    Args:
        sizes: of shape (n, 2), heights and widths in pixels of the images; n is at least 1.
        class_ids: of shape (n,).
        windows: whether the objects are cut out, so that sizes in images are not known.
        scale: where it is given already.
        stride: likewise.

    Returns:
        The scales.

    Example:
        >>> choose_scales(np.array([[40, 40], [42, 40], [80, 160]]), np.array([0, 0, 1])).scale
        0.5
    """
    classes: Sequence[np.ndarray] = [sizes[class_ids == index] for index in np.unique(class_ids)]
    if windows:
        natural = _LARGE_WINDOW / max(float(np.median(one.max(1))) for one in classes)
    else:
        natural = _SMALL / min(float(np.median(one.min(1))) for one in classes)
    scale = scale or min(1.0, natural)
    sides = np.sqrt(sizes.prod(1)) * scale
    small, large = np.quantile(sides, [0.05, 0.95])
    octaves = 0 if windows else max(0, int(np.ceil(np.log2(large / small / SPREAD))))
    height, width = np.max([np.quantile(one, 0.95, axis=0) for one in classes], axis=0) * scale
    return Scales(
        scale,
        tuple(0.5**octave for octave in range(octaves + 1)),
        stride or (8 if np.median(sides) >= _COARSE else 4),
        (float(height), float(width)),
        float(small),
    )


def too_small(sizes: np.ndarray, scales: Scales) -> np.ndarray:
    """Say which objects show too little at the finest level: they have fewer than 8 x 8 pixels there.

    Args:
        sizes: of shape (n, 2), heights and widths in pixels of the images.
        scales: as of :func:`choose_scales`.

    Returns:
        bool of shape (n,).

    Example:
        >>> sizes = np.array([[40, 40], [42, 40], [80, 160], [12, 20]])
        >>> too_small(sizes, choose_scales(sizes, np.array([0, 0, 1, 1]))).tolist()
        [False, False, False, True]
    """
    small: np.ndarray = np.sqrt(sizes.prod(axis=1)) * scales.scale < LEGIBLE
    return small
