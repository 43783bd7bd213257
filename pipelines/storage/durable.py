"""Files and folders on disk that are whole at every moment, whenever the process is killed or the power fails.

What is written goes beside its place under a name that says who writes it, is flushed to the disk, and is then renamed;
a rename counts only once the folder is flushed as well. What a killed process leaves is known by its name:
:mod:`pipelines.storage.leftovers`.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path

from pipelines.storage.leftovers import beside

__all__ = ["replace", "sync_folder", "sync_tree", "write_atomically"]

_CANNOT_BE_FLUSHED = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EISDIR}
"""What file systems say, some of them over a network, that flush no folders."""


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file; at every moment it is the one before, or this one, whole and on the disk.

    Args:
        path: of the file, in a folder that is there.
        data: its content, in one piece or in several.

    Raises:
        OSError: if it cannot be written; what was begun is removed, and the file before is as it was.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "record.json"
        >>> write_atomically(path, b"{}")
        >>> path.read_bytes()
        b'{}'
    """
    building = beside(path)
    try:
        with building.open("xb") as file:
            for piece in [data] if isinstance(data, bytes) else data:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        replace(building, path)
    except BaseException:
        with contextlib.suppress(OSError):
            building.unlink(missing_ok=True)
        raise


def replace(src: Path, dst: Path) -> None:
    """Rename a file, or a folder whose content is flushed already, so that the new name is on the disk.

    Args:
        src: what is renamed.
        dst: its name then. A file of this name is replaced, an empty folder too; another folder is not.

    Raises:
        OSError: if it cannot be renamed.
    """
    os.replace(src, dst)
    for folder in {src.parent, dst.parent}:
        sync_folder(folder)


def sync_tree(folder: Path) -> None:
    """Flush every file of a folder to the disk, and the folders in it; links are not followed.

    Args:
        folder: of any depth.

    Raises:
        OSError: if the disk does not take them.
    """
    for at, _, files in os.walk(folder, topdown=False):
        for path in (Path(at, name) for name in files):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        sync_folder(Path(at))


def sync_folder(folder: Path) -> None:
    """Flush what a folder holds, by name, to the disk, where the file system can.

    Args:
        folder: that is there.

    Raises:
        OSError: if the disk does not take it.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_BE_FLUSHED:
            raise
    finally:
        os.close(descriptor)
