"""Reading files that a user names: regular files alone, and never more of one than a limit.

A FIFO, a socket, a device or a link to one would keep a reader waiting, or feed it without end, under any name.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

from pipelines.core.errors import DataError
from pipelines.intake.limits import size_in_words

__all__ = ["is_there", "open_regular", "read_bounded", "too_many_bytes"]

_BLOCK = 2**20
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def is_there(path: str | os.PathLike[str]) -> bool:
    """Say whether something that is no folder has this name, also where it cannot be read as a file.

    What is a FIFO or a device is there; reading it then says so, while passing over it would hide it.

    Example:
        >>> is_there("/dev/null"), is_there("/")
        (True, False)
    """
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError):  # a name that no file can have
        return False


def open_regular(path: str | os.PathLike[str], what: str = "file", name: str | None = None) -> BinaryIO:
    """Open a regular file for reading; links to one are followed.

    What is opened is looked at again once it is open, so that nothing can be put in its place in between.

    Args:
        path: of the file.
        what: what is read, for messages.
        name: how messages call it; by default its path.

    Returns:
        The file, which the caller closes.

    Raises:
        DataError: if there is none, it cannot be opened, or it is something else than a regular file.

    Example:
        with open_regular("classes.txt") as file:
            print(file.read(100))
    """
    name = name or os.fspath(path)
    try:
        _refuse_irregular(os.stat(path).st_mode, what, name)  # To open a device may already do something.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise _unreadable(error, name) from None
    except ValueError:
        raise DataError(f"{name}: is not a name that a file can have") from None
    try:
        _refuse_irregular(os.fstat(handle).st_mode, what, name)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _refuse_irregular(mode: int, what: str, name: str) -> None:
    if not stat.S_ISREG(mode):
        kind = next((words for test, words in _KINDS if test(mode)), "something else")
        raise DataError(f"{name}: is {kind}, not {_article(what)}; expected a regular file")


def _unreadable(error: OSError, name: str) -> DataError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return DataError(f"{name}: there is no such file")
    return DataError(f"{name}: cannot be read: {error.strerror or error}")


def read_bounded(path: str | os.PathLike[str], limit: int, what: str = "file", name: str | None = None) -> bytes:
    """Read a regular file of at most so many bytes.

    Args:
        path: of the file.
        limit: in bytes.
        what: what is read, for messages.
        name: how messages call it; by default its path.

    Returns:
        All of its bytes.

    Raises:
        DataError: as :func:`open_regular`, or if it has more bytes.

    Example:
        >>> read_bounded(os.devnull, 100)
        Traceback (most recent call last):
            ...
        pipelines.core.errors.DataError: /dev/null: is a device, not a file; expected a regular file
    """
    name = name or os.fspath(path)
    with open_regular(path, what, name) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise DataError(too_many_bytes(name, size, limit, what))
        try:
            content = _read(file, size, limit)
        except (OSError, MemoryError) as error:
            reason = error.strerror or error if isinstance(error, OSError) else "there is not enough memory"
            raise DataError(f"{name}: cannot be read: {reason}") from None
    if len(content) > limit:
        raise DataError(too_many_bytes(name, len(content), limit, what))
    return content


def _read(file: BinaryIO, size: int, limit: int) -> bytes:
    """Read a file; its size is not believed, as some grow, and those of /proc say that they are empty."""
    blocks = [file.read(size + 1) or b""]  # None of a file of the system's that would keep a reader waiting.
    count = len(blocks[0])
    while size < count <= limit and (block := file.read(_BLOCK)):
        blocks.append(block)
        count += len(block)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def too_many_bytes(name: str, size: int, limit: int, what: str) -> str:
    """Say that something has more bytes than are taken of its kind."""
    taken = f"{limit:,} bytes" + (f" ({size_in_words(limit)})" if limit >= 2**20 else "")
    return f"{name}: has {size:,} bytes; at most {taken} of {_article(what)} are read"


def _article(what: str) -> str:
    return f"{'an' if what[:1].lower() in 'aeiou' else 'a'} {what}"
