"""What the bytes of an image say of the work that decoding it is, looked at before any decoder sees them.

Pixels bound the work of decoding only where each is gone over once. A JPEG of a megabyte may have thousands of scans,
each over all pixels; a PNG comments that unpack to gigabytes; a TIFF millions of strips. Such files are refused, or
where what is too much is not needed for the pixels, it is left out.
"""

from __future__ import annotations

import mmap
import re
import struct
import zlib
from collections.abc import Iterator

from pipelines.core.errors import DataError, ImageTooLargeError
from pipelines.intake.limits import LIMITS
from pipelines.intake.regular_file import too_many_bytes

__all__ = ["Buffer", "chunks", "refuse_unbounded", "without_notes"]

Buffer = bytes | mmap.mmap
"""The bytes of a file, or a file that is mapped into memory."""

_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)
_COMMENT = re.compile(rb"#[^\r\n]*")
_END_OF_IMAGE, _START_OF_SCAN, _START_OF_IMAGE, _APPLICATION_1 = 0xD9, 0xDA, 0xD8, 0xE1
_FRAMES_OF_JPEG = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SIDES = struct.Struct(">HH")
_PNG = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">I4s")
_NOTES = (b"zTXt", b"iTXt", b"tEXt", b"iCCP", b"sPLT")
_COLOUR_TYPE, _GREY, _RGB, _PALETTE = 25, 0, 2, 3
_FRAMES = (b"acTL", b"fcTL", b"fdAT")
_NEEDED = (b"tRNS", b"eXIf")
_MORE = 16
_JPEG_2000 = (b"\x00\x00\x00\x0cjP  ", b"\xffO\xffQ")
_TIFF_ENDIAN = {b"II": "<", b"MM": ">"}


def refuse_unbounded(data: Buffer, name: str, by_windows: bool = False) -> None:
    """Refuse an image whose decoding would take work without measure.

    Args:
        data: the bytes of its file.
        name: how messages call it.
        by_windows: whether it is not decoded whole, and may have more parts.

    Raises:
        DataError: saying of what there is too much.
    """
    if data[:2] == b"\xff\xd8":
        _check_jpeg(data, name)
    elif data[:8] == _PNG:
        _check_png(data, name, LIMITS.parts * (_MORE if by_windows else 1))
    elif data[:2] in _TIFF_ENDIAN and data[2:4] in (b"*\0", b"\0*", b"+\0", b"\0+"):
        _check_tiff(data, name, LIMITS.strips * (_MORE if by_windows else 1))
    elif data[:2] == b"BM" and data[30:34] in (b"\1\0\0\0", b"\2\0\0\0"):
        _check_bytes(data, name, LIMITS.packed_image_bytes, "run-length encoded BMP")
    elif data[:4] == b"\0\0\1\0":
        _check_bytes(data, name, LIMITS.packed_image_bytes, "ICO")
    elif data[:1] == b"P" and data[1:2] in (b"1", b"2", b"3", b"4", b"5", b"6"):
        _check_portable_map(data, name)
    elif data[:8] == _JPEG_2000[0] or data[:4] == _JPEG_2000[1]:
        _check_jpeg_2000(data, name)


def _check_bytes(data: Buffer, name: str, limit: int, what: str) -> None:
    if len(data) > limit:
        raise ImageTooLargeError(too_many_bytes(name, len(data), limit, what))


def _check_portable_map(data: Buffer, name: str) -> None:
    """Look for the end of the header, which readers go through byte by byte."""
    if data[1:2] in (b"1", b"2", b"3"):
        _check_bytes(data, name, LIMITS.text_image_bytes, "PPM as text")
    head = _COMMENT.sub(b" ", data[: LIMITS.head_bytes])
    if len(data) > LIMITS.head_bytes and len(head.split(None, 4)) < 4:
        raise DataError(f"{name}: has a header of more than {LIMITS.head_bytes:,} bytes; save it anew")


def _too_many(name: str, what: str, limit: int) -> DataError:
    return DataError(f"{name}: has more than {limit:,} {what}, the most that are decoded; save it anew")


