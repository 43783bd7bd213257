"""Whether folders can be written to, and have room: asked before hours of work, not after them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from pipelines.core.errors import ConfigError
from pipelines.storage import durable

__all__ = ["check_room", "check_writable"]

_MIB = 2**20


def check_writable(folder: Path, option: str) -> None:
    """Write a small file into a folder, and remove it; folders that were made for it are removed as well.

    Args:
        folder: need not exist.
        option: that names another folder, such as "--saved-models", for the message.

    Raises:
        ConfigError: if it cannot be written to.
    """
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    path = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        durable.write_atomically(path, b"x" * 4096)
        path.unlink()
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written to: {error.strerror or error}; choose another folder with {option}"
        ) from None
    finally:
        for parent in made:
            try:
                parent.rmdir()
            except OSError:  # somebody else has put something there meanwhile
                break


def check_room(needed: Mapping[Path, int]) -> None:
    """Compare what will be written with what is free, file system by file system.

    Args:
        needed: bytes, by the folder they go to; a folder need not exist.

    Raises:
        ConfigError: if a file system has less room than that.
    """
    together: dict[int, tuple[Path, int]] = {}
    for folder, count in needed.items():
        there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
        device = there.stat().st_dev
        together[device] = (there, together.get(device, (there, 0))[1] + count)
    for there, count in together.values():
        free = shutil.disk_usage(there).free
        if free < count:
            raise ConfigError(
                f"{there}: about {count / _MIB:,.0f} MiB are needed for checkpoints and the saved model, and "
                f"{free / _MIB:,.0f} MiB are free; make room, or choose other folders with --saved-models and --log-dir"
            )
