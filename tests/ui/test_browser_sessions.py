"""What the page keeps of somebody's images while it is open in a real Chromium, and after it was closed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from page_server import download, needs_chromium, open_page, wait_for_pictures, wait_until_still
from places import ROOT
from reachable import marked

pytestmark = [needs_chromium, pytest.mark.slow]

Ask = Callable[[int], dict[str, Any]]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[str, Ask]]:
    """The page, and a function that asks its process what it holds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    helper = ROOT / "tests" / "helpers" / "watched_page.py"
    command = [sys.executable, str(helper), str(ROOT / "ui" / "app.py"), str(port), "6"]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])
    environment = os.environ | {"PYTHONPATH": paths, "CNNAPP_SAVED_MODELS": str(ROOT / "saved_models")}
    with open(tmp_path / "page.log", "w") as log:
        server = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
    assert server.stdin is not None
    assert server.stdout is not None

    def ask(seed: int) -> dict[str, Any]:
        server.stdin.write(f"{seed}\n")
        server.stdin.flush()
        while not (line := server.stdout.readline()).startswith("{"):
            assert line, (tmp_path / "page.log").read_text()
        return json.loads(line)

    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "page.log").read_text()
                assert time.monotonic() < deadline, "the page did not start"
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/", ask
    finally:
        server.terminate()
        server.wait(timeout=20)
        server.stdin.close()
        server.stdout.close()


def until_gone(ask: Ask, seed: int) -> dict[str, Any]:
    """Wait until nothing of an image is held, but not for ever; return what is."""
    for _ in range(30):
        found = ask(seed)
        if not found["holders"] and not found["sessions"]:
            break
        time.sleep(1)
    return found


def test_nothing_of_an_upload_remains_after_the_page_was_closed(watched: tuple[str, Ask], browser, tmp_path: Path):
    address, ask = watched
    for seed in (101, 102):  # one session after another
        path = tmp_path / f"{seed}.bmp"
        path.write_bytes(marked(seed))
        page, trouble = open_page(browser, address + "?model=digit-segmentation")
        page.get_by_text("They are removed within two minutes after you close the page").first.wait_for()
        page.set_input_files("input[type=file]", [path])
        wait_for_pictures(page, 2)
        assert download(page, "Download masks")
        assert download(page, "Download pictures")
        page.goto(address + "explain?model=digit-segmentation&view=Receptive+field")
        page.get_by_role("combobox", name="Model").wait_for(timeout=90_000)
        wait_until_still(page)
        page.set_input_files("input[type=file]", [path])
        page.get_by_text("Prediction at this point").wait_for(timeout=90_000)
        wait_until_still(page)
        opened = ask(seed)
        assert opened["holders"]
        assert opened["uploads"] >= path.stat().st_size
        assert opened["kept"] > opened["uploads"]
        page.close()
        closed = until_gone(ask, seed)
        assert closed["holders"] == []
        assert {name: closed[name] for name in ("kept", "sessions", "jobs", "uploads", "media", "downloads")} == {
            "kept": 0, "sessions": 0, "jobs": 0, "uploads": 0, "media": 0, "downloads": 0
        }  # fmt: skip
        assert not trouble


def test_uploads_of_a_page_that_was_left_are_removed(watched: tuple[str, Ask], browser, tmp_path: Path):
    address, ask = watched
    path = tmp_path / "a.bmp"
    path.write_bytes(marked(7))
    page, _ = open_page(browser, address + "?model=digits")
    page.set_input_files("input[type=file]", [path])
    page.get_by_text("All results").wait_for(timeout=60_000)
    assert ask(7)["uploads"] == path.stat().st_size
    page.get_by_role("link", name="Model").click()
    page.get_by_text("What is this model?").wait_for(timeout=60_000)
    wait_until_still(page)
    assert ask(7)["uploads"] == 0
