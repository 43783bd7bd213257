"""The EXIF orientation of an encoded image as the graph finds it, for those who look at images without TensorFlow.

Readers differ in where they look for an orientation and in what they make of a damaged one. Here it is looked for just
as :func:`pipelines.images.preprocessing.exif_orientation` does, step by step; a test compares the two.
"""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

__all__ = ["HEADER_BYTES", "Found", "find_orientation", "upright"]

HEADER_BYTES = 1 << 17
"""So many bytes of a file, two segments of a JPEG, are searched for orientation and transparency inside the graph."""

_TAG = 0x0112
_MOST_ENTRIES = 1024
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Found(NamedTuple):
    """What was found in a header.

    Args:
        orientation: 1 to 8; 1 (as stored) where there is none or it is not valid.
        steps: how many parts of the file were walked over.
    """

    orientation: int
    steps: int


class _Header:
    """The first bytes of a file; behind its end there are zeros."""

    def __init__(self, data: bytes) -> None:
        self.data = bytes(data[:HEADER_BYTES]) + bytes(16)
        self.size = len(self.data)

    def byte(self, position: int) -> int:
        return self.data[min(position, self.size - 1)]

    def spells(self, position: int, text: bytes) -> bool:
        return self.data[position : position + len(text)] == text

    def number(self, position: int, count: int, little: bool = False) -> int:
        parts = [self.byte(position + index) for index in range(count)]
        return int.from_bytes(bytes(parts), "little" if little else "big")


def find_orientation(data: bytes) -> Found:
    """Find the EXIF orientation of a JPEG or a PNG.

    Args:
        data: an encoded image of any format; others have none.

    Returns:
        What the graph finds, and how many steps that takes it.

    Example:
        >>> find_orientation(b"GIF89a").orientation
        1
    """
    header = _Header(data)
    if data.startswith(b"\xff\xd8"):
        tiff, steps = _in_jpeg(header)
    elif data.startswith(b"\x89P"):
        tiff, steps = _in_png(header)
    else:
        return Found(1, 0)
    return Found(_in_tiff(header, tiff) if tiff else 1, steps)


def _in_jpeg(header: _Header) -> tuple[int, int]:
    position, steps = 2, 0
    while position + 4 < header.size and header.byte(position) == 0xFF and header.byte(position + 1) != 0xDA:
        marker, steps = header.byte(position + 1), steps + 1
        if marker == 0xE1 and header.spells(position + 4, b"Exif\0\0"):
            return position + 10, steps
        position += 1 if marker == 0xFF else 2 + max(header.number(position + 2, 2), 2)
    return 0, steps


def _in_png(header: _Header) -> tuple[int, int]:
    position, steps = 8, 0
    while position + 8 < header.size and not header.spells(position + 4, b"IDAT"):
        steps += 1
        if header.spells(position + 4, b"eXIf"):
            return position + 8, steps
        position += 12 + header.number(position, 4)
    return 0, steps


def _in_tiff(header: _Header, tiff: int) -> int:
    little = header.byte(tiff) == 0x49
    directory = tiff + header.number(tiff + 4, 4, little)
    entries = (directory + 2 + 12 * index for index in range(min(header.number(directory, 2, little), _MOST_ENTRIES)))
    values = [header.number(at + 8, 2, little) for at in entries if header.number(at, 2, little) == _TAG]
    orientation = max(values, default=0)
    return orientation if 1 <= orientation <= 8 else 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an image as its orientation says.

    Example:
        >>> upright(Image.new("L", (3, 2)), 6).size
        (2, 3)
    """
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image
