"""Transparency as a channel of its own, and images laid over white: exactly the pixels that the graph makes of them."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image

from pipelines.images.formats.structure import chunks

__all__ = ["framed", "over_white", "separated"]

_DEEP = ("I;16", "I;16B", "I;16L", "I;16N")


@cache
def _table() -> np.ndarray:
    """Return what each of 256 levels shows over white, by 256 shares of covering, as the graph rounds it."""
    share = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
    levels = np.arange(256, dtype=np.float32)
    table: np.ndarray = np.rint(levels * share + np.float32(255) * (np.float32(1) - share)).astype(np.uint8)
    return table


def over_white(values: np.ndarray) -> np.ndarray:
    """Lay an image over white; its last channel says how much of it covers.

    Args:
        values: uint8 of shape (..., n + 1).

    Returns:
        uint8 of shape (..., n).

    Example:
        >>> over_white(np.array([[10, 255], [10, 0]], np.uint8)).tolist()
        [[10], [255]]
    """
    shown: np.ndarray = _table()[values[..., -1:], values[..., :-1]]
    return shown


def separated(image: Image.Image, png: bytes | None = None) -> Image.Image:
    """Make a channel of a transparent colour.

    Args:
        image: a picture that is decoded.
        png: its file, where that is a PNG: of a grey or an RGB one Pillow compares colours in another depth than they
            are stated in.

    Returns:
        A picture of mode RGBA, or `image` itself where nothing of it is transparent.
    """
    stated = _stated(png) if png is not None else None
    if stated is not None and png is not None:
        return _compared(image, png, stated)
    if png is not None and image.mode != "P" and "transparency" in image.info:
        image = image.copy()
        del image.info["transparency"]  # where no decoder looks for it
    if image.mode in _DEEP and "transparency" in image.info:
        values = np.asarray(image).astype(np.uint16)
        return _joined((values >> 8).astype(np.uint8), values != image.info["transparency"])
    return image.convert("RGBA") if image.has_transparency_data else image


def _stated(png: bytes) -> tuple[int, ...] | None:
    """Return the grey value or the colour that a PNG states to be transparent; None of palettes, or without one."""
    count = {0: 1, 2: 3}.get(png[25], 0)
    for kind, start, end in chunks(png):
        if kind == b"IDAT":
            return None
        if kind == b"tRNS" and count and end - start - 12 == 2 * count:
            most = 2 ** png[24] - 1
            parts = (png[start + 8 + 2 * index : start + 10 + 2 * index] for index in range(count))
            return tuple(int.from_bytes(part, "big") & most for part in parts)
    return None


def _compared(image: Image.Image, png: bytes, stated: tuple[int, ...]) -> Image.Image:
    depth = png[24]
    if len(stated) == 3:
        levels = np.asarray(image.convert("RGB") if image.mode != "RGB" else image)
        high, low = (np.array([value >> shift & 255 for value in stated], np.uint8) for shift in (max(0, depth - 8), 0))
        differs = (levels != high).any(axis=-1)
        if depth == 16:
            differs |= (_low_bytes(png) != low).any(axis=-1)
        return _joined(levels, differs)
    if depth == 16:
        values = np.asarray(image).astype(np.uint16)
        return _joined((values >> 8).astype(np.uint8), values != stated[0])
    levels = np.asarray(image.convert("L"))
    return _joined(levels, levels != stated[0] * (255 // (2**depth - 1)))


def _low_bytes(png: bytes) -> np.ndarray:
    """Decode the low bytes of an RGB PNG of 16 bits, by taking its samples for those of the other byte order."""
    image = Image.open(io.BytesIO(png), formats=["PNG"])
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    return np.asarray(image)


def _joined(levels: np.ndarray, opaque: np.ndarray) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(levels)).convert("RGB")
    picture.putalpha(Image.fromarray(opaque.astype(np.uint8) * np.uint8(255)))
    return picture


def framed(image: Image.Image, extents: tuple[int, int, int, int]) -> Image.Image:
    """Make transparent what the first frame of a GIF does not cover, as browsers show it.

    Args:
        image: the whole screen.
        extents: of the frame: left, top, right, bottom.

    Returns:
        `image` itself where the frame covers it.
    """
    if tuple(extents) == (0, 0, *image.size):
        return image
    shown = Image.new("RGBA", image.size, (255, 255, 255, 0))
    shown.paste(image.convert("RGBA").crop(extents), extents)
    return shown
