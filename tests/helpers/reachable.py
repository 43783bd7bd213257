"""What of the bytes of somebody's image can still be reached in a process."""

from __future__ import annotations

import gc
import io
import struct
from typing import Any

import numpy as np
from PIL import Image

SIDE = 64


def marked(seed: int, side: int = SIDE) -> bytes:
    """Return an image, as BMP, whose rows are a pattern that nothing else has: in the file and in its pixels."""
    grey = np.random.default_rng(seed).integers(0, 256, side, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.tile(grey[None, :, None], (side, 1, 3))).save(buffer, "BMP")
    return buffer.getvalue()


def holders(seed: int) -> list[str]:
    """Return what holds a part of :func:`marked`, in bytes, buffers, arrays or pictures, by its type."""
    grey = np.random.default_rng(seed).integers(0, 256, SIDE, np.uint8)
    codes = np.tile(grey[:, None], (1, 3)).ravel()[:48].tolist()
    gc.collect()
    gc.collect()
    pattern = struct.pack("48B", *codes)
    found: list[str] = []
    for holder in gc.get_objects():
        if isinstance(holder, (io.BytesIO, Image.Image)) and pattern in _content(holder):
            found.append(type(holder).__name__)
        for part in gc.get_referents(holder):
            kind = type(part)
            # Others hold no bytes, or are objects that are looked at themselves.
            if (kind is bytes or kind is bytearray or kind is np.ndarray) and part is not pattern:
                found += [type(holder).__name__] if pattern in _content(part) else []
    return found


def _content(value: Any) -> bytes | bytearray:
    if isinstance(value, np.ndarray):
        return value.tobytes() if value.dtype == np.uint8 else b""
    if isinstance(value, io.BytesIO):
        return b"" if value.closed else value.getvalue()
    if isinstance(value, Image.Image):
        return value.tobytes() if getattr(value, "_im", None) is not None else b""
    found: bytes | bytearray = value
    return found
