"""A directory with a folder per class, as it lies on anybody's disk.

Either ``DATA/<class>/<image>``, split by a seeded hash of the file's name, or ``DATA/train/<class>/<image>`` with
``test`` and, if there is one, ``val`` beside it, taken as they are.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pipelines.core.errors import DataError
from pipelines.data.partition import stored_size
from pipelines.data.splits import SPLIT_NAMES, Example, Item, Split, Splits, split_of
from pipelines.images import image_io

__all__ = ["Listing", "assign", "list_folder", "load", "split_of_files"]

_PARTS = {"train": "train", "training": "train", "val": "validation", "valid": "validation",
          "validation": "validation", "test": "test", "testing": "test"}  # fmt: skip
_READ_AHEAD = 64


@dataclass(frozen=True)
class Listing:
    """What lies in a directory: its classes, and each image's part, class and path.

    Args:
        root: the directory.
        classes: names of the class folders, sorted.
        files: (part, class name, path) of each image, sorted; the part is None where there are no part folders.
        empty: class folders without an image.
        unreadable: folders that could not be listed, with the reason.
    """

    root: Path
    classes: tuple[str, ...]
    files: tuple[tuple[str | None, str, Path], ...]
    empty: tuple[Path, ...]
    unreadable: tuple[tuple[Path, str], ...]

    @property
    def has_parts(self) -> bool:
        """Whether train, val and test folders say the split."""
        return any(part is not None for part, _, _ in self.files)


def list_folder(root: Path) -> Listing:
    """List a directory of class folders, without opening an image.

    Args:
        root: the directory.

    Returns:
        What lies there; broken parts are listed, not raised, so that a check can report them all.

    Raises:
        DataError: if ``root`` is no directory, or cannot be listed.
    """
    if not root.exists():
        raise DataError(f"{root}: there is no such folder")
    if not root.is_dir():
        raise DataError(f"{root}: is a file; expected a folder with one folder per class")
    try:
        folders = _folders(root)
    except OSError as error:
        raise DataError(f"{root}: cannot be read: {error.strerror}") from None
    parts = {folder: _PARTS[folder.name.lower()] for folder in folders if folder.name.lower() in _PARTS}
    if "train" not in parts.values():
        parts = {}
    pairs: list[tuple[str | None, Path]] = [(None, folder) for folder in folders]
    unreadable: list[tuple[Path, str]] = []
    if parts:
        pairs = []
        for outer, name in parts.items():
            try:
                pairs += [(name, inner) for inner in _folders(outer)]
            except OSError as error:
                unreadable.append((outer, error.strerror or str(error)))
    files: list[tuple[str | None, str, Path]] = []
    empty: list[Path] = []
    for part, folder in pairs:
        try:
            found = _images(folder)
        except OSError as error:
            unreadable.append((folder, error.strerror or str(error)))
            continue
        files += [(part, folder.name, path) for path in found]
        if not found:
            empty.append(folder)
    classes = tuple(sorted({folder.name for _, folder in pairs}))
    return Listing(root, classes, tuple(files), tuple(empty), tuple(unreadable))


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    def fail(error: OSError) -> None:
        raise error

    found = [
        Path(at) / name
        for at, _, names in os.walk(folder, onerror=fail)
        for name in names
        if not name.startswith(".") and os.path.splitext(name)[1].lower() in image_io.EXTENSIONS
    ]
    return sorted(found)


def load(root: Path, seed: int) -> Splits[int]:
    """Load a directory of class folders.

    Args:
        root: the directory.
        seed: seed of the split, where no folders say it.

    Returns:
        The splits. Images are read when they are asked for.

    Raises:
        DataError: for an empty class folder, a single class, an unreadable folder, or a part without images; the
            first one found. ``cnnapp check`` lists all of them.
    """
    listing = list_folder(root)
    if listing.unreadable:
        path, reason = listing.unreadable[0]
        raise DataError(f"{path}: cannot be read: {reason}")
    if listing.empty:
        raise DataError(
            f"{listing.empty[0]}: the class folder holds no image; put some there or remove the folder "
            "('cnnapp check' lists every problem)"
        )
    if len(listing.classes) < 2:
        found = f"the single class {listing.classes[0]!r}" if listing.classes else "no folders"
        raise DataError(f"{root}: holds {found}; expected one folder per class, and at least two classes")
    parts = assign(listing, seed)
    for name in SPLIT_NAMES:
        if not parts[name]:
            raise DataError(f"{root}: the {name} part has no image; {_more_images(listing, name)}")
    missing = set(listing.classes) - {class_name for class_name, _ in parts["train"]}
    if missing:
        raise DataError(f"{root}: class {min(missing)!r} has no training image")
    return Splits(
        source=root.resolve().name,
        classes=listing.classes,
        train=split_of_files("train", parts["train"], listing),
        validation=split_of_files("validation", parts["validation"], listing),
        test=split_of_files("test", parts["test"], listing),
        mirrored=not _are_characters(listing.classes),
        fingerprint=_fingerprint(parts, root),
    )


def _more_images(listing: Listing, part: str) -> str:
    if listing.has_parts:
        return f"add a folder '{part}' with a folder per class"
    return f"there are {len(listing.files)} images in all; add more, or change --seed"


def assign(listing: Listing, seed: int) -> dict[str, list[tuple[str, Path]]]:
    """Give each image of a listing to a part: (class name, path) by the part's name.

    Where there are folders train and test but none for validation, 15 % of the training images are taken for it.
    """
    has_validation = any(part == "validation" for part, _, _ in listing.files)
    parts: dict[str, list[tuple[str, Path]]] = {name: [] for name in SPLIT_NAMES}
    for stated, class_name, path in listing.files:
        key = path.relative_to(listing.root).as_posix()
        part = stated or split_of(key, seed)
        if stated == "train" and not has_validation:
            part = split_of(key, seed, {"train": 0.85, "validation": 0.15})
        parts[part].append((class_name, path))
    return parts


def split_of_files(name: str, files: list[tuple[str, Path]], listing: Listing) -> Split[int]:
    """Make a part of (class name, path) of its images, which are read when they are asked for."""
    labels = {class_name: label for label, class_name in enumerate(listing.classes)}

    def item(file: tuple[str, Path]) -> Item[int]:
        class_name, path = file
        key, label = path.relative_to(listing.root).as_posix(), labels[class_name]
        return Item(key, lambda: Example(key, image_io.read(path), label), files=(path,), classes=lambda: (label,))

    return Split.of(name, len(files), lambda: map(item, files), _READ_AHEAD)


def _are_characters(classes: tuple[str, ...]) -> bool:
    """Digits and letters are not what their mirror images are."""
    return all(len(name) == 1 or name.isdigit() for name in classes)


def _fingerprint(parts: dict[str, list[tuple[str, Path]]], root: Path) -> str:
    digest = hashlib.sha256()
    for part in SPLIT_NAMES:
        for class_name, path in parts[part]:
            line = f"{part}\t{class_name}\t{path.relative_to(root).as_posix()}\t{stored_size(path)}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
