"""PBM, PGM and PPM whose samples are texts, or are not of 8 or 16 full bits: Pillow decodes these one by one in Python.

Reference:
    J. Poskanzer (1991), "Netpbm", the formats PBM, PGM and PPM.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from PIL import Image, ImageFile

__all__ = ["decode", "is_slow", "is_text"]

_DECODERS = ("ppm", "ppm_plain")
_COMMENT = re.compile(rb"#[^\r\n]*")
_SPACES = b" \t\r\n\v\f"
_DIGITS = b"0123456789"


def is_slow(image: ImageFile.ImageFile) -> bool:
    """Say whether an opened image is one that Pillow decodes in Python."""
    return image.format == "PPM" and bool(image.tile) and image.tile[0].codec_name in _DECODERS


def is_text(image: ImageFile.ImageFile) -> bool:
    """Say whether its samples are texts."""
    return image.format == "PPM" and bool(image.tile) and image.tile[0].codec_name == _DECODERS[1]


def decode(image: ImageFile.ImageFile, data: bytes) -> Image.Image:
    """Decode what :func:`is_slow` says is slow, to the pixels that Pillow gives.

    Args:
        image: as Pillow opened it.
        data: its file.

    Returns:
        A picture of the same mode: "1", "L", "I" or "RGB".

    Raises:
        ValueError: if there are too few samples, or one is none.

    Example:
        >>> import io
        >>> data = b"P2 2 1 3 0 3"
        >>> np.asarray(decode(Image.open(io.BytesIO(data)), data)).tolist()
        [[0, 255]]
    """
    codec, _, offset, found = image.tile[0]
    arguments: Any = found
    body = memoryview(data)[offset:]
    bands = len(image.getbands())
    count = image.width * image.height * bands
    shape = (image.height, image.width, bands)[: 3 if bands > 1 else 2]
    if image.mode == "1":
        return Image.fromarray(_bits(body, count).reshape(shape) == 0)
    most = int(arguments[-1])
    samples = _texts(body, count, most) if codec == _DECODERS[1] else _numbers(body, count, most)
    top = 65535 if image.mode == "I" else 255
    # The quotients of few values are few: each is worked out once, as Pillow does it.
    table = np.minimum(np.rint(np.arange(most + 1) / most * top), top)
    levels = table.astype(np.int32 if image.mode == "I" else np.uint8)
    return Image.fromarray(levels[np.minimum(samples, most)].reshape(shape))


def _bits(body: memoryview, count: int) -> np.ndarray:
    digits = _COMMENT.sub(b" ", body).translate(None, _SPACES)[:count]
    if digits.translate(None, b"01"):
        raise ValueError("holds something else than 0 and 1")
    return _enough(np.frombuffer(digits, np.uint8) - ord("0"), count)


def _texts(body: memoryview, count: int, most: int) -> np.ndarray:
    text = _COMMENT.sub(b" ", body)
    if text.translate(None, _DIGITS + _SPACES):
        raise ValueError("holds something else than numbers")
    # The text is known to be one of numbers, so that nothing is left over that NumPy would warn of.
    values = np.fromstring(text, np.int64, sep=" ")[:count] if text.strip() else np.zeros(0, np.int64)
    if values.max(initial=0) > most:
        raise ValueError(f"holds {values.max()}, which is more than {most}")
    return _enough(values, count)


def _numbers(body: memoryview, count: int, most: int) -> np.ndarray:
    kind = np.dtype(np.uint8 if most < 256 else ">u2")
    there = min(count, len(body) // kind.itemsize)
    return _enough(np.frombuffer(body[: there * kind.itemsize], kind), count)


def _enough(samples: np.ndarray, count: int) -> np.ndarray:
    if len(samples) < count:
        raise ValueError(f"ends after {len(samples):,} of {count:,} samples")
    return samples[:count]
