"""Pinned versions: which version of a saved model its name stands for, where that is not the newest."""

from __future__ import annotations

from pathlib import Path

from pipelines.artifacts.model_card import check_files, faults, read_card, versions
from pipelines.core.errors import ModelError
from pipelines.reporting.notes import note
from pipelines.storage.durable import write_atomically

__all__ = ["PIN", "chosen_version", "in_order", "pin", "pinned", "unpin"]

PIN = "pinned_version"
"""The file beside the versions of a model; it holds a number."""


def pinned(home: Path) -> int | None:
    """Return the version that is pinned, or None.

    Args:
        home: the folder of all versions of a model.

    Raises:
        ModelError: if the file holds no number.
    """
    try:
        text = (home / PIN).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{home / PIN}: cannot be read: {error}") from None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ModelError(f"{home / PIN}: holds {text!r}; expected the number of a version. Remove the file to unpin")
    return int(text)


def chosen_version(home: Path) -> int | None:
    """Return the version that the name of a model stands for: the pinned one, or the newest; None if there is none.

    A newer version of which something is missing is passed over, and named in a note, where there is a whole one.

    Args:
        home: the folder of all its versions.

    Raises:
        ModelError: if the pinned version is not there.
    """
    there, chosen = versions(home), pinned(home)
    if not there or chosen is None:
        return _newest_whole(home, there)
    if chosen not in there:
        raise ModelError(
            f"{home.name}: is pinned to version {chosen}, which is not there; available: "
            f"{', '.join(map(str, there))}. `cnnapp models unpin {home.name}` lets the newest be used"
        )
    return chosen


def _newest_whole(home: Path, there: list[int]) -> int | None:
    """Return the newest version that is whole; the newest where none is, so that it is said what is wrong with it."""
    broken: list[str] = []
    for number in reversed(there):
        found = faults(home / str(number))
        if not found:
            for each in broken:
                note(f"{each}; {home.name}/{number} is used instead")
            return number
        broken.append(f"{home / str(number)}: is broken: {found[0]}")
    return there[-1] if there else None


def in_order(home: Path) -> list[int]:
    """Return the versions of a model: the one that its name stands for, then the others, the newest first.

    Args:
        home: the folder of all its versions.
    """
    there, chosen = versions(home), pinned(home)
    if chosen is None:
        chosen = _newest_whole(home, there)
    return sorted(there, key=lambda number: (number != chosen, -number))


def pin(home: Path, version: int) -> None:
    """Let the name of a model stand for one of its versions.

    Args:
        home: the folder of all its versions.
        version: its number.

    Raises:
        ModelError: if there is no such version, a file of it is damaged, or the folder cannot be written to.
    """
    there = versions(home)
    if version not in there:
        raise ModelError(f"{home.name}: received version {version}; available: {', '.join(map(str, there)) or 'none'}")
    directory = home / str(version)
    problems = check_files(directory, read_card(directory))
    if problems:
        raise ModelError(f"{directory}: {problems[0]}; it is not pinned")
    try:
        write_atomically(home / PIN, f"{version}\n".encode())
    except OSError as error:
        raise ModelError(f"{home / PIN}: cannot be written: {error.strerror}") from None


def unpin(home: Path) -> bool:
    """Let the name of a model stand for its newest version again.

    Args:
        home: the folder of all its versions.

    Returns:
        Whether one was pinned.

    Raises:
        ModelError: if the folder cannot be written to.
    """
    try:
        (home / PIN).unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ModelError(f"{home / PIN}: cannot be removed: {error.strerror}") from None
    return True
