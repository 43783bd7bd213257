"""Turns at heavy work: fair, bounded, one at a time for each session, and cancelled."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from cnnapp.sessions.work_queue import Cancelled, Job, WorkQueue
from pipelines.core.errors import DataError, ServiceError


class Gate:
    """Work that goes on a step when it is told to, and says that it began."""

    def __init__(self, name: str = "", log: list[str] | None = None) -> None:
        self.began, self.go = threading.Event(), threading.Event()
        self.name, self.log = name, [] if log is None else log

    def __call__(self, job: Job) -> Iterator[str]:
        self.log.append(self.name)
        self.began.set()
        assert self.go.wait(20)
        job.check()
        yield self.name


def until(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_is_found_is_given_in_order_and_progress_is_told():
    queue = WorkQueue()
    told = []

    def work(job: Job) -> Iterator[int]:
        for number in range(5):
            job.report(number / 5, f"{number} of 5")
            told.append(job.progress)
            yield number

    assert list(queue.submit("a", work)) == [0, 1, 2, 3, 4]
    assert told[2] == (0.4, "2 of 5")
    assert (queue.waiting, queue.running) == (0, 0)


def test_sessions_have_their_turns_in_the_order_in_which_they_asked_and_see_their_places():
    queue, log = WorkQueue(workers=1), []
    gates = [Gate(str(number), log) for number in range(4)]
    jobs = [queue.submit(str(number), gate) for number, gate in enumerate(gates)]
    assert gates[0].began.wait(20)
    assert [job.place for job in jobs] == [0, 0, 1, 2]
    assert [job.running for job in jobs] == [True, False, False, False]
    gates[0].go.set()
    assert gates[1].began.wait(20)
    assert [job.place for job in jobs] == [0, 0, 0, 1]
    for gate in gates:
        gate.go.set()
    assert [list(job) for job in jobs] == [["0"], ["1"], ["2"], ["3"]]
    assert log == ["0", "1", "2", "3"]


def test_a_session_has_one_turn_at_a_time_and_others_go_past_it():
    queue, log = WorkQueue(workers=2), []
    first, second, other = Gate("first", log), Gate("second", log), Gate("other", log)
    jobs = [queue.submit("a", first), queue.submit("a", second, lane="download")]
    assert first.began.wait(20)
    jobs.append(queue.submit("b", other))
    assert other.began.wait(20)  # although it asked later
    assert not second.began.is_set()
    for gate in (first, second, other):
        gate.go.set()
    assert [list(job) for job in jobs] == [["first"], ["second"], ["other"]]


def test_a_newer_request_takes_the_place_of_one_that_waits_and_ends_the_one_that_runs():
    queue, log = WorkQueue(workers=1), []
    running, waiting, newest, other = (Gate(name, log) for name in ("running", "waiting", "newest", "other"))
    first = queue.submit("a", running)
    assert running.began.wait(20)
    second, behind = queue.submit("a", waiting), queue.submit("b", other)
    assert first.cancelled
    third = queue.submit("a", newest)
    assert second.over
    assert (third.place, behind.place) == (0, 1)
    for gate in (running, waiting, newest, other):
        gate.go.set()
    assert list(third) == ["newest"]
    assert list(behind) == ["other"]
    assert log == ["running", "newest", "other"]
    for replaced in (first, second):
        with pytest.raises(ServiceError, match="another request of this page took its place"):
            list(replaced)


def test_who_goes_away_is_waited_for_no_more():
    queue = WorkQueue(workers=1)
    running, waiting = Gate(), Gate()
    ended = threading.Event()

    def work(job: Job) -> Iterator[int]:
        try:
            running.began.set()
            while True:
                job.check()
                time.sleep(0.002)
                yield 1
        finally:
            ended.set()

    job = queue.submit("a", work)
    queue.submit("a", waiting, lane="download")
    assert running.began.wait(20)
    queue.cancel("a")
    assert ended.wait(20)
    until(lambda: (queue.waiting, queue.running) == (0, 0))
    assert job.over
    assert not waiting.began.is_set()


def test_leaving_the_loop_cancels():
    queue = WorkQueue()

    def work(job: Job) -> Iterator[int]:
        while True:
            job.check()
            yield 1

    job = queue.submit("a", work)
    for _ in job:
        break
    until(lambda: queue.running == 0)
    assert job.over


def test_a_full_queue_refuses_in_words_but_not_those_who_ask_again():
    queue = WorkQueue(workers=1, most_waiting=2)
    gate = Gate()
    queue.submit("a", gate)
    assert gate.began.wait(20)
    queue.submit("b", gate)
    queue.submit("c", gate)
    with pytest.raises(ServiceError, match="2 requests wait to be computed, which is the most; try again"):
        queue.submit("d", gate)
    again = queue.submit("c", gate)
    gate.go.set()
    assert list(again) == [""]


def test_what_takes_too_long_is_stopped_also_in_one_operation_that_cannot_be():
    queue = WorkQueue(workers=1, most_seconds=0.05)

    def cooperative(job: Job) -> Iterator[int]:
        while True:
            job.check()
            time.sleep(0.005)
            yield 1

    with pytest.raises(ServiceError, match=r"stopped after 0 seconds.*cnnapp predict"):
        list(queue.submit("a", cooperative))
    gate = Gate()
    job = queue.submit("b", gate)
    with pytest.raises(ServiceError, match="stopped after"):
        list(job)
    assert queue.running == 1  # who waited goes on, although it still runs
    gate.go.set()
    until(lambda: queue.running == 0)


def test_long_work_hands_its_turn_on_and_short_work_of_others_is_done_between():
    queue = WorkQueue(workers=1, turn=0.02)
    begun = threading.Event()

    def long(job: Job) -> Iterator[int]:
        for number in range(60):
            begun.set()
            time.sleep(0.01)
            yield number

    job = queue.submit("long", long)
    assert begun.wait(20)
    assert list(queue.submit("short", lambda job: iter(["done"]))) == ["done"]
    assert not job.over
    assert list(job) == list(range(60))  # none lost, none twice


def test_an_error_of_the_work_is_raised_where_it_is_waited_for_behind_what_was_found():
    queue = WorkQueue()

    def work(job: Job) -> Iterator[int]:
        yield 1
        raise DataError("a.png: is no image")

    found = []
    with pytest.raises(DataError, match=r"a\.png: is no image"):
        found.extend(queue.submit("a", work))
    assert found == [1]
    assert list(queue.submit("a", lambda job: iter([2]))) == [2]  # the thread goes on


def test_cancelled_work_is_no_error_of_the_thread():
    queue = WorkQueue()

    def work(job: Job) -> Iterator[int]:
        raise Cancelled
        yield 1

    with pytest.raises(ServiceError, match="stopped after"):
        list(queue.submit("a", work))


def test_ten_sessions_at_once_each_get_their_own_and_equally_much():
    queue = WorkQueue(workers=2, turn=0.01)
    order: list[int] = []
    got: dict[int, list[tuple[int, int]]] = {}

    def work_of(session: int):
        def work(job: Job) -> Iterator[tuple[int, int]]:
            for step in range(6):
                order.append(session)
                time.sleep(0.012)
                yield session, step

        return work

    def visit(session: int) -> None:
        got[session] = list(queue.submit(str(session), work_of(session)))

    threads = [threading.Thread(target=visit, args=(session,)) for session in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == {session: [(session, step) for step in range(6)] for session in range(10)}
    # Nobody is far ahead of anybody: when one has all its steps, each has had at least half of its own.
    first_done = min(max(at for at, one in enumerate(order) if one == session) for session in range(10))
    counts = [order[: first_done + 1].count(session) for session in range(10)]
    assert min(counts) >= 3


def test_nothing_of_a_job_is_kept_behind_it():
    class Thing:
        pass

    queue, thing = WorkQueue(), Thing()
    seen = weakref.ref(thing)
    assert len(list(queue.submit("a", lambda job, thing=thing: iter([thing])))) == 1

    def fail(job: Job, thing=thing) -> Iterator[int]:
        raise DataError(repr(thing))
        yield 1

    with pytest.raises(DataError):
        list(queue.submit("a", fail))
    del thing, fail
    until(lambda: not gc.collect() and seen() is None)
