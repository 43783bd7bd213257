"""Many small pictures as one, each with its number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["MOST", "contact_sheet"]

MOST = 64
"""At most so many are drawn."""

_GAP, _LABEL, _LINE = 6, 16, 22
_INK = "#222222"
_HIGHEST = 4  # times as high as wide, at most


def contact_sheet(
    pictures: Sequence[np.ndarray], title: str, count: int, columns: int = 8, width: int = 960, square: bool = False
) -> Image.Image:
    """Lay pictures out in rows, each under its number, on white.

    Args:
        pictures: uint8 of shape (height, width, 3), all of one shape; they are enlarged by whole pixels, or made
            smaller, to fill the width.
        title: one line above them.
        count: how many there are in all: of those that are left out it is said how many.
        columns: pictures in a row.
        width: of the sheet, in pixels.
        square: whether each has a square place, so that sheets of other pictures have their rows at the same heights.

    Returns:
        A picture of mode RGB.

    Example:
        >>> sheet = contact_sheet([np.zeros((4, 4, 3), np.uint8)] * 3, "three of five", 5, columns=4, width=400)
        >>> sheet.mode, sheet.width
        ('RGB', 400)
    """
    cell = (width - _GAP) // columns
    side = cell - _GAP
    shown = [_fitted(picture, side, side if square else _HIGHEST * side) for picture in pictures[:MOST]]
    height = (side if square else max((picture.height for picture in shown), default=0)) + _LABEL + _GAP
    left_out = count - len(shown)
    rows = -(-len(shown) // columns)
    bottom = _LINE + rows * height
    sheet = Image.new("RGB", (width, bottom + (_LINE if left_out else 4)), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, 3), title, fill=_INK, font_size=14)
    for number, picture in enumerate(shown):
        left, top = _GAP + number % columns * cell, _LINE + number // columns * height
        pen.text((left, top), str(number), fill=_INK, font_size=12)
        sheet.paste(picture, (left, top + _LABEL))
    if left_out:
        pen.text((_GAP, bottom + 2), f"{left_out} of {count} are left out", fill=_INK, font_size=14)
    return sheet


def _fitted(pixels: np.ndarray, wide: int, high: int) -> Image.Image:
    picture = Image.fromarray(pixels)
    factor = min(wide / picture.width, high / picture.height)
    if factor >= 1:
        times = int(factor)
        return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.BILINEAR)
