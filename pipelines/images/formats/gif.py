"""The first frame of a GIF, cut out of its bytes; nothing is decoded, so its pixels are those of the whole file."""

from __future__ import annotations

from typing import NamedTuple

from pipelines.core.errors import DataError
from pipelines.intake.limits import LIMITS

__all__ = ["first_frame"]

_TRAILER = 0x3B
_EXTENSION = 0x21
_IMAGE = 0x2C
_CONTROL = 0xF9


class _Frame(NamedTuple):
    """Where the first frame lies.

    Args:
        tables: where the global table of colours ends.
        control: the last graphic control extension before it: where it begins and ends; empty where there is none.
        image: where its descriptor begins.
        end: where it ends.
    """

    tables: int
    control: tuple[int, int]
    image: int
    end: int


def first_frame(data: bytes) -> bytes:
    """Return a GIF with the first frame of this one alone.

    The answer is for the first frame. Decoders read comments and texts as well, TensorFlow every frame: a file of a
    megabyte may hold gigabytes.

    Args:
        data: an encoded GIF.

    Returns:
        What the pixels of the first frame consist of; `data` itself where there is nothing else, or where it ends
        early.

    Raises:
        DataError: if it is in more blocks than are taken.

    Reference:
        CompuServe, 1990, "Graphics Interchange Format, Version 89a", sections 18 to 27.

    Example:
        >>> first_frame(b"GIF89a")
        b'GIF89a'
    """
    frame = _find(data)
    if frame is None:
        return data
    start, end = frame.control
    # A frame is where its control extension is, or follows the tables: then nothing is left out before it.
    tight = frame.image - frame.tables == end - start
    if tight and data[frame.end : frame.end + 1] in (b"", bytes([_TRAILER])):
        return data
    return data[: frame.tables] + data[start:end] + data[frame.image : frame.end] + bytes([_TRAILER])


def _find(data: bytes) -> _Frame | None:
    try:
        position = tables = 13 + _color_table(data[10])
        control = (tables, tables)
        while data[position] == _EXTENSION:
            end = _end_of_blocks(data, position + 2)
            if data[position + 1] == _CONTROL:
                control = (position, end)
            position = end
        if data[position] != _IMAGE:
            return None
        return _Frame(tables, control, position, _end_of_blocks(data, position + 11 + _color_table(data[position + 9])))
    except IndexError:
        return None


def _color_table(flags: int) -> int:
    """Return how many bytes a table of colours takes, which a byte of flags announces."""
    return 3 * 2 ** (flags % 8 + 1) if flags & 0x80 else 0


def _end_of_blocks(data: bytes, position: int) -> int:
    """Return where the sub-blocks end that begin here, each with its length before it, the last of length 0."""
    count = 0
    while data[position]:
        position += 1 + data[position]
        count += 1
        if count > LIMITS.blocks:
            raise DataError(f"has more than {LIMITS.blocks:,} blocks, the most that are decoded; save it anew")
    return position + 1
