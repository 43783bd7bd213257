"""A person's visit: what is kept for it, and its turns at heavy work."""

from __future__ import annotations

import threading
import time
import uuid
import weakref
from collections.abc import Callable
from functools import cache

from cnnapp.sessions.limits import PageLimits
from cnnapp.sessions.session_memory import MemoryBudget, SessionMemory
from cnnapp.sessions.work_queue import WorkQueue

__all__ = ["Session", "Sessions", "shared"]


class Sessions:
    """What all sessions of a process share.

    Args:
        limits: how much is kept, and computed at once.
        clock: gives seconds.

    Attributes:
        limits: likewise.
        clock: likewise.
        budget: the memory of all.
        queue: the turns of all.

    Example:
        >>> sessions = Sessions(PageLimits(idle=15))
        >>> session = sessions.begin()
        >>> session.memory.keep("a", b"12345"), sessions.budget.size
        (True, 5)
        >>> session.leave()
        >>> sessions.budget.size
        0
    """

    def __init__(self, limits: PageLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.clock = clock
        self.budget = MemoryBudget(limits.memory_bytes, clock)
        self.queue = WorkQueue(limits.at_once, limits.queue, limits.seconds, clock=clock)

    def begin(self) -> Session:
        """Return a new session, which is gone when nobody refers to it any more."""
        return Session(self)


class Session:
    """A person's visit; made by :meth:`Sessions.begin`.

    Attributes:
        key: tells it from others.
        memory: what is kept for it.
        number: grows whenever what was kept was removed after a while without use.
        uploads: by their ids, since when they are there unused; None of those that were used.
    """

    def __init__(self, sessions: Sessions) -> None:
        self.key = uuid.uuid4().hex
        self.memory = SessionMemory(sessions.limits.session_bytes, sessions.budget)
        self.number = 0
        self.uploads: dict[str, float | None] = {}
        self._sessions = sessions
        self._used = sessions.clock()
        self._lock = threading.Lock()
        weakref.finalize(self, sessions.queue.cancel, self.key)

    @property
    def limits(self) -> PageLimits:
        """Those of all sessions."""
        return self._sessions.limits

    @property
    def queue(self) -> WorkQueue:
        """The turns of all sessions."""
        return self._sessions.queue

    @property
    def idle(self) -> bool:
        """Whether it was not used for so long that what is kept for it is to be removed."""
        return self._sessions.clock() - self._used > 60 * self.limits.idle

    def use(self) -> bool:
        """Say that somebody uses it now; return whether it was idle, so that all that was kept is removed."""
        with self._lock:
            idle = self.idle
            if idle:
                self.leave()
                self.number += 1
            self._used = self._sessions.clock()
            self.memory.open()
            return idle

    def leave(self) -> None:
        """Forget all that is kept, end its work, and keep nothing that is found from now on; until it is used again."""
        self.memory.close()
        self._sessions.queue.cancel(self.key)


@cache
def shared() -> Sessions:
    """Return what the sessions of this process share, within the limits that the environment sets.

    Raises:
        ConfigError: naming a variable whose value cannot be.
    """
    return Sessions(PageLimits.from_environment())
