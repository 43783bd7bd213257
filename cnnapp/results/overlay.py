"""Classes of pixels, in their colours over an image."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image, ImageDraw

from pipelines.core.percent import percent
from pipelines.images.palette import class_colours

__all__ = ["enlarged", "mixed", "with_legend"]

_ROWS = 256  # that are mixed at a time


def mixed(
    pixels: np.ndarray, class_map: np.ndarray, class_names: Sequence[str], opacity: float, shown: Collection[int]
) -> np.ndarray:
    """Lay colours over pixels.

    Args:
        pixels: uint8 of shape (height, width, 3).
        class_map: uint8 of shape (height, width).
        class_names: the names of all classes, which choose the colours.
        opacity: of the colours, 0 to 1.
        shown: class ids that are coloured.

    Returns:
        uint8 of shape (height, width, 3).
    """
    table, shares = class_colours(class_names).astype(np.float32), np.zeros((256, 1), np.float32)
    shares[list(shown)] = opacity
    found = np.empty(pixels.shape, np.uint8)
    # Some rows at a time, so that little is held in float32.
    for top in range(0, len(pixels), _ROWS):
        rows = slice(top, top + _ROWS)
        share = shares[class_map[rows]]
        found[rows] = np.rint(pixels[rows] * (1 - share) + table[class_map[rows]] * share)
    return found


def enlarged(pixels: np.ndarray, side: int) -> Image.Image:
    """Make a picture, enlarged by whole pixels to a side where it is smaller.

    Args:
        pixels: uint8 of shape (height, width) or (height, width, 3).
        side: the longer side, in pixels.
    """
    picture = Image.fromarray(pixels)
    factor = max(1, side // max(picture.size))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def with_legend(picture: Image.Image, class_names: Sequence[str], entries: Sequence[tuple[str, float]]) -> Image.Image:
    """Name classes with their colours below a picture.

    Args:
        picture: of mode RGB.
        class_names: the names of all classes, which choose the colours.
        entries: name and share of the image of the classes that are named.
    """
    table = class_colours(class_names)
    pen = ImageDraw.Draw(picture)
    texts = [f"{name} {percent(share, 1)}" for name, share in entries]
    places, x, y = [], 8, 6
    for text in texts:
        width = 26 + round(pen.textlength(text, font_size=14))
        if x + width > picture.width and x > 8:
            x, y = 8, y + 22
        places.append((x, y))
        x += width + 14
    canvas = Image.new("RGB", (picture.width, picture.height + (y + 26 if entries else 0)), "white")
    canvas.paste(picture, (0, 0))
    pen = ImageDraw.Draw(canvas)
    for (name, _), text, (left, top) in zip(entries, texts, places, strict=True):
        top += picture.height
        fill = tuple(table[list(class_names).index(name)].tolist())
        pen.rectangle((left, top, left + 16, top + 16), fill=fill, outline="#222222")
        pen.text((left + 22, top), text, fill="#222222", font_size=14)
    return canvas
