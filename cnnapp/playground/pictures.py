"""Arrays as pictures whose pixels are seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from cnnapp.playground import colours

__all__ = ["draw_levels", "draw_signed"]

Box = tuple[int, int, int, int]


def draw_levels(levels: np.ndarray, marks: Sequence[Box] = (), side: int = 480, *, fit: bool = False) -> Image.Image:
    """Draw grey levels, tiny images enlarged by whole pixels.

    Args:
        levels: `(height, width)`; below 0 is black, above 255 white.
        marks: boxes to outline, in pixels: (top, left, bottom, right), the last two excluded.
        side: the longer side of the picture, which enlarging does not exceed.
        fit: whether the largest level is white where it is above 255, and the others darker in proportion.

    Returns:
        A Pillow image of mode RGB.

    Example:
        >>> import numpy as np
        >>> from cnnapp.playground.pictures import draw_levels
        >>> draw_levels(np.zeros((4, 8)), side=20).size
        (16, 8)
    """
    if fit:
        levels = levels * (255 / max(255.0, float(levels.max())))
    return _enlarge(colours.grey(levels), marks, side)


def draw_signed(
    values: np.ndarray, marks: Sequence[Box] = (), side: int = 480, limit: float | None = None
) -> Image.Image:
    """Draw numbers of either sign: blue below 0, nearly white at 0, red above.

    Args:
        values: `(height, width)`.
        marks: as of `draw_levels`.
        side: as of `draw_levels`.
        limit: the magnitude from which on colours are as strong as they get; None for the largest.

    Returns:
        A Pillow image of mode RGB.

    Example:
        >>> import numpy as np
        >>> from cnnapp.playground.pictures import draw_signed
        >>> draw_signed(np.zeros((4, 8)), side=20).size
        (16, 8)
    """
    return _enlarge(colours.signed(values, limit), marks, side)


def _enlarge(pixels: np.ndarray, marks: Sequence[Box], side: int) -> Image.Image:
    factor = max(1, side // max(pixels.shape[:2]))
    picture = Image.fromarray(pixels)
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(picture)
    for top, left, bottom, right in marks:
        edges = (left * factor, top * factor, right * factor - 1, bottom * factor - 1)
        # Around the box, so that what it holds stays visible; a dark line beside a bright one shows on everything.
        for grown, colour in ((3, "black"), (2, "#ffb000"), (1, "#ffb000")):
            box = (edges[0] - grown, edges[1] - grown, edges[2] + grown, edges[3] + grown)
            pen.rectangle(box, outline=colour)
    return picture
