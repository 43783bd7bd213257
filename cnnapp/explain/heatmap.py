"""Numbers over an image, as colours."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from cnnapp.explain.network_input import Box
from pipelines.core import extras

__all__ = ["colours", "draw_heat", "fitted", "stretched"]

_AGAINST, _FOR = (0, 114, 178), (213, 94, 0)
"""Blue and vermilion, told apart by the colour-blind too (Okabe, Ito 2008)."""
_NEUTRAL = 240
_LETTERS = 26
"""The width of a drawing, in letters of its scale: they are to be read on a page that shows it in half its width."""


def draw_heat(
    image: Image.Image,
    values: np.ndarray,
    region: Box,
    limits: tuple[float, float],
    opacity: float = 0.6,
    side: int = 960,
    unit: str | None = None,
    largest: int | None = None,
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
        largest: if given, images with a longer side are made smaller, to this many pixels.

    Returns:
        A picture of mode RGB.

    Example:
        >>> picture = draw_heat(Image.new("RGB", (2, 2)), np.eye(2), (0, 0, 2, 2), (0.0, 1.0), 1.0, side=4)
        >>> picture.size, picture.getpixel((3, 0)), sum(picture.getpixel((0, 0))) > 600
        ((4, 4), (0, 0, 4), True)
    """
    large = fitted(image, side, largest)
    grey = np.asarray(large.convert("L"), np.float32)[..., None]
    if limits[0] < 0:
        grey = 100 + 0.55 * grey  # pale, so that dark places show the colours too
    rows = _cells(large.height, image.height, region[1], region[3], values.shape[0])
    columns = _cells(large.width, image.width, region[0], region[2], values.shape[1])
    covered = (rows >= 0)[:, None] & (columns >= 0)
    table, shares = _table(values, limits)
    share = opacity * np.where(covered, shares[rows[:, None], columns], 0.0)[..., None]
    mixed = grey * (1 - share) + table[rows[:, None], columns] * share
    picture = Image.fromarray(np.rint(mixed).astype(np.uint8))
    return picture if unit is None else _with_scale(picture, limits, unit)


def colours(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return numbers as colours alone, where nothing lies below them: nearly white at 0, where they are of both signs.

    Args:
        values: float32 of any shape.
        limits: as for :func:`draw_heat`.

    Returns:
        uint8 of shape (..., 3).

    Example:
        >>> colours(np.array([-2.0, 0.0, 2.0]), (-2.0, 2.0)).tolist()
        [[0, 114, 178], [240, 240, 240], [213, 94, 0]]
    """
    table, shares = _table(values, limits)
    mixed: np.ndarray = np.rint(_NEUTRAL * (1 - shares[..., None]) + table * shares[..., None])
    return mixed.astype(np.uint8)


def fitted(image: Image.Image, side: int, largest: int | None = None) -> Image.Image:
    """Bring an image to a size for looking at.

    Args:
        image: of any mode.
        side: a tiny one is enlarged by whole pixels, until its longer side has nearly so many.
        largest: one with a longer side is made smaller, to this many pixels.

    Example:
        >>> fitted(Image.new("L", (4, 3)), 10).size, fitted(Image.new("L", (400, 300)), 10, 100).size
        ((8, 6), (100, 75))
    """
    longest = max(image.size)
    if largest is not None and longest > largest:
        size = tuple(max(1, round(part * largest / longest)) for part in image.size)
        return image.resize((size[0], size[1]), Image.Resampling.BOX)
    factor = max(1, side // longest)
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def stretched(picture: Image.Image, most: int = 8) -> Image.Image:
    """Stretch a picture that would be a line on a page.

    Args:
        picture: of any mode.
        most: times that one side may be longer than the other; the shorter one is made longer where it is more.

    Example:
        >>> stretched(Image.new("L", (800, 2))).size, stretched(Image.new("L", (40, 30))).size
        ((800, 100), (40, 30))
    """
    least = max(picture.size) // most
    size = max(picture.width, least), max(picture.height, least)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.NEAREST)


def _cells(count: int, size: int, first: float, end: float, cells: int) -> np.ndarray:
    """Return the number of the cell that each pixel of a drawing lies in by its middle, -1 for none."""
    middles = (np.arange(count) + 0.5) * size / count
    found = np.floor((middles - first) / (end - first) * cells).astype(int)
    return np.where((found >= 0) & (found < cells), found, -1)


def _table(values: np.ndarray, limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the colour of each number, 0 to 255, and how much of it there is, 0 to 1."""
    low, high = limits
    if low < 0:
        share = np.clip(values / max(high, -low), -1.0, 1.0)
        table = np.where((share < 0)[..., None], np.array(_AGAINST, np.float32), np.array(_FOR, np.float32))
        return table, np.abs(share)
    extras.need("a heat map", "ui", "matplotlib")
    from matplotlib import colormaps

    shares = np.clip((values - low) / max(high - low, 1e-30), 0.0, 1.0)
    return (colormaps["inferno"](shares)[..., :3] * 255).astype(np.float32), np.ones(values.shape, np.float32)


def _with_scale(picture: Image.Image, limits: tuple[float, float], unit: str) -> Image.Image:
    low, high = limits
    letter = max(14, round(picture.width / _LETTERS))
    gap, strip = 4, colours(np.linspace(low, high, picture.width)[None], limits)
    top = picture.height + gap + letter
    canvas = Image.new("RGB", (picture.width, top + round(1.5 * letter)), "white")
    canvas.paste(picture, (0, 0))
    canvas.paste(Image.fromarray(strip.repeat(letter, 0)), (0, picture.height + gap))
    pen = ImageDraw.Draw(canvas)
    texts = [(gap, f"{low:.3g}", "la"), (canvas.width // 2, unit, "ma"), (canvas.width - gap, f"{high:.3g}", "ra")]
    for x, text, anchor in texts:
        pen.text((x, top + gap), text, fill="#222222", font_size=letter, anchor=anchor)
    return canvas
