"""The first frame of a GIF, cut out of its bytes; nothing is decoded, so its pixels are those of the whole file."""

from __future__ import annotations

__all__ = ["first_frame"]

_TRAILER = 0x3B
_EXTENSION = 0x21
_IMAGE = 0x2C


def first_frame(data: bytes) -> bytes:
    """Return a GIF with the first frame of this one alone.

    TensorFlow answers for the first frame, but reads all of them into memory before: a file of a megabyte may hold
    gigabytes.

    Args:
        data: an encoded GIF.

    Returns:
        The bytes up to the end of the first frame; `data` itself where there is no other frame, or where it ends early.

    Reference:
        CompuServe, 1990, "Graphics Interchange Format, Version 89a", sections 18 to 27.

    Example:
        >>> first_frame(b"GIF89a")
        b'GIF89a'
    """
    try:
        end = _end_of_first_frame(data)
    except IndexError:
        return data
    if data[end : end + 1] in (b"", bytes([_TRAILER])):
        return data
    return data[:end] + bytes([_TRAILER])


def _end_of_first_frame(data: bytes) -> int:
    position = 13 + _color_table(data[10])
    while data[position] == _EXTENSION:
        position = _end_of_blocks(data, position + 2)
    if data[position] != _IMAGE:
        return len(data)
    return _end_of_blocks(data, position + 11 + _color_table(data[position + 9]))


def _color_table(flags: int) -> int:
    """Return how many bytes a table of colours takes, which a byte of flags announces."""
    return 3 * 2 ** (flags % 8 + 1) if flags & 0x80 else 0


def _end_of_blocks(data: bytes, position: int) -> int:
    """Return where the sub-blocks end that begin here, each with its length before it, the last of length 0."""
    while data[position]:
        position += 1 + data[position]
    return position + 1
