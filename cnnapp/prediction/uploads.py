"""Files that somebody hands in, as images: single files, and folders as zip, which are unpacked in memory and trusted
with nothing.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pipelines.core.errors import DataError
from pipelines.images.image_io import EXTENSIONS

__all__ = ["Limits", "Uploaded", "gather", "label_of", "unpack"]

_JUNK_FOLDERS = frozenset({"__macosx", "@eadir", ".git"})
_JUNK_FILES = frozenset({"thumbs.db", "desktop.ini"})
_BLOCK = 2**20


@dataclass(frozen=True)
class Limits:
    """How much is taken at once.

    Args:
        images: at most so many.
        file_bytes: of one image.
        total_bytes: of all images together.
        entries: of a zip, whatever they are.
    """

    images: int = 1000
    file_bytes: int = 200 * 2**20
    total_bytes: int = 1024 * 2**20
    entries: int = 20_000


@dataclass(frozen=True)
class Uploaded:
    """What was handed in.

    Args:
        images: (name, bytes); every name is another. Of a zip the name is the path inside it.
        notes: what was left out, and why, in words.
    """

    images: list[tuple[str, bytes]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def gather(files: Iterable[tuple[str, bytes]], limits: Limits | None = None) -> Uploaded:
    """Take files for images, and unpack those that are a zip.

    Args:
        files: (name, bytes).
        limits: how much is taken at once.

    Returns:
        The images, in order, and what was left out. A zip that cannot be used is named in the notes, and the rest is
        taken.
    """
    limits = limits or Limits()
    images: list[tuple[str, bytes]] = []
    notes: list[str] = []
    for name, data in files:
        if not data.startswith(b"PK\x03\x04") and not name.lower().endswith(".zip"):
            images.append((name, data))
            continue
        try:
            found = unpack(name, data, limits)
        except DataError as error:
            notes.append(str(error))
            continue
        images += found.images
        notes += found.notes
    if len(images) > limits.images:
        notes.append(f"{len(images):,} images given; only the first {limits.images:,} are analysed, the most at once")
        images = images[: limits.images]
    return Uploaded(_numbered(images), notes)


def unpack(name: str, data: bytes, limits: Limits | None = None) -> Uploaded:
    """Read the images of a zip, in memory; nothing is written anywhere.

    What is hidden or comes along with a folder (``__MACOSX``, ``.DS_Store``, ``Thumbs.db``) is passed over in silence,
    what is no image is counted. How large a file says it is is not believed: reading stops at the limit.

    Args:
        name: of the zip, for messages.
        data: its bytes.
        limits: how much is taken.

    Returns:
        The images in the order of their paths, and what was left out.

    Raises:
        DataError: if it is no zip, is damaged or encrypted, holds no image, or is larger than the limits.
    """
    limits = limits or Limits()
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise DataError(f"{name}: is not a zip file that can be read; make it again") from None
    with archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(entries) > limits.entries:
            raise DataError(
                f"{name}: holds {len(entries):,} files; at most {limits.entries:,} are taken; divide it into several"
            )
        wanted, notes = _sorted_out(name, entries, limits)
        return Uploaded(_read_all(name, archive, wanted, limits), notes)


def _sorted_out(
    name: str, entries: Sequence[zipfile.ZipInfo], limits: Limits
) -> tuple[list[zipfile.ZipInfo], list[str]]:
    kept = [entry for entry in entries if not _is_junk(entry.filename)]
    wanted = [entry for entry in kept if PurePosixPath(_inside(entry.filename)).suffix.lower() in EXTENSIONS]
    if not wanted:
        raise DataError(f"{name}: holds no image; expected files that end in {', '.join(sorted(EXTENSIONS))}")
    notes = []
    if len(kept) > len(wanted):
        first = next(_inside(entry.filename) for entry in kept if entry not in wanted)
        others = len(kept) - len(wanted)
        notes.append(f"{name}: {others:,} file{'s' if others > 1 else ''} skipped (not an image), such as {first}")
    if len(wanted) > limits.images:
        raise DataError(
            f"{name}: holds {len(wanted):,} images; at most {limits.images:,} are taken; divide it into several, or "
            "use `cnnapp predict`, which takes any number"
        )
    return sorted(wanted, key=lambda entry: entry.filename), notes


def _is_junk(path: str) -> bool:
    parts = _inside(path).split("/")
    hidden = any(part.startswith(".") for part in parts)
    folders = {part.lower() for part in parts[:-1]}
    return hidden or bool(folders & _JUNK_FOLDERS) or parts[-1].lower() in _JUNK_FILES


def _read_all(
    name: str, archive: zipfile.ZipFile, entries: Iterable[zipfile.ZipInfo], limits: Limits
) -> list[tuple[str, bytes]]:
    images, left = [], limits.total_bytes
    for entry in entries:
        inside = _inside(entry.filename)
        content = _read(name, archive, entry, min(limits.file_bytes, left))
        if content is None:
            most = limits.file_bytes if limits.file_bytes <= left else limits.total_bytes
            what = f"{inside} is" if limits.file_bytes <= left else "its images together are"
            raise DataError(
                f"{name}: {what} larger than {_megabytes(most)} unpacked, which is the most that is taken; divide it, "
                "or use `cnnapp predict`"
            )
        left -= len(content)
        images.append((inside, content))
    return images


def _inside(path: str) -> str:
    """Return a path with slashes, as it is shown: nothing leads out of the zip, whatever its entry says."""
    parts = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    return "/".join(parts)


def _read(name: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes | None:
    """Return what a file holds; None where that is more than the limit."""
    if entry.flag_bits & 1:
        raise DataError(f"{name}: {_inside(entry.filename)} is encrypted; make the zip without a password")
    buffer = bytearray()
    try:
        with archive.open(entry) as file:
            while block := file.read(_BLOCK):
                buffer += block
                if len(buffer) > most:
                    return None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{name}: {_inside(entry.filename)} is damaged: {error}") from None
    return bytes(buffer)


def _megabytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count >= 2**20 else f"{count:,} bytes"


def _numbered(images: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Tell images of the same name apart."""
    taken: set[str] = set()
    named = []
    for name, data in images:
        number, one = 1, name
        while one in taken:
            number += 1
            one = f"{name} ({number})"
        taken.add(one)
        named.append((one, data))
    return named


def label_of(name: str, classes: Sequence[str]) -> str | None:
    """Return the class of an image in a folder per class: the innermost folder of its path that is one.

    Args:
        name: path inside a zip.
        classes: names.

    Returns:
        The class, or None where no folder is called like one.

    Example:
        >>> label_of("birds/test/crow/1.jpg", ["crow", "robin"])
        'crow'
    """
    folders = reversed(PurePosixPath(name).parts[:-1])
    return next((folder for folder in folders if folder in classes), None)
