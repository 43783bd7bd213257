"""Whether folders can be written to, and have room: asked before hours of work, not after them."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from pipelines.core.errors import ConfigError
from pipelines.storage import durable

__all__ = ["check_room", "check_writable", "scratch_file"]

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


def scratch_file(count: int) -> IO[bytes]:
    """Return a temporary file of so many bytes, all of which the file system has set aside.

    A file that is mapped into memory is otherwise found to have no room when it is written to, and the process ends
    with a signal instead of an error.

    Args:
        count: bytes; at least one.

    Returns:
        The file, without a name; it is gone once it is closed.

    Raises:
        ConfigError: if there is no room for it.
    """
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, whoever asked closes it
    try:
        if free < count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, count)
    except OSError as error:
        file.close()
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise ConfigError(
            f"{folder}: {count / _MIB:,.0f} MiB are needed for decoded images, and {free / _MIB:,.0f} MiB are free; "
            "make room, or name another folder for temporary files in TMPDIR"
        ) from None
    return file
