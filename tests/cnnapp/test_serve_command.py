"""`cnnapp serve` before there is a service: what cannot be is said at once, in a line."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import ROOT, RunningService


def test_a_port_that_is_taken_is_named(models, command_line):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, err = command_line("serve", "shapes", "--port", port)
    assert (status, f"127.0.0.1:{port}: cannot be listened on" in err) == (1, True), err


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (("shape",), 1, "Did you mean 'shapes'"),
        (("shapes", "shapes/1"), 2, "shapes/1 is asked for twice"),
        (("shapes", "--body", 0), 2, "body: received 0.0"),
        (("shapes", "--queue", 0), 2, "queue: received 0"),
    ],
)
def test_what_cannot_be_served_is_said(models, command_line, arguments, status, reason):
    found, _, err = command_line("serve", *arguments, "--port", 0)
    assert (found, reason in err) == (status, True), err


def test_an_altered_model_is_not_served(trained, command_line, tmp_path: Path):
    copy = shutil.copytree(trained.path, tmp_path / "altered" / "1")
    (copy / "assets" / "labels.txt").write_text("dog\ncat\n")
    status, _, err = command_line("serve", copy, "--port", 0)
    assert (status, "labels.txt: differs" in err) == (1, True), err


def test_without_ray_it_says_what_to_install(tmp_path: Path):
    code = "import sys; sys.modules['ray'] = None; from cnnapp.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", str(ROOT / "saved_models" / "digits"), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=None)
    assert done.returncode == 2
    assert "pip install 'cnnapp[ray]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_can_be_stopped_while_it_starts(tmp_path: Path):
    service = RunningService(tmp_path / "log.txt", ROOT / "saved_models" / "digits")
    try:
        process = psutil.Process(service.process.pid)
        until = time.monotonic() + 60
        while not (children := process.children(recursive=True)):  # Ray has begun
            assert time.monotonic() < until
            time.sleep(0.05)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
    finally:
        service.process.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert service.log.read_text().rstrip().endswith("stopped")
