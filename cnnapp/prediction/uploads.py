"""Files that somebody hands in, as images: single files, and folders as zip, which are unpacked in memory and trusted
with nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from pipelines.core.errors import DataError
from pipelines.images.image_io import EXTENSIONS
from pipelines.intake.archive import Archive, ArchiveLimits, Entry, TooLargeError, looks_like_zip
from pipelines.intake.limits import LIMITS

__all__ = ["Limits", "Uploaded", "gather", "label_of", "unpack"]

_JUNK_FOLDERS = frozenset({"__macosx", "@eadir", ".git"})
_JUNK_FILES = frozenset({"thumbs.db", "desktop.ini"})
_CUT = "divide it, or use `cnnapp predict`"


@dataclass(frozen=True)
class Limits:
    """How much is taken at once.

    Args:
        images: at most so many.
        file_bytes: of one image.
        total_bytes: of all images of zips together.
        entries: of a zip, whatever they are.
    """

    images: int = LIMITS.archive_images
    file_bytes: int = LIMITS.image_bytes
    total_bytes: int = LIMITS.archive_total
    entries: int = LIMITS.archive_entries


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
    left = limits.total_bytes
    for name, data in files:
        if not looks_like_zip(data) and not name.lower().endswith(".zip"):
            images.append((name, data))
            continue
        try:
            found = unpack(name, data, replace(limits, total_bytes=left))
        except DataError as error:
            notes.append(str(error))
            continue
        left -= sum(len(content) for _, content in found.images)
        images += found.images
        notes += found.notes
    if len(images) > limits.images:
        notes.append(f"{len(images):,} images given; only the first {limits.images:,} are analysed, the most at once")
        images = images[: limits.images]
    return Uploaded(_numbered(images), notes)


def unpack(name: str, data: bytes, limits: Limits | None = None) -> Uploaded:
    """Read the images of a zip, in memory; nothing is written anywhere.

    What is hidden or comes along with a folder (``__MACOSX``, ``.DS_Store``, ``Thumbs.db``) is passed over in silence,
    what is no image is counted. A zip in a zip is no image; it is not opened.

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
    archive = Archive(data, name, ArchiveLimits(entries=limits.entries, total=limits.total_bytes))
    wanted, notes = _sorted_out(name, archive.entries, limits)
    return Uploaded(_read_all(archive, wanted, limits), notes)


def _sorted_out(name: str, entries: Sequence[Entry], limits: Limits) -> tuple[list[Entry], list[str]]:
    kept = [entry for entry in entries if not _is_junk(entry.name)]
    wanted = [entry for entry in kept if PurePosixPath(_inside(entry.name)).suffix.lower() in EXTENSIONS]
    if not wanted:
        raise DataError(f"{name}: holds no image; expected files that end in {', '.join(sorted(EXTENSIONS))}")
    notes = []
    if len(kept) > len(wanted):
        others = len(kept) - len(wanted)
        taken = set(map(id, wanted))
        first = next(_inside(entry.name) for entry in kept if id(entry) not in taken)
        notes.append(f"{name}: {others:,} file{'s' if others > 1 else ''} skipped (not an image), such as {first}")
    if len(wanted) > limits.images:
        raise DataError(
            f"{name}: holds {len(wanted):,} images; at most {limits.images:,} are taken; divide it into several, or "
            "use `cnnapp predict`, which takes any number"
        )
    return sorted(wanted, key=lambda entry: entry.name), notes


def _is_junk(path: str) -> bool:
    parts = _inside(path).split("/")
    hidden = any(part.startswith(".") for part in parts)
    folders = {part.lower() for part in parts[:-1]}
    return hidden or bool(folders & _JUNK_FOLDERS) or parts[-1].lower() in _JUNK_FILES


def _read_all(archive: Archive, entries: Iterable[Entry], limits: Limits) -> list[tuple[str, bytes]]:
    images = []
    for entry in entries:
        inside = _inside(entry.name)
        try:
            images.append((inside, archive.read(entry, limits.file_bytes, inside)))
        except TooLargeError as error:
            raise DataError(f"{error}; {_CUT}") from None
    return images


def _inside(path: str) -> str:
    """Return a path with slashes, as it is shown: nothing leads out of the zip, whatever its entry says."""
    parts = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    return "/".join(parts)


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
