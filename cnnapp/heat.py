"""Numbers over an image, as colours."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from cnnapp.shown import Box

__all__ = ["colours", "draw_heat"]

_AGAINST, _FOR = (0, 114, 178), (213, 94, 0)
"""Blue and vermilion, told apart by the colour-blind too (Okabe, Ito 2008)."""
_SCALE, _TEXT = 14, 22


def draw_heat(
    image: Image.Image,
    values: np.ndarray,
    region: Box,
    limits: tuple[float, float],
    opacity: float = 0.6,
    side: int = 960,
    unit: str | None = None,
) -> Image.Image:
    """Lay numbers in colours over an image in grey, each on the rectangle that it belongs to.

    Numbers of both signs are blue below 0 and vermilion above, the clearer the farther from 0, where the image shows
    as it is; others go from dark to bright.

    Args:
        image: of mode RGB, upright.
        values: float32 of shape (rows, columns).
        region: what they cover together, in pixels of the image. It may reach beyond the image, and what it leaves
            uncovered stays grey.
        limits: the values of the first and of the last colour; of both signs if the first is below 0.
        opacity: of the colours, 0 to 1.
        side: the longer side of the drawing, in pixels, unless the image is larger; tiny images are enlarged by whole
            pixels.
        unit: if given, a scale with the limits and this word is drawn below.

    Returns:
        A picture of mode RGB.

    Example:
        >>> picture = draw_heat(Image.new("RGB", (2, 2)), np.eye(2), (0, 0, 2, 2), (0.0, 1.0), 1.0, side=4)
        >>> picture.size, picture.getpixel((3, 0)), sum(picture.getpixel((0, 0))) > 600
        ((4, 4), (0, 0, 4), True)
    """
    factor = max(1, side // max(image.size))
    size = (image.width * factor, image.height * factor)
    grey = np.asarray(image.convert("L").resize(size, Image.Resampling.NEAREST), np.float32)[..., None]
    rows = _cells(size[1], factor, region[1], region[3], values.shape[0])
    columns = _cells(size[0], factor, region[0], region[2], values.shape[1])
    covered = (rows >= 0)[:, None] & (columns >= 0)
    table, shares = _table(values, limits)
    share = opacity * np.where(covered, shares[rows[:, None], columns], 0.0)[..., None]
    mixed = grey * (1 - share) + table[rows[:, None], columns] * share
    picture = Image.fromarray(np.rint(mixed).astype(np.uint8))
    return picture if unit is None else _with_scale(picture, limits, unit)


def colours(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return numbers as colours alone, where nothing lies below them but grey.

    Args:
        values: float32 of any shape.
        limits: as for :func:`draw_heat`.

    Returns:
        uint8 of shape (..., 3).

    Example:
        >>> colours(np.array([-2.0, 0.0, 2.0]), (-2.0, 2.0)).tolist()
        [[0, 114, 178], [128, 128, 128], [213, 94, 0]]
    """
    table, shares = _table(values, limits)
    return np.rint(128 * (1 - shares[..., None]) + table * shares[..., None]).astype(np.uint8)


def _cells(count: int, factor: int, first: float, end: float, cells: int) -> np.ndarray:
    """Return the number of the cell that each pixel of a drawing lies in by its middle, -1 for none."""
    middles = (np.arange(count) + 0.5) / factor
    found = np.floor((middles - first) / (end - first) * cells).astype(int)
    return np.where((found >= 0) & (found < cells), found, -1)


def _table(values: np.ndarray, limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the colour of each number, 0 to 255, and how much of it there is, 0 to 1."""
    low, high = limits
    if low < 0:
        share = np.clip(values / max(high, -low), -1.0, 1.0)
        table = np.where((share < 0)[..., None], np.array(_AGAINST, np.float32), np.array(_FOR, np.float32))
        return table, np.abs(share)
    from matplotlib import colormaps

    shares = np.clip((values - low) / max(high - low, 1e-30), 0.0, 1.0)
    return (colormaps["inferno"](shares)[..., :3] * 255).astype(np.float32), np.ones(values.shape, np.float32)


def _with_scale(picture: Image.Image, limits: tuple[float, float], unit: str) -> Image.Image:
    low, high = limits
    canvas = Image.new("RGB", (picture.width, picture.height + _SCALE + _TEXT + 4), "white")
    canvas.paste(picture, (0, 0))
    strip = colours(np.linspace(low, high, picture.width)[None], limits)
    canvas.paste(Image.fromarray(strip.repeat(_SCALE, 0)), (0, picture.height + 4))
    pen = ImageDraw.Draw(canvas)
    bottom = canvas.height - _TEXT + 3
    texts = [(4, f"{low:.3g}", "la"), (canvas.width // 2, unit, "ma"), (canvas.width - 4, f"{high:.3g}", "ra")]
    for x, text, anchor in texts:
        pen.text((x, bottom), text, fill="#222222", font_size=14, anchor=anchor)
    return canvas
