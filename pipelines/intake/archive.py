"""Zip archives from outside, whose entries are unpacked piece by piece within bounds; nothing they say is believed.

The standard library unpacks a whole block of bzip2 or LZMA at a time, which of two kilobytes may be gigabytes, reserves
the dictionary that an entry of LZMA asks for, and makes a record of every entry before it can be asked how many there
are. Its table of contents is used here, once it is known to be short; the entries are unpacked by the decompressors
themselves, each of which stops at a length.
"""

from __future__ import annotations

import bz2
import importlib
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.core.errors import DataError
from pipelines.intake.limits import LIMITS, size_in_words

__all__ = ["Archive", "ArchiveLimits", "Entry", "TooLargeError", "looks_like_zip"]

_STORED, _DEFLATED, _BZIP2, _LZMA, _ZSTANDARD = 0, 8, 12, 14, 93
_LARGEST_WINDOW = 27
"""Of Zstandard, as a power of 2: what its own command line takes."""
_BLOCK = 2**18
_END, _END_64, _CENTRAL, _LOCAL = b"PK\x05\x06", b"PK\x06\x06", b"PK\x01\x02", b"PK\x03\x04"
_END_SIZE, _END_64_SIZE, _LOCATOR_SIZE, _LOCAL_SIZE = 22, 56, 20, 30

_Take = Callable[[bytes, int], tuple[bytes, bytes]]
"""From packed bytes and how many to unpack at most, to those unpacked, and the packed ones that are left over."""


class TooLargeError(DataError):
    """An entry, or all together, unpack to more than is taken."""


@dataclass(frozen=True)
class ArchiveLimits:
    """How much of an archive is taken.

    Args:
        entries: files in it, whatever they are.
        total: bytes of all that is read of it, unpacked.
        ratio: of these to the bytes of the archive.
        free: bytes up to which the ratio does not matter.
    """

    entries: int = LIMITS.archive_entries
    total: int = LIMITS.archive_total
    ratio: int = LIMITS.archive_ratio
    free: int = LIMITS.archive_free


@dataclass(frozen=True)
class Entry:
    """A file in an archive, as the table of contents has it.

    Args:
        name: as written there.
        size: unpacked, in bytes, as it is stated.
    """

    name: str
    size: int
    _info: zipfile.ZipInfo


def looks_like_zip(data: bytes) -> bool:
    """Say whether bytes begin as a zip does.

    Example:
        >>> looks_like_zip(b"GIF89a")
        False
    """
    return data.startswith((_LOCAL, _END))


class Archive:
    """A zip archive in memory.

    Args:
        data: its bytes.
        name: how messages call it.
        limits: how much of it is taken, over all calls.

    Raises:
        DataError: if it is no zip, is damaged, or holds too many files.

    Example:
        >>> import io, zipfile
        >>> buffer = io.BytesIO()
        >>> with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as made:
        ...     made.writestr("a.txt", "hello")
        >>> archive = Archive(buffer.getvalue(), "a.zip")
        >>> [archive.read(entry) for entry in archive.entries]
        [b'hello']
    """

    def __init__(self, data: bytes, name: str, limits: ArchiveLimits | None = None) -> None:
        self._data, self._name, self._limits = data, name, limits or ArchiveLimits()
        count = _table_of_contents(data).count(_CENTRAL)
        if count > self._limits.entries:
            raise DataError(
                f"{name}: holds {count:,} files; at most {self._limits.entries:,} are taken; divide it into several"
            )
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as opened:
                infos = [info for info in opened.infolist() if not info.filename.endswith("/")]
        except Exception:  # Damaged tables make it raise whatever they lead it to.
            raise DataError(f"{name}: is not a zip file that can be read; make it again") from None
        self.entries = tuple(Entry(info.filename, info.file_size, info) for info in infos)
        self._taken = 0

    @property
    def most(self) -> int:
        """How many bytes may be unpacked of it in all."""
        return min(self._limits.total, max(self._limits.free, self._limits.ratio * len(self._data)))

    def read(self, entry: Entry, most: int | None = None, shown: str | None = None) -> bytes:
        """Unpack a file.

        Args:
            entry: one of :attr:`entries`.
            most: bytes of this file.
            shown: how messages call it; by default as the archive does.

        Returns:
            Its bytes.

        Raises:
            TooLargeError: if it has more bytes, or all that were read of the archive have.
            DataError: if it is encrypted or damaged, or packed in a way that is not known.
        """
        shown = shown or entry.name
        left = self.most - self._taken
        allowed = left if most is None else min(most, left)
        if entry._info.flag_bits & 1:
            raise DataError(f"{self._name}: {shown} is encrypted; make the zip without a password")
        if entry.size > allowed:
            raise self._too_large(shown, allowed, left)
        content = bytearray()
        checksum = 0
        try:
            for block in self._unpacked(entry._info, entry.size):
                content += block
                checksum = zlib.crc32(block, checksum)
        except DataError as error:
            raise DataError(f"{self._name}: {shown} {error}") from None
        except (lzma.LZMAError, zlib.error, OSError, EOFError, ValueError, struct.error, MemoryError) as error:
            raise DataError(f"{self._name}: {shown} is damaged: {error or 'it ends early'}") from None
        if len(content) != entry.size or checksum != entry._info.CRC:
            raise DataError(f"{self._name}: {shown} is damaged: it does not unpack to what the zip says of it")
        self._taken += len(content)
        return bytes(content)

    def _too_large(self, shown: str, allowed: int, left: int) -> TooLargeError:
        if allowed < left:
            return TooLargeError(
                f"{self._name}: {shown} is larger than {size_in_words(allowed)} unpacked, which is the most that is "
                "taken"
            )
        if self.most < self._limits.total:
            return TooLargeError(
                f"{self._name}: its images unpack to more than {self._limits.ratio} times its own "
                f"{len(self._data):,} bytes, as no images do"
            )
        return TooLargeError(
            f"{self._name}: its images together are larger than {size_in_words(self.most)} unpacked, which is the most "
            "that is taken"
        )

    def _unpacked(self, info: zipfile.ZipInfo, size: int) -> Iterator[bytes]:
        """Give the unpacked bytes in small blocks; where there are more than `size`, one more than that."""
        packed = self._packed(info)
        take, place = _decompressor(info.compress_type, packed, size)
        held, given = b"", 0
        while given <= size:
            if not held:
                held = bytes(packed[place : place + _BLOCK])
                place += len(held)
            block, rest = take(held, min(_BLOCK, size + 1 - given))
            if not block and len(rest) == len(held):  # All is given, or what is left means nothing.
                return
            held, given = rest, given + len(block)
            yield block

    def _packed(self, info: zipfile.ZipInfo) -> memoryview:
        """Find the packed bytes behind the local header, which has lengths of its own."""
        start = info.header_offset
        header = self._data[start : start + _LOCAL_SIZE] if start >= 0 else b""
        if len(header) < _LOCAL_SIZE or not header.startswith(_LOCAL):
            raise DataError("is damaged: it is not where the zip says that it is")
        name_length, extra_length = struct.unpack("<HH", header[26:])
        first = start + _LOCAL_SIZE + name_length + extra_length
        found = memoryview(self._data)[first : first + info.compress_size]
        if len(found) < info.compress_size:
            raise DataError("is damaged: the zip ends before it does")
        return found


