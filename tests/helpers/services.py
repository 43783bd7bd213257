"""A service in a process of its own."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from places import ROOT


class RunningService:
    """A service in a process of its own: `cnnapp serve`, on a port that is free."""

    def __init__(self, log: Path, *arguments: object) -> None:
        command = [sys.executable, "-m", "cnnapp", "serve", "--port", "0", *map(str, arguments)]
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
        self.url = ""

    def wait(self, seconds: float = 420.0) -> str:
        """Return the URL, once requests are taken."""
        until = time.monotonic() + seconds
        while "try it" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.1)
        self.url = self.log.read_text().split("listening on ")[1].split()[0]
        return self.url

    def stop(self) -> int:
        """Stop it as an operator does; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextlib.contextmanager
def running_service(log: Path, *arguments: object) -> Iterator[RunningService]:
    """Start a service; end it by its own process's number, whatever happens."""
    service = RunningService(log, *arguments)
    try:
        service.wait()
        yield service
    finally:
        if service.process.poll() is None:
            try:
                service.stop()
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait(10)
