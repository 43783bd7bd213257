"""Masks: the class of every pixel, as arrays and as PNG files with a palette."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

__all__ = ["IGNORED", "MOST_CLASSES", "colours", "to_png"]

IGNORED = 255
"""The value of unlabelled pixels: they are neither learned nor measured."""
MOST_CLASSES = 255


def colours(count: int) -> np.ndarray:
    """Return the colours of classes as Pascal VOC has them: class 0 is black, and neighbours differ strongly.

    Args:
        count: of classes, up to 256.

    Returns:
        uint8 of shape (count, 3), RGB.

    Example:
        >>> colours(3).tolist()
        [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    """
    index = np.arange(count)
    table = np.zeros((count, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            table[:, channel] |= (((index >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return table


def to_png(mask: np.ndarray) -> bytes:
    """Write a mask as a palette PNG: the values are those of the mask, shown in the colours of :func:`colours`.

    Args:
        mask: uint8 of shape (height, width).

    Returns:
        The bytes of the file; pixels to be ignored are white.

    Raises:
        ValueError: if it is no such array.
    """
    if mask.dtype != np.uint8 or mask.ndim != 2:
        raise ValueError(
            f"a mask must be uint8 of shape (height, width). Received: {mask.dtype} of shape {mask.shape}."
        )
    table = colours(256)
    table[IGNORED] = 255
    picture = Image.fromarray(mask)
    picture.putpalette(table.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
