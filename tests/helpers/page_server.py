"""The pages served to a real Chromium, for the tests that drive one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from places import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARTIFACTS = ROOT / "artifacts"
PICTURES = "[...document.querySelectorAll('[data-testid=stImage] img')]"

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"
)


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_up(server: subprocess.Popen[Any], port: int, log_file: Path) -> str:
    """Wait until a page is served; return its address."""
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
            return f"http://127.0.0.1:{port}/"
        except OSError:
            assert server.poll() is None, log_file.read_text()
            assert time.monotonic() < deadline, "the page did not start"
            time.sleep(0.3)


@contextmanager
def served(log_file: Path) -> Iterator[str]:
    """Serve the page on a free port of this machine, and stop it again."""
    port = free_port()
    command = [sys.executable, "-m", "cnnapp", "ui", "--port", str(port), "--no-browser"]
    with open(log_file, "w") as log:
        server = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    try:
        yield wait_until_up(server, port, log_file)
    finally:
        os.killpg(server.pid, 15)
        server.wait(timeout=20)


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a browser, whose camera shows a test picture."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
        arguments += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def open_page(browser: Any, address: str, **options: Any) -> tuple[Any, list[str]]:
    """Open a page once its model is chosen; with the list that errors of its scripts go to."""
    page = browser.new_page(**({"viewport": {"width": 1000, "height": 1400}} | options))
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto(address)
    page.get_by_role("combobox", name="Model").wait_for(timeout=90_000)
    return page, trouble


def wait_for_pictures(page: Any, count: int) -> None:
    """Wait until exactly so many pictures are there and loaded."""
    page.wait_for_function(f"{PICTURES}.filter(picture => picture.naturalWidth > 0).length == {count}", timeout=60_000)


def wait_until_still(page: Any) -> None:
    """Wait until the page is as it will be: what is drawn later would take the focus, or the click, away."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=60_000)


def download(page: Any, name: str) -> bytes:
    """Click a button that downloads a file, once the page is as it will be; return what is in it."""
    wait_until_still(page)
    with page.expect_download(timeout=60_000) as found:
        page.get_by_role("button", name=name, exact=True).click()
    return Path(found.value.path()).read_bytes()


def keep(page: Any, name: str) -> None:
    """Keep a photograph of the whole page, to be looked at, and hold that nothing has to be scrolled sideways."""
    ARTIFACTS.mkdir(exist_ok=True)
    # Streamlit scrolls within the page; only as high a window as its contents shows them all.
    size = page.viewport_size
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": min(max(height, size["height"]), 12_000)})
    page.wait_for_timeout(1000)
    page.screenshot(path=ARTIFACTS / name)
    page.set_viewport_size(size)
    overflow = page.evaluate(
        "Math.max(...[document.documentElement, document.querySelector('[data-testid=stMain]')]"
        ".map(part => part.scrollWidth - part.clientWidth))"
    )
    assert overflow <= 0
