"""Heavy work of many sessions, one turn after another, so that nobody's takes all, and light work never waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from pipelines.core.errors import ServiceError

__all__ = ["Cancelled", "Job", "WorkQueue"]

T = TypeVar("T")

_PAGE = "page"
_POLL = 0.2
_IDLE = 10.0
"""Seconds that a thread waits for work before it ends."""


class Cancelled(Exception):
    """Raised in work that nobody waits for any more, or that took too long: it ends there."""


class Job(Generic[T]):
    """Work that waits for its turn, or has it; made by :meth:`WorkQueue.submit`.

    Attributes:
        session: whose it is.
        lane: within the session; a new job takes the place of one that waits in the same lane.
        progress: how far it is, 0 to 1, and in words; as the work last reported it.
    """

    def __init__(self, queue: WorkQueue, session: str, lane: str, work: Callable[[Job[T]], Iterator[T]]) -> None:
        self.session = session
        self.lane = lane
        self.progress: tuple[float, str] = (0.0, "")
        self._queue = queue
        self._work: Callable[[Job[T]], Iterator[T]] | None = work
        self._steps: Iterator[T] | None = None
        self._found: deque[T] = deque()
        self._error: BaseException | None = None
        self._over = False
        self._cancelled = False
        self._taken = 0.0
        self._since: float | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will be found."""
        with self._queue.changed:
            return self._over

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for it any more, or another took its place."""
        return self._cancelled

    @property
    def running(self) -> bool:
        """Whether it has its turn."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """How long it has computed, in all its turns."""
        since = self._since
        return self._taken + (0.0 if since is None else self._queue.clock() - since)

    @property
    def place(self) -> int:
        """How many jobs have their turn before it; 0 where it is next, or has its turn."""
        return self._queue.place(self)

    def report(self, progress: float, text: str) -> None:
        """Say how far the work is; called by the work, often, because it ends there when nobody waits for it.

        Args:
            progress: 0 to 1.
            text: in words.

        Raises:
            Cancelled: if the work is not wanted any more.
        """
        self.progress = (progress, text)
        self.check()

    def check(self) -> None:
        """End the work here if it is not wanted any more.

        Raises:
            Cancelled: in that case.
        """
        if self._cancelled or self.seconds > self._queue.most_seconds:
            raise Cancelled

    def take(self, seconds: float) -> list[T]:
        """Return what was found since the last time; wait for it, but not longer than some seconds.

        Args:
            seconds: to wait at most.

        Raises:
            ServiceError: if the work took too long, or was cancelled by another than the one that waits for it.
            BaseException: what the work raised, behind all that it found.
        """
        with self._queue.changed:
            self._queue.changed.wait_for(lambda: self._found or self._over, seconds)
            found = list(self._found)
            self._found.clear()
            if found:
                return found
            error, self._error = self._error, None
            if error is None and self._over and self._cancelled:
                error = ServiceError("stopped: another request of this page took its place")
            late = not self._over and self.seconds > self._queue.most_seconds
        if late:  # in one long operation, which cannot be stopped; who waits for it goes on
            self.cancel()
            raise self._queue.too_long()
        if error is not None:
            try:
                raise error
            finally:
                error = None  # which would keep what the work saw alive
        return []

    def cancel(self) -> None:
        """Say that nobody waits for it any more. What has its turn ends at its next report."""
        self._queue.cancel(self.session, self)

    def __iter__(self) -> Iterator[T]:
        """Give what is found, as it is found, until all is; cancelled if the loop is left before.

        Raises:
            BaseException: as of :meth:`take`.
        """
        try:
            over = False
            while True:
                found = self.take(_POLL)
                yield from found
                if over and not found:
                    break
                # Asked before it is taken again, so that what is found at the very end is taken as well.
                over = self.over
        finally:
            self.cancel()


class WorkQueue:
    """Gives turns to jobs.

    A session has one turn at a time, and sessions take turns in the order in which they asked. Work that gives what it
    finds piece by piece (a generator) hands its turn on when it has had it for a while and others wait.

    Args:
        workers: how many have a turn at once.
        most_waiting: how many jobs may wait.
        most_seconds: how long a job may compute, in all its turns.
        turn: seconds after which a turn is handed on, if others wait.
        clock: gives seconds.

    Example:
        >>> queue = WorkQueue(workers=1)
        >>> list(queue.submit("somebody", lambda job: iter([1, 2])))
        [1, 2]
    """

    def __init__(
        self,
        workers: int = 1,
        most_waiting: int = 32,
        most_seconds: float = 600.0,
        turn: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most_waiting = most_waiting
        self.most_seconds = most_seconds
        self.clock = clock
        self.changed = threading.Condition(threading.RLock())
        self._workers = workers
        self._turn = turn
        self._threads = 0
        self._waiting: deque[Job[Any]] = deque()
        self._running: dict[str, Job[Any]] = {}

    @property
    def waiting(self) -> int:
        """How many jobs wait for a turn."""
        with self.changed:
            return len(self._waiting)

    @property
    def running(self) -> int:
        """How many jobs have a turn."""
        with self.changed:
            return len(self._running)

    def submit(self, session: str, work: Callable[[Job[T]], Iterator[T]], lane: str = _PAGE) -> Job[T]:
        """Queue work; in the place of what waits for the same session and lane, which is cancelled.

        Args:
            session: whose it is.
            work: called with the job in another thread; gives what it finds, and reports to the job how far it is.
            lane: what may be asked for beside each other within a session.

        Raises:
            ServiceError: if too many jobs wait.
        """
        job = Job(self, session, lane, work)
        let_go: list[Any] = []
        with self.changed:
            earlier = next((each for each in self._waiting if (each.session, each.lane) == (session, lane)), None)
            having = self._running.get(session)
            if having is not None and having.lane == lane:
                having._cancelled = True
            if earlier is not None:
                self._waiting[self._waiting.index(earlier)] = job
                let_go.append(_end(earlier, cancelled=True))
            elif len(self._waiting) >= self.most_waiting:
                raise ServiceError(
                    f"{len(self._waiting)} requests wait to be computed, which is the most; try again in a minute"
                )
            else:
                self._waiting.append(job)
            if self._threads < self._workers:
                self._threads += 1
                threading.Thread(target=self._work, name=f"heavy work {self._threads}", daemon=True).start()
            self.changed.notify_all()
        return job

    def place(self, job: Job[Any]) -> int:
        """Return how many jobs have their turn before one; 0 where it is next, or does not wait."""
        with self.changed:
            return next((place for place, each in enumerate(self._waiting) if each is job), 0)

    def cancel(self, session: str, job: Job[Any] | None = None) -> None:
        """End the jobs of a session.

        Args:
            session: whose.
            job: only this one.
        """
        let_go: list[Any] = []
        with self.changed:
            for each in [each for each in self._waiting if each.session == session and job in (None, each)]:
                self._waiting.remove(each)
                let_go.append(_end(each, cancelled=True))
            having = self._running.get(session)
            if having is not None and job in (None, having):
                having._cancelled = True
            self.changed.notify_all()

    def too_long(self) -> ServiceError:
        """Return the error to raise for work that took too long."""
        return ServiceError(
            f"stopped after {self.most_seconds:,.0f} seconds, the most that a request may take; use smaller or fewer "
            "images, or `cnnapp predict`, which has no limit"
        )

    def _work(self) -> None:
        """Give turns, as long as any are asked for."""
        while (job := self._next()) is not None:
            error: BaseException | None = None
            try:
                over = self._have_turn(job)
            except Cancelled:
                over, error = True, None if job.cancelled else self.too_long()
            except BaseException as raised:
                over, error = True, raised
            self._hand_on(job, over, error)
            # Between jobs nothing of anybody is kept.
            del job, error

    def _next(self) -> Job[Any] | None:
        """Return the job whose turn it is, once there is one; None where there is none for long."""
        with self.changed:
            while True:
                for job in self._waiting:
                    if job.session not in self._running:
                        self._waiting.remove(job)
                        self._running[job.session] = job
                        job._since = self.clock()
                        self.changed.notify_all()
                        return job
                if not self.changed.wait(_IDLE):
                    self._threads -= 1
                    return None

    def _have_turn(self, job: Job[Any]) -> bool:
        """Compute until the turn is to be handed on; return whether all is found."""
        if job._steps is None:
            assert job._work is not None
            job._steps = iter(job._work(job))
        begun = self.clock()
        while True:
            job.check()
            try:
                one = next(job._steps)
            except StopIteration:
                return True
            with self.changed:
                job._found.append(one)
                self.changed.notify_all()
                others = any(each.session not in self._running for each in self._waiting)
            del one
            if others and self.clock() - begun >= self._turn:
                return False

    def _hand_on(self, job: Job[Any], over: bool, error: BaseException | None) -> None:
        let_go: Any = None
        with self.changed:
            job._taken, job._since = job.seconds, None
            del self._running[job.session]
            if over or job.cancelled:
                let_go = _end(job, job.cancelled, error)
            else:
                self._waiting.append(job)
            self.changed.notify_all()
        # Only now, as ending a generator may take its time.
        del let_go


def _end(job: Job[Any], cancelled: bool, error: BaseException | None = None) -> Any:
    """End a job; return what it held, to be let go of without the lock. What it found remains until it is taken."""
    held = job._work, job._steps
    job._work = job._steps = None
    job._over, job._cancelled, job._error = True, cancelled, None if cancelled else error
    if cancelled:
        job._found.clear()
    return held
