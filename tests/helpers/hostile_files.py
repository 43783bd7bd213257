"""What may lie in the place of a file that somebody names, and is none to read."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["KINDS", "within"]


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    # A socket's name is short, as the system has it; the file may be moved.
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as made:
        made.bind("s")
        os.rename("s", path.name)


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**42)


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "FIFO": (_fifo, "is a FIFO"),
    "socket": (_socket, "is a socket"),
    "link to zeros": (_link("/dev/zero"), "is a device"),
    "link to noise": (_link("/dev/urandom"), "is a device"),
    "link to the terminal": (_link("/dev/tty"), "is a device|cannot be read"),
    "terabytes of nothing": (_sparse, "has 4,398,046,511,104 bytes; at most"),
}
"""What makes each in a place, and what is said of it."""


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail where something computes for longer, or takes ten times as long, since it waits for a file."""

    def fail(signum: int, frame: object) -> None:
        raise TimeoutError(f"took longer than {seconds} seconds")

    timers = ((signal.SIGALRM, signal.ITIMER_REAL, 10 * seconds), (signal.SIGPROF, signal.ITIMER_PROF, seconds))
    before = [signal.signal(number, fail) for number, _, _ in timers]
    for _, timer, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