# === JPEG ===


def _check_jpeg(data: Buffer, name: str) -> None:
    """Count segments and scans; decoders take what lies between them, and any number of fill bytes, one by one."""
    position, parts, scans, exif, most = 2, 0, 0, 0, LIMITS.scans
    while position < len(data):
        found = _MARKER.search(data, position)
        code, start = (found[1][0], found.start()) if found else (_END_OF_IMAGE, len(data))
        parts += 1 if scans else 1 + start - position
        scans += code == _START_OF_SCAN
        if scans > most:
            raise _too_many(name, "scans", most)
        if parts > LIMITS.parts:
            raise _too_many(name, "segments", LIMITS.parts)
        if code == _END_OF_IMAGE:
            return
        position = start + 2
        if code in _FRAMES_OF_JPEG and position + 7 <= len(data):
            height, width = _SIDES.unpack_from(data, position + 3)
            most = min(most, LIMITS.scanned_pixels // max(1, height * width))
        if code != _START_OF_IMAGE:
            length = max(2, int.from_bytes(data[position : position + 2], "big"))
            exif += length if code == _APPLICATION_1 and data[position + 2 : position + 6] == b"Exif" else 0
            position += length
        if exif > LIMITS.exif_bytes:
            raise _too_many(name, "bytes of EXIF", LIMITS.exif_bytes)


# === PNG ===


def chunks(data: Buffer) -> Iterator[tuple[bytes, int, int]]:
    """Give the chunks of a PNG: the name, where it begins, and where it ends.

    Example:
        >>> [chunk[0] for chunk in chunks(_PNG + bytes(4) + b"IEND" + bytes(4))]
        [b'IEND']
    """
    position, last = len(_PNG), len(data) - 8
    while position <= last:
        length, kind = _CHUNK.unpack_from(data, position)
        yield kind, position, position + 12 + length
        position += 12 + length


def _check_png(data: Buffer, name: str, most: int) -> None:
    for number, (kind, start, end) in enumerate(chunks(data)):
        if number >= most:
            raise _too_many(name, "chunks", most)
        # What is ancillary may be damaged: it is left out. Of other chunks not every decoder asks for the checksum.
        if end <= len(data) and not kind[:1].islower() and not _is_whole(data, start, end):
            raise DataError(f"{name}: the image is damaged: the checksum of its {kind.decode('latin-1')} is wrong")
        if kind == b"IEND":
            return


def without_notes(png: bytes, every: bool = False) -> bytes:
    """Leave out chunks that no pixel needs: damaged ones, further frames, and texts where there are many of them.

    Args:
        png: an encoded PNG.
        every: whether to leave out all that is not needed.

    Returns:
        The same bytes where nothing has to go; else a file of the same pixels.

    Example:
        >>> without_notes(b"no png") == b"no png"
        True
    """
    listed = list(chunks(png))
    notes = sum(end - start for kind, start, end in listed if kind in _NOTES)
    early = next((number for number, (kind, _, _) in enumerate(listed) if kind == b"IDAT"), len(listed))
    many = every or notes > LIMITS.notes_bytes or early > LIMITS.header_parts
    transparent = _transparent_colour(png, listed[:early])

    def is_kept(kind: bytes, start: int, end: int) -> bool:
        # The fifth bit of a name says that a decoder may pass over what it does not know, or what is damaged.
        if not kind[:1].islower():
            return True
        if kind in _FRAMES or (kind == b"tRNS" and start != transparent):
            return False
        return (kind in _NEEDED or not many) and _is_whole(png, start, end)

    kept = [(start, end) for kind, start, end in listed if is_kept(kind, start, end)]
    return png if len(kept) == len(listed) else b"".join([png[: len(_PNG)], *(png[start:end] for start, end in kept)])


def _transparent_colour(png: bytes, early: list[tuple[bytes, int, int]]) -> int | None:
    """Return where the chunk of the transparent colour begins, if it is one; of others decoders make this or that."""
    colours = 0
    for kind, start, end in early:
        length = end - start - 12
        if kind == b"PLTE":
            colours = length // 3
        elif kind == b"tRNS":
            kinds = {_GREY: (2, 2), _RGB: (6, 6), _PALETTE: (1, colours)}
            least, most = kinds.get(png[_COLOUR_TYPE], (1, 0))
            return start if least <= length <= most else None
    return None


def _is_whole(png: Buffer, start: int, end: int) -> bool:
    return zlib.crc32(memoryview(png)[start + 4 : end - 4]) == int.from_bytes(png[end - 4 : end], "big")


# === TIFF ===

_LENGTH, _WIDTH_OF_TILE, _LENGTH_OF_TILE, _BITS, _SAMPLES = 257, 322, 323, 258, 277
_PLACES = (273, 324)
_SIZES = {1: 1, 3: 2, 4: 4, 16: 8}


def _check_tiff(data: Buffer, name: str, most: int) -> None:
    """Look at the first directory: how many strips or tiles there are, and how large a tile is."""
    try:
        entries = _directory(data)
    except (struct.error, OverflowError):  # Which is for the decoder to say.
        return
    count = max((entries[tag][0] for tag in _PLACES if tag in entries), default=0)
    if count > most:
        raise _too_many(name, "strips or tiles", most)
    sides = [entries[tag][1] for tag in (_WIDTH_OF_TILE, _LENGTH_OF_TILE) if tag in entries]
    if len(sides) == 2:
        samples = entries[_SAMPLES][1] if _SAMPLES in entries else 1
        size = sides[0] * sides[1] * max(1, samples)
        if size > LIMITS.tile_bytes:
            raise ImageTooLargeError(
                f"{name}: has tiles of {sides[0]:,} x {sides[1]:,} pixels; at most {LIMITS.tile_bytes:,} samples are "
                "decoded at once; save it with smaller tiles"
            )


def _directory(data: Buffer) -> dict[int, tuple[int, int]]:
    """Return the count and the first value of the entries, by their tags; the first of each, as decoders take it."""
    endian = _TIFF_ENDIAN[bytes(data[:2])]
    big = b"+" in data[2:4]
    entry, number, whole = ("HHQ", "Q", 8) if big else ("HHI", "H", 4)
    (at,) = struct.unpack_from(f"{endian}{'Q' if big else 'I'}", data, 8 if big else 4)
    (count,) = struct.unpack_from(endian + number, data, at)
    at += struct.calcsize(endian + number)
    step = struct.calcsize(endian + entry) + whole
    entries: dict[int, tuple[int, int]] = {}
    for place in range(at, min(at + min(count, 65535) * step, len(data) - step + 1), step):
        tag, kind, length = struct.unpack_from(endian + entry, data, place)
        size = _SIZES.get(kind, 0)
        value = bytes(data[place + step - whole : place + step - whole + size]) if size <= whole else b""
        entries.setdefault(tag, (length, int.from_bytes(value, "little" if endian == "<" else "big")))
    return entries


# === JPEG 2000 ===


def _check_jpeg_2000(data: Buffer, name: str) -> None:
    """Count boxes, and the tiles, each of which costs memory however small it is."""
    place, boxes = 0, 0
    while data[:4] == b"\0\0\0\x0c" and place + 16 <= len(data):
        size, kind, large = struct.unpack_from(">I4sQ", data, place)
        if kind == b"jp2c" or size == 0:
            break
        boxes += 1
        if boxes > LIMITS.boxes:
            raise _too_many(name, "boxes", LIMITS.boxes)
        place += 8 if kind == b"jp2h" else max(8, large if size == 1 else size)
    at = data.find(b"\xffO\xffQ")
    if at < 0 or at + 40 > len(data):
        return
    width, height, left, top, tile_width, tile_height = struct.unpack_from(">6I", data, at + 8)
    if tile_width and tile_height:
        count = -(-max(0, width - left) // tile_width) * -(-max(0, height - top) // tile_height)
        if count > LIMITS.wavelet_tiles:
            raise _too_many(name, "tiles", LIMITS.wavelet_tiles)
