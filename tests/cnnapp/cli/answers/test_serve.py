"""`cnnapp serve` before there is a service: what cannot be is said at once, in a line."""

from __future__ import annotations

import base64
import io
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests
from PIL import Image

from cnnapp.service import ports, server
from places import ROOT
from services import RunningService, running_service


def test_a_port_that_is_taken_is_named(models, command_line):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, err = command_line("serve", "shapes", "--port", port)
    assert (status, f"127.0.0.1:{port}: cannot be listened on" in err) == (1, True), err


@pytest.mark.parametrize("beside", [True, False])
def test_without_a_port_it_takes_the_next_and_says_so(models, command_line, monkeypatch, beside: bool):
    """As beside the page, which begins at the same port."""
    asked: list[int] = []

    def run(service: server.Service, ready: Callable[[str], None], reload: Callable[[], None]) -> None:
        with ports.hold(service.address, service.port) as listener:
            asked.append(listener.getsockname()[1])
            ready(f"http://{service.address}:{asked[0]}")

    monkeypatch.setattr(server, "run", run)
    with ports.hold("127.0.0.1", 0) as taken:
        first = taken.getsockname()[1]
        monkeypatch.setattr(ports, "FIRST", first)
        if not beside:
            taken.close()
        status, out, _ = command_line("serve", "shapes")
    assert status == 0
    assert (first < asked[0] < first + 100) if beside else asked == [first]
    assert (f"port {first} is in use, perhaps by the page" in out) == beside
    assert f"listening on http://127.0.0.1:{asked[0]}" in out


@pytest.mark.parametrize("command", [("serve", "shapes"), ("ui", "--no-browser")])
@pytest.mark.parametrize("address", ["nosuchhost.invalid", "203.0.113.7"])
def test_an_address_of_another_machine_is_not_blamed_on_the_port(models, command_line, command, address):
    status, _, err = command_line(*command, "--address", address)
    assert (status, f"--address: {address} is none of this machine" in err) == (2, True), err
    assert "choose another --port" not in err


def test_a_page_on_a_port_that_is_taken_says_what_to_do(command_line):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, err = command_line("ui", "--no-browser", "--port", port)
    assert (status, f"127.0.0.1:{port}: cannot be listened on" in err, "leave it out" in err) == (1, True, True), err


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (("shape",), 1, "Did you mean 'shapes'"),
        (("shapes", "shapes/1"), 2, "shapes/1 is listed twice"),
        (("shapes", "--body", 0), 2, "body: received 0.0"),
        (("shapes", "--queue", 0), 2, "queue: received 0"),
        (("shapes", "--images", 0), 2, "images: received 0"),
        (("shapes", "--header-seconds", 0), 2, "header-seconds: received 0.0"),
        (
            ("shapes", "--token-file", "none.txt"),
            2,
            "--token-file: none.txt: there is no such file; make one with: python -c",
        ),
        (("shapes", "--allow-host", "http://a"), 2, "--allow-host: received 'http://a'; expected a name"),
        (("shapes", "--allow-origin", "a"), 2, "--allow-origin: received 'a'; expected scheme, name and port"),
        (("shapes", "--connections", 10**9), 2, "--connections: 1,000,000,000 and"),
    ],
)
def test_what_cannot_be_served_is_said(models, command_line, arguments, status, reason):
    found, _, err = command_line("serve", *arguments, "--port", 0)
    assert (found, reason in err) == (status, True), err


def test_who_may_ask_is_handed_on_and_what_is_unsafe_said(models, command_line, monkeypatch, tmp_path: Path):
    served: list[tuple[server.Service, Callable[[], None]]] = []

    def run(service: server.Service, ready: Callable[[str], None], reload: Callable[[], None]) -> None:
        served.append((service, reload))
        ready("http://localhost:1")
        tokens.write_text("x")
        reload()
        tokens.write_text("t" * 20 + "\n" + "u" * 20)
        reload()

    monkeypatch.setattr(server, "run", run)
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("t" * 20)
    tokens.chmod(0o644)
    names = ("--allow-host", "gpu.example", "--allow-host", "b.example", "--allow-origin", "http://a.example")
    status, out, _ = command_line("serve", "shapes", "--token-file", tokens, *names)
    access = served[-1][0].access
    assert status == 0
    assert access is not None
    assert access.tokens is not None
    assert (access.hosts, access.origins) == (("gpu.example", "b.example"), ("http://a.example",))
    assert access.tokens.client(f"Bearer {'u' * 20}") is not None
    for line in (
        "warning: other users can read",
        "the tokens stay as they were",
        "2 tokens read from",
        "Authorization: Bearer",
    ):
        assert line in out
    assert "t" * 20 not in out
    status, out, _ = command_line("serve", "shapes", "--address", "0.0.0.0")
    assert "--address 0.0.0.0: whoever reaches it can use the models; --token-file requires a token" in out
    monkeypatch.setenv("CNNAPP_TOKEN_FILE", str(tokens))
    command_line("serve", "shapes")
    assert served[-1][0].access.tokens is not None  # type: ignore[union-attr]


def test_an_altered_model_is_not_served(trained, command_line, tmp_path: Path):
    copy = shutil.copytree(trained.path, tmp_path / "altered" / "1")
    (copy / "assets" / "labels.txt").write_text("dog\ncat\n")
    status, _, err = command_line("serve", copy, "--port", 0)
    assert (status, "labels.txt: differs" in err) == (1, True), err


def test_without_ray_it_says_what_to_install(tmp_path: Path):
    code = "import sys; sys.modules['ray'] = None; from cnnapp.cli.main import main; main()"
    command = [sys.executable, "-c", code, "serve", str(ROOT / "saved_models" / "digits"), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=None)
    assert done.returncode == 2
    assert "serving needs ray, of cnnapp's extra 'ray'" in done.stderr
    assert "pip install 'ray[serve]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.service
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
        service.process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert service.log.read_text().rstrip().endswith("stopped")


@pytest.mark.slow
@pytest.mark.service
def test_what_outlasts_the_grace_is_told_so(tmp_path: Path, monkeypatch):
    """Beside a cluster of the user's, which is none of ours."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    buffer = io.BytesIO()
    Image.new("L", (4000, 3000)).save(buffer, "PNG")
    image = {"b64": base64.b64encode(buffer.getvalue()).decode()}
    content = {"inputs": {"image_bytes": [image] * 8}}
    with (
        running_service(tmp_path / "log.txt", ROOT / "saved_models" / "digit-scenes", "--grace", 1) as service,
        ThreadPoolExecutor(1) as pool,
    ):
        url = f"{service.url}/v1/models/digit-scenes:predict"
        asked = pool.submit(requests.post, url, json=content, timeout=60)
        time.sleep(2)
        assert not asked.done()
        assert service.stop() == 0
        answer = asked.result()
    assert (answer.status_code, "has stopped" in answer.json()["error"]) == (503, True)
    said = service.log.read_text()
    assert said.rstrip().endswith("stopped")
    assert "Traceback" not in said


def test_what_is_called_of_ray_when_it_has_ended_does_not_start_it_again():
    """As its own threads may, while it ends; the service would then never end."""
    code = (
        "import os; from cnnapp.service.processes import ray_local; os.environ |= ray_local.environment()\n"
        "import ray\n"
        "try:\n    ray.put(1)\n"
        "except Exception as error:\n    print(type(error).__name__, ray.is_initialized())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split()[1:] == ["False"], done.stdout
