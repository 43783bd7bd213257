"""A signal while the service starts: whatever Ray's compiled parts make of it, it is the end that was asked for."""

from __future__ import annotations

import signal

import pytest

from cnnapp.service import server


@pytest.fixture
def handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_what_is_raised_once_a_signal_came_is_the_end_that_was_asked_for(handlers):
    stopping = server._stop_on_signals()
    with server._ended_by(stopping):
        signal.raise_signal(signal.SIGTERM)
    assert stopping.is_set()
    with server._ended_by(stopping):
        raise SystemError("returned a result with an exception set")


def test_what_is_raised_without_a_signal_is_an_error(handlers):
    with pytest.raises(SystemError), server._ended_by(server._stop_on_signals()):
        raise SystemError("nobody asked")
