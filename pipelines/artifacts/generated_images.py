"""Made images for golden examples, where those of the data are not to leave the house with the model."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["generated_images"]

_SIGNS = "0123456789ABCDEFGHKLMNPRSTXYZ"
_Draw = Callable[[np.random.Generator, int, int], Image.Image]


def generated_images(size: tuple[int, int], channels: int, count: int = 10) -> list[bytes]:
    """Make images of many kinds: signs, discs, strokes, gradients, textures, light and dark.

    Args:
        size: height and width in pixels.
        channels: 1 for greyscale, 3 for colour.
        count: of the images.

    Returns:
        PNG files, each time the same.

    Example:
        >>> made = generated_images((16, 24), channels=1)
        >>> len(made), made == generated_images((16, 24), channels=1)
        (10, True)
    """
    height, width = size
    found = []
    for number in range(count):
        # A generator for each, so that they do not depend on how many there are.
        image = _KINDS[number % len(_KINDS)](np.random.default_rng([number, channels]), height, width)
        stream = io.BytesIO()
        image.convert("L" if channels == 1 else "RGB").save(stream, "PNG", optimize=False)
        found.append(stream.getvalue())
    return found


def _colour(random: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    red, green, blue = random.integers(low, high, 3).tolist()
    return red, green, blue


def _smooth(random: np.random.Generator, height: int, width: int, low: int, high: int, cells: int = 4) -> Image.Image:
    """Return colours that change slowly over the image."""
    coarse = Image.fromarray(random.integers(low, high, (cells, cells, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def _signs(random: np.random.Generator, height: int, width: int) -> Image.Image:
    """Draw light signs on a dark ground: one that fills a small image, several of different sizes in a large one."""
    image = _smooth(random, height, width, 10, 60)
    draw = ImageDraw.Draw(image)
    side = min(height, width)
    for number in range(1 if side < 64 else 6):
        sign = _SIGNS[int(random.integers(len(_SIGNS)))] if number % 2 else str(int(random.integers(10)))
        high = side * 0.8 if side < 64 else min(side, 96) * float(random.uniform(0.3, 0.6))
        across, down = (0.5, 0.5) if side < 64 else ((number % 3 + 0.5) / 3, (number // 3 + 0.5) / 2)
        font = ImageFont.load_default(max(high, 6.0))
        draw.text((width * across, height * down), sign, fill=_colour(random, 180), anchor="mm", font=font)
    return image


def _discs(random: np.random.Generator, height: int, width: int) -> Image.Image:
    image = _smooth(random, height, width, 0, 90)
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        radius = min(height, width) * float(random.uniform(0.08, 0.25))
        x, y = float(random.uniform(0, width)), float(random.uniform(0, height))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(random, 90))
    return image


def _strokes(random: np.random.Generator, height: int, width: int) -> Image.Image:
    image = Image.new("RGB", (width, height), _colour(random, 200))
    draw = ImageDraw.Draw(image)
    for _ in range(8):
        ends = [(float(random.uniform(0, width)), float(random.uniform(0, height))) for _ in range(2)]
        draw.line(ends, fill=_colour(random, 0, 160), width=max(1, min(height, width) // 12))
    return image


def _boxes(random: np.random.Generator, height: int, width: int) -> Image.Image:
    image = _smooth(random, height, width, 120, 256)
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = sorted(random.uniform(0, width, 2).tolist()), sorted(random.uniform(0, height, 2).tolist())
        draw.rectangle((x[0], y[0], x[1], y[1]), fill=_colour(random))
    return image


def _gradient(random: np.random.Generator, height: int, width: int) -> Image.Image:
    across = np.linspace(0, 255, width)[None, :, None] * random.uniform(0.3, 1, 3)
    down = np.linspace(0, 255, height)[:, None, None] * random.uniform(0.3, 1, 3)
    return Image.fromarray(((across + down[::-1]) / 2).astype(np.uint8))


def _texture(random: np.random.Generator, height: int, width: int) -> Image.Image:
    return _smooth(random, height, width, 0, 256, cells=max(4, min(height, width) // 4))


def _noise(random: np.random.Generator, height: int, width: int) -> Image.Image:
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def _checks(random: np.random.Generator, height: int, width: int) -> Image.Image:
    rows, columns = np.indices((height, width)) // max(1, min(height, width) // 8)
    colours = np.array([_colour(random, 0, 100), _colour(random, 150)], np.uint8)
    return Image.fromarray(colours[(rows + columns) % 2])


_KINDS: tuple[_Draw, ...] = (_signs, _discs, _boxes, _strokes, _gradient, _signs, _texture, _noise, _checks, _signs)
