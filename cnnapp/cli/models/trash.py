"""Saved models that were deleted, kept until the trash is emptied."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.artifacts.model_card import versions
from pipelines.core.errors import ModelError
from pipelines.storage import durable, regular_file
from pipelines.storage.names import is_component

__all__ = ["TRASH", "Deleted", "delete", "deletions", "empty", "undo"]

TRASH = ".trash"
"""The folder under that of saved models."""
_RECORD = "deleted.json"
_LARGEST = 2**20  # bytes of a record


@dataclass(frozen=True)
class Deleted:
    """What one command deleted.

    Args:
        folder: in the trash.
        names: as they were, ``name`` or ``name/version``.
        when: the time, ISO 8601, UTC.
    """

    folder: Path
    names: tuple[str, ...]
    when: str

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def delete(root: Path, names: Sequence[str]) -> Deleted:
    """Move saved models to the trash.

    Args:
        root: the folder of saved models.
        names: ``name`` or ``name/version``, that are there.

    Raises:
        ModelError: if one cannot be moved; what was moved before it is put back.
    """
    when = datetime.now(UTC)
    folder = _free(root / TRASH, when.strftime("%Y%m%dT%H%M%S"))
    moved: list[str] = []
    try:
        folder.mkdir(parents=True)
        record = {"names": list(names), "when": when.isoformat(timespec="seconds")}
        # First: killed behind it, what was moved can be put back.
        durable.write_atomically(folder / _RECORD, json.dumps(record).encode())
        for name in names:
            _move(root / name, folder / name)
            moved.append(name)
    except OSError as error:
        for name in moved:
            _move(folder / name, root / name)
        shutil.rmtree(folder, ignore_errors=True)
        raise ModelError(f"{root}: nothing was deleted: {error.strerror or error}") from None
    for home in {root / name.split("/")[0] for name in names}:
        _remove_if_bare(home)
    return Deleted(folder, tuple(names), record["when"])  # type: ignore[arg-type]


def _free(trash: Path, stamp: str) -> Path:
    """Return a folder that is not there yet; those of a second are numbered, so that their names sort by time."""
    number = 1
    while (folder := trash / f"deleted-{stamp}-{number:03d}").exists():
        number += 1
    return folder


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    durable.replace(source, target)


def _remove_if_bare(home: Path) -> None:
    """Remove the folder of a model without versions, unless something else is in it."""
    if home.is_dir() and not versions(home) and not any(home.iterdir()):
        home.rmdir()


def deletions(root: Path) -> list[Deleted]:
    """Return what is in the trash, the newest last.

    Args:
        root: the folder of saved models.

    Raises:
        ModelError: if the record of a deletion is damaged.
    """
    found = []
    for path in sorted((root / TRASH).glob(f"*/{_RECORD}")):
        try:
            record = json.loads(regular_file.read(path, _LARGEST))
            names, when = tuple(map(str, record["names"])), str(record["when"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: cannot be read: {error}; move what lies beside it yourself") from None
        for name in names:
            if not all(map(is_component, name.split("/"))):
                raise ModelError(f"{path}: names {name!r}, which is no saved model; move what lies beside it yourself")
        found.append(Deleted(path.parent, names, when))
    return found


def undo(root: Path) -> Deleted:
    """Put back what was deleted last.

    Args:
        root: the folder of saved models.

    Returns:
        What was put back; its folder is gone.

    Raises:
        ModelError: if there is nothing, or a model of a name is there again.
    """
    found = deletions(root)
    if not found:
        raise ModelError(f"{root}: the trash is empty; nothing can be put back")
    last = found[-1]
    # A command that was killed before it was done moved some of them alone.
    moved = [name for name in last.names if os.path.lexists(last.folder / name)]
    for name in moved:
        if (root / name).exists():
            raise ModelError(f"{name}: is there again; rename or delete that model first")
    for name in moved:
        try:
            _move(last.folder / name, root / name)
        except OSError as error:
            raise ModelError(f"{name}: cannot be put back: {error.strerror}; it lies in {last.folder}") from None
    shutil.rmtree(last.folder, ignore_errors=True)
    return last


def empty(root: Path) -> None:
    """Remove what is in the trash, for good.

    Args:
        root: the folder of saved models.

    Raises:
        ModelError: if it cannot be removed.
    """
    try:
        if (root / TRASH).exists():
            shutil.rmtree(root / TRASH)
    except OSError as error:
        raise ModelError(f"{root / TRASH}: cannot be removed: {error.strerror}") from None
