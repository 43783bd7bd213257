"""Files that are read as a whole: regular ones, of a size that was expected. A pipe or a device is not waited for."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

__all__ = ["NotRegularError", "digest", "open_regular", "read"]

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_MIB = 2**20


class NotRegularError(OSError):
    """What has the name is no regular file, or one that is too large."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EINVAL, reason)


@contextmanager
def open_regular(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file to read it; what it is, is asked of what was opened.

    Args:
        path: of the file itself, not of a link to it.

    Raises:
        NotRegularError: if it is a link, a folder, a pipe, a socket or a device.
        OSError: if it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NOFOLLOW | _NONBLOCK | _BINARY)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
            raise NotRegularError(_kind(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegularError(_kind(path))
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _kind(path: Path) -> str:
    return "is a symbolic link" if path.is_symlink() else "is a folder" if path.is_dir() else "is no regular file"


def read(path: Path, most: int) -> bytes:
    """Read a regular file that is not larger than it should be.

    Args:
        path: of the file.
        most: bytes that it may have.

    Raises:
        NotRegularError: as :func:`open_regular`; or if it is larger.
        OSError: if it cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "card.json"
        >>> _ = path.write_bytes(b"{}")
        >>> read(path, most=1024)
        b'{}'
    """
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise NotRegularError(f"has more than {most / _MIB:.4g} MiB")
    return data


def digest(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a regular file, in hexadecimal digits, and its size in bytes.

    Args:
        path: of the file.

    Raises:
        NotRegularError: as :func:`open_regular`.
        OSError: if it cannot be read.
    """
    with open_regular(path) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        return found, file.tell()
