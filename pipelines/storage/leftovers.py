"""What killed processes leave behind: recognised by who began it, and removed when that process is no more.

What is begun carries its owner in its name: the number of the process, a word that it drew when it started (numbers are
given again), and the machine. What earlier versions began carries a number alone, or nothing.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import shutil
import socket
import time
from pathlib import Path

import psutil

__all__ = ["FORGOTTEN", "beside", "building_folder", "is_leftover", "remove_leftovers"]

FORGOTTEN = 7 * 24 * 3600.0
"""Seconds without a change after which what has no owner on this machine counts as left."""

_counter = itertools.count()
_MARK = re.compile(r"\.(?P<pid>\d+)-(?P<word>[0-9a-f]{8})-(?P<host>[^.]*)-\d+\.part")
_EARLIER = [
    re.compile(r"\.(?:building|renaming)-[a-z0-9_]{8}"),  # folders
    re.compile(r"\.(?:model_card\.json|tf_serving_warmup_requests)\.(?P<pid>\d+)"),
    re.compile(r"\.state\.npz\.part"),
]
"""The names that earlier versions gave to what they began."""


class _Process:
    """This process: its word is another one in a forked child, which is another process."""

    def __init__(self) -> None:
        self.draw()

    def draw(self) -> None:
        self.word = secrets.token_hex(4)


_this = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_this.draw)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", socket.gethostname())[:40]


def beside(path: Path) -> Path:
    """Return the name under which a file or folder is begun, in the folder that it will be in.

    Args:
        path: what it will be called.

    Returns:
        A name that nobody else has, which says who began it.
    """
    mark = f".{os.getpid()}-{_this.word}-{_host()}-{next(_counter)}.part"
    kept = path.name.encode()[:120].decode(errors="ignore")
    return path.with_name(f".{kept}{mark}")


def building_folder(path: Path) -> Path:
    """Make the folder in which another one is begun.

    Args:
        path: of the other one, whose parent is there.

    Returns:
        An empty folder beside it, which only its owner may enter.

    Raises:
        OSError: if it cannot be made.
    """
    folder = beside(path)
    folder.mkdir(0o700)
    return folder


def is_leftover(path: Path) -> bool:
    """Return whether something was begun by a process that is no more.

    Where that cannot be asked, because it ran on another machine or did not say who it was, what did not change for
    :data:`FORGOTTEN` seconds counts as left.

    Args:
        path: a file or folder.

    Example:
        >>> is_leftover(beside(Path("record.json"))), is_leftover(Path("record.json"))
        (False, False)
    """
    if found := _MARK.search(path.name):
        if not (path.name.startswith(".") and found.end() == len(path.name)):
            return False
        if found["host"] != _host():
            return _forgotten(path)
        if int(found["pid"]) == os.getpid():
            return found["word"] != _this.word
        return _gone(int(found["pid"]), path)
    for form in _EARLIER:
        if found := form.fullmatch(path.name):
            pid = found.groupdict().get("pid")
            return _gone(int(pid), path) if pid else _forgotten(path)
    return False


def _gone(pid: int, path: Path) -> bool:
    """Return whether no process has the number, or one that began long after the last change."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        began = process.create_time()
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
    return began > _changed(path) + FORGOTTEN


def _forgotten(path: Path) -> bool:
    return time.time() > _changed(path) + FORGOTTEN


def _changed(path: Path) -> float:
    """Return when a file, or anything in a folder, last changed; now, where that cannot be told."""
    try:
        inside = [Path(at, name) for at, folders, files in os.walk(path) for name in [*folders, *files]]
        return max(found.lstat().st_mtime for found in [path, *inside])
    except OSError:
        return time.time()


def remove_leftovers(folder: Path) -> list[str]:
    """Remove what killed processes left in a folder; what a living one is at work on stays.

    Args:
        folder: that is looked through, not the folders in it.

    Returns:
        The names of what was removed. What cannot be removed stays; it is in nobody's way.
    """
    try:
        left = sorted(path for path in folder.iterdir() if path.name.startswith(".") and is_leftover(path))
    except OSError:
        return []
    removed = []
    for path in left:
        try:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except OSError:
            continue
        removed.append(path.name)
    return removed
