"""A signal while the service starts: it ends whatever is at work, and is never lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cnnapp.service import server
from places import ROOT
from services import RunningService


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_raises_nothing_where_it_arrives(handlers, number: signal.Signals):
    stopping = server._note_signals()
    server._go_on(stopping)
    signal.alarm(60)
    signal.raise_signal(number)
    assert signal.alarm(0) == 0  # the alarm that ends the process is off
    with pytest.raises(server._Stopped):
        server._go_on(stopping)


def test_who_waits_for_models_is_told_at_once():
    stopping = threading.Event()
    threading.Timer(0.05, stopping.set).start()
    before = time.monotonic()
    with pytest.raises(server._Stopped):
        server._go_on(stopping, 600.0)
    assert time.monotonic() - before < 300


@pytest.mark.slow
@pytest.mark.service
@pytest.mark.parametrize("seconds", [0.0, 1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0])
def test_it_ends_well_at_any_moment_of_starting(tmp_path: Path, seconds: float):
    service = RunningService(tmp_path / "log.txt", ROOT / "saved_models" / "digits")
    try:
        until = time.monotonic() + 120
        while "starting digits/1" not in service.log.read_text():
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(0.1 + seconds)  # the handlers come right behind what was said
        children = psutil.Process(service.process.pid).children(recursive=True)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(120) == 0, service.log.read_text()
    finally:
        service.process.kill()
        service.process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    said = service.log.read_text()
    assert said.rstrip().endswith("stopped")
    assert "Traceback" not in said
