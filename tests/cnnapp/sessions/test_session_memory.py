"""What is kept for sessions: bounded for each and for all, the oldest dropped first, and gone with them."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from cnnapp.sessions.limits import PageLimits
from cnnapp.sessions.session import Sessions
from cnnapp.sessions.session_memory import MemoryBudget, SessionMemory, measured
from cnnapp.sessions.work_queue import Job
from pipelines.core.errors import ConfigError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        Clock.now += 1e-6  # no two at once
        return Clock.now


@dataclass
class Holder:
    values: np.ndarray
    more: dict[str, object]


def test_what_holds_bytes_is_measured_however_deep():
    picture = Image.new("RGB", (10, 20))
    holder = Holder(np.zeros(7, "float64"), {"a": b"1234", "b": [picture, ("12", 3.5)]})
    assert measured(holder) == 56 + 4 + 600 + 2
    assert measured(None) == measured(len) == measured(5) == 0


def test_a_session_keeps_no_more_than_its_share_and_drops_what_was_not_used_for_longest():
    memory = SessionMemory(most_bytes=30)
    for key in "abc":
        assert memory.keep(key, b"0123456789")
    memory.get("a")
    assert memory.keep("d", b"0123456789")
    assert [key for key, _ in memory.entries()] == ["c", "a", "d"]
    assert (memory.size, memory.dropped) == (30, 1)
    assert not memory.keep("e", bytes(31))
    assert memory.size == 30
    assert memory.keep("a", b"1")  # in the place of the earlier
    assert memory.size == 21


def test_what_is_wanted_now_is_spared():
    memory = SessionMemory(most_bytes=20)
    memory.keep("a", bytes(10))
    memory.keep("b", bytes(10))
    assert not memory.keep("c", bytes(10), spare=lambda key: True)
    assert memory.keep("c", bytes(10), spare=lambda key: key == "a")
    assert [key for key, _ in memory.entries()] == ["a", "c"]


def test_uploads_take_the_place_of_answers():
    memory = SessionMemory(most_bytes=30)
    memory.keep("a", bytes(10))
    memory.keep("b", bytes(10))
    memory.hold(15)
    assert [key for key, _ in memory.entries()] == ["b"]
    assert (memory.size, memory.held, memory.room) == (25, 15, 15)
    memory.hold(0)
    assert memory.size == 10


def test_all_sessions_share_a_budget_and_the_longest_unused_goes_whosever_it_is():
    budget = MemoryBudget(40, Clock())
    first, second = SessionMemory(40, budget), SessionMemory(40, budget)
    first.keep("a", bytes(20))
    second.keep("b", bytes(20))
    first.get("a")
    assert first.keep("c", bytes(10))
    assert [key for key, _ in first.entries()] == ["a", "c"]
    assert "b" not in second
    assert budget.size == 30
    assert len(budget) == 2


def test_what_is_forgotten_counts_no_more():
    budget = MemoryBudget(40)
    memory = SessionMemory(40, budget)
    memory.keep("a", bytes(20))
    memory.hold(5)
    assert budget.size == 25
    del memory
    gc.collect()
    assert (budget.size, len(budget)) == (0, 0)


def test_a_session_that_was_left_keeps_nothing_that_is_found_only_now():
    clock = Clock()
    sessions = Sessions(PageLimits(idle=10), clock)
    session = sessions.begin()
    session.memory.keep("a", bytes(20))
    session.leave()
    assert not session.memory.keep("b", bytes(20))
    assert sessions.budget.size == 0
    assert not session.use()
    assert session.memory.keep("b", bytes(20))
    Clock.now += 9 * 60
    assert not session.use()
    assert "b" in session.memory
    Clock.now += 10 * 60 + 1
    assert session.idle
    assert session.use()
    assert "b" not in session.memory
    assert session.number == 1
    assert session.memory.keep("c", bytes(20))


def test_the_work_of_a_session_that_is_gone_ends():
    sessions = Sessions(PageLimits(workers=1))
    session = sessions.begin()

    def work(job: Job):
        while True:
            job.check()
            yield 1

    job = session.queue.submit(session.key, work)
    job.take(20)
    seen = weakref.ref(session)
    del session
    gc.collect()
    assert seen() is None
    assert job.cancelled


def test_limits_come_from_the_environment_and_bad_ones_are_named():
    limits = PageLimits.from_environment({"CNNAPP_UI_SESSION": "64", "CNNAPP_UI_WORKERS": "3", "CNNAPP_OTHER": "x"})
    assert (limits.session_bytes, limits.at_once, limits.queue) == (64 * 2**20, 3, 32)
    assert PageLimits.from_environment(limits.to_environment()) == limits
    with pytest.raises(ConfigError, match="CNNAPP_UI_IDLE: received 'soon'; input should be a valid number"):
        PageLimits.from_environment({"CNNAPP_UI_IDLE": "soon"})
    with pytest.raises(ConfigError, match="queue: received 0"):
        PageLimits.parse(queue=0)
    assert PageLimits(session=100, memory=10).session_bytes == 10 * 2**20  # no session has more than all
