"""What is kept for the sessions of a page: bounded for each and for all, and gone with them."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["MemoryBudget", "SessionMemory", "measured"]

_DEPTH = 6


def measured(value: Any, depth: int = _DEPTH) -> int:
    """Return how many bytes a value holds: of arrays, pictures and bytes, in whatever holds them.

    Args:
        value: an array, a picture, bytes, or a container or an object with such.
        depth: how deep it is looked into.

    Example:
        >>> measured([np.zeros((10, 10), "float32"), b"abc"])
        403
    """
    if isinstance(value, (bytes, bytearray, str)):
        return len(value)
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if isinstance(value, Image.Image):
        return value.width * value.height * len(value.getbands())
    if depth == 0 or value is None or isinstance(value, (int, float, complex, type)) or callable(value):
        return 0
    parts: Any = ()
    if isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts = value
    elif hasattr(value, "__dict__"):
        parts = vars(value).values()
    return sum(measured(part, depth - 1) for part in parts)


@dataclass
class _Kept:
    value: Any
    size: int
    used: float


class MemoryBudget:
    """How much all sessions together may keep.

    What was not used for longest is dropped first, whosever it is. A session that is gone counts no more, whether it
    was closed or only forgotten.

    Args:
        most_bytes: of all sessions together.
        clock: gives seconds.

    Example:
        >>> MemoryBudget(1000).size
        0
    """

    def __init__(self, most_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most_bytes = most_bytes
        self.clock = clock
        self.lock = threading.RLock()
        self._sessions: weakref.WeakSet[SessionMemory] = weakref.WeakSet()

    @property
    def size(self) -> int:
        """How many bytes are kept, of all sessions."""
        with self.lock:
            return sum(each.size for each in self._sessions)

    @property
    def held(self) -> int:
        """How many bytes are held elsewhere, of all sessions."""
        with self.lock:
            return sum(each.held for each in self._sessions)

    def __len__(self) -> int:
        """Return how many sessions there are."""
        return len(self._sessions)

    def join(self, session: SessionMemory) -> None:
        """Count a session from now on; called by the session."""
        self._sessions.add(session)

    def make_room(self, needed: int, spare: Callable[[SessionMemory, Hashable], bool]) -> bool:
        """Drop what was not used for longest, until so many bytes fit.

        Args:
            needed: bytes.
            spare: what is not dropped: called with a session and a key.

        Returns:
            Whether they fit. Where they would not, nothing is dropped.
        """
        with self.lock:
            excess = self.size + needed - self.most_bytes
            if excess <= 0:
                return True
            candidates = [
                (one.used, one.size, each, key)
                for each in self._sessions
                for key, one in each.entries()
                if not spare(each, key)
            ]
            if sum(size for _, size, _, _ in candidates) < excess:
                return False
            for _, size, each, key in sorted(candidates, key=lambda one: one[0]):
                each.evict(key)
                excess -= size
                if excess <= 0:
                    break
            return True


class SessionMemory:
    """What is kept for one session: values by key, of which those that were not used for longest are dropped first.

    Args:
        most_bytes: of this session.
        budget: of all sessions; one of its own by default.

    Attributes:
        most_bytes: likewise.
        budget: likewise.
        dropped: how many values were dropped because others needed the place.

    Example:
        >>> memory = SessionMemory(most_bytes=10)
        >>> memory.keep("a", b"12345"), memory.keep("b", b"123456"), memory.get("a"), memory.get("b")
        (True, True, None, b'123456')
    """

    def __init__(self, most_bytes: int, budget: MemoryBudget | None = None) -> None:
        self.most_bytes = most_bytes
        self.budget = MemoryBudget(most_bytes) if budget is None else budget
        self._kept: dict[Hashable, _Kept] = {}
        self._size = 0
        self._held = 0
        self._open = True
        self.dropped = 0
        self.budget.join(self)

    @property
    def size(self) -> int:
        """How many bytes are kept, with those that are held elsewhere."""
        return self._size + self._held

    @property
    def held(self) -> int:
        """How many bytes are held elsewhere for this session, such as its uploads."""
        return self._held

    @property
    def room(self) -> int:
        """How many bytes could be held beside what is held already, if nothing else was kept."""
        with self.budget.lock:
            return min(self.most_bytes - self._held, self.budget.most_bytes - self.budget.held)

    def hold(self, size: int) -> None:
        """Say how many bytes are held elsewhere; what is kept here is dropped as far as it does not fit beside them.

        Args:
            size: all of them, not those that were added.
        """
        with self.budget.lock:
            self._held = size
            self._make_room(0, lambda key: False)
            self.budget.make_room(0, lambda session, key: False)

    def get(self, key: Hashable, default: Any = None) -> Any:
        """Return a value that is kept, which is used by that; the default where there is none.

        Args:
            key: that it was kept by.
            default: else.
        """
        with self.budget.lock:
            found = self._kept.pop(key, None)
            if found is None:
                return default
            found.used = self.budget.clock()
            self._kept[key] = found
            return found.value

    def __contains__(self, key: Hashable) -> bool:
        """Return whether there is a value; it is not used by that."""
        return key in self._kept

    def entries(self) -> Iterator[tuple[Hashable, _Kept]]:
        """Give what is kept, what was used last behind all others."""
        with self.budget.lock:
            return iter(list(self._kept.items()))

    def keep(
        self,
        key: Hashable,
        value: Any,
        size: int | None = None,
        spare: Callable[[Hashable], bool] = lambda key: False,
    ) -> bool:
        """Keep a value, in place of what was not used for longest.

        Args:
            key: to get it by; best a tuple whose first item says what it is.
            value: anything.
            size: its bytes; those that :func:`measured` finds by default.
            spare: which keys are not dropped for it.

        Returns:
            Whether it is kept: not where it does not fit, nor after :meth:`close`.
        """
        size = measured(value) if size is None else size
        with self.budget.lock:
            self.drop(key)
            if not self._open or not self._make_room(size, spare):
                return False
            if not self.budget.make_room(size, lambda session, key: session is self and spare(key)):
                return False
            self._kept[key] = _Kept(value, size, self.budget.clock())
            self._size += size
            return True

    def drop(self, key: Hashable) -> None:
        """Forget a value, if there is one."""
        with self.budget.lock:
            found = self._kept.pop(key, None)
            if found is not None:
                self._size -= found.size

    def evict(self, key: Hashable) -> None:
        """Forget a value because others need the place, which is counted."""
        self.drop(key)
        self.dropped += 1

    def clear(self) -> None:
        """Forget all values, and that anything is held elsewhere."""
        with self.budget.lock:
            self._kept.clear()
            self._size = self._held = 0

    def close(self) -> None:
        """Forget all values and keep none from now on, such as of work that ends only now."""
        with self.budget.lock:
            self.clear()
            self._open = False

    def open(self) -> None:
        """Keep values again."""
        self._open = True

    def _make_room(self, needed: int, spare: Callable[[Hashable], bool]) -> bool:
        """Drop of this session what was not used for longest; nothing where that would not do."""
        excess = self.size + needed - self.most_bytes
        if excess <= 0:
            return True
        candidates = [(key, one.size) for key, one in self._kept.items() if not spare(key)]
        if sum(size for _, size in candidates) < excess and needed:
            return False
        for key, size in candidates:
            self.evict(key)
            excess -= size
            if excess <= 0:
                break
        return True