def _table_of_contents(data: bytes) -> bytes:
    """Return where the entries are listed, as far as the end of the archive says; all of it where it does not."""
    end = data.rfind(_END)
    if end < 0 or end + _END_SIZE > len(data):
        return data
    (size,) = struct.unpack("<I", data[end + 12 : end + 16])
    behind = _END_64_SIZE + _LOCATOR_SIZE
    if size == 0xFFFFFFFF:
        record = data.rfind(_END_64, 0, end)
        if record < 0 or record + _END_64_SIZE > len(data):
            return data
        (size,) = struct.unpack("<Q", data[record + 40 : record + 48])
    return data[max(0, end - behind - size) : end]


# === Decompressors ===


def _decompressor(method: int, packed: memoryview, size: int) -> tuple[_Take, int]:
    """Return what unpacks, and at which of the packed bytes it begins."""
    if method == _STORED:
        return lambda held, count: (held[:count], held[count:]), 0
    if method == _DEFLATED:
        return _deflate(), 0
    if method == _BZIP2:
        return _buffering(bz2.BZ2Decompressor()), 0
    if method == _LZMA:
        return _lzma(packed, size)
    if method == _ZSTANDARD:
        return _zstandard(), 0
    raise DataError(f"is packed by method {method}, which is not read; make the zip with deflate")


def _deflate() -> _Take:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)

    def take(held: bytes, count: int) -> tuple[bytes, bytes]:
        if unpacker.eof:
            return b"", held
        block = unpacker.decompress(held, count)
        return block, unpacker.unconsumed_tail

    return take


def _buffering(unpacker: Any) -> _Take:
    """Make one of a decompressor that keeps by itself what it was given and did not unpack yet."""

    def take(held: bytes, count: int) -> tuple[bytes, bytes]:
        if not unpacker.eof and not unpacker.needs_input and (block := unpacker.decompress(b"", count)):
            return block, held
        if unpacker.eof:
            return b"", held
        return unpacker.decompress(held, count), b""

    return take


def _lzma(packed: memoryview, size: int) -> tuple[_Take, int]:
    """Read the properties before the packed bytes; a distance never reaches further back than what is unpacked."""
    if len(packed) < 9:
        raise EOFError("it ends early")
    (length,) = struct.unpack("<H", packed[2:4])
    properties, dictionary = packed[4], int.from_bytes(packed[5:9], "little")
    if length != 5 or properties >= 9 * 5 * 5:
        raise DataError("is damaged: the properties of its LZMA are not valid")
    filters = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": max(4096, min(dictionary, size + 1)),
        "lc": properties % 9,
        "lp": properties // 9 % 5,
        "pb": properties // 45,
    }
    return _buffering(lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filters])), 4 + length


def _zstandard() -> _Take:
    try:
        zstd = importlib.import_module("compression.zstd")  # of Python 3.14 and later
    except ImportError:
        raise DataError(f"is packed by method {_ZSTANDARD}, which is not read; make the zip with deflate") from None
    options = {zstd.DecompressionParameter.window_log_max: _LARGEST_WINDOW}
    return _buffering(zstd.ZstdDecompressor(options=options))
