"""The page in a real Chromium: upload, answer, download."""

from __future__ import annotations

import csv
import io
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, draw_shape
from PIL import Image

import cnnapp
from pipelines.data import scenes

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARTIFACTS = ROOT / "artifacts"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)")


@contextmanager
def served(log_file: Path) -> Iterator[str]:
    """Serve the page on a free port of this machine, and stop it again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "cnnapp.cli", "ui", "--port", str(port), "--no-browser"]
    with open(log_file, "w") as log:
        server = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, log_file.read_text()
                assert time.monotonic() < deadline, "the page did not start"
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/"
    finally:
        os.killpg(server.pid, 15)
        server.wait(timeout=20)


@pytest.fixture
def address(models: Path, tmp_path: Path) -> Iterator[str]:
    """The page with a classifier made here."""
    with served(tmp_path / "page.log") as url:
        yield url


@pytest.fixture
def shipped_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The page with the models that ship."""
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(ROOT / "saved_models"))
    with served(tmp_path / "page.log") as url:
        yield url


@pytest.fixture
def browser() -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


def test_upload_answer_download(address: str, browser, tmp_path: Path):
    paths = []
    for number, kind in enumerate(("disc", "cross")):
        paths.append(tmp_path / f"{kind}.png")
        draw_shape(kind, number).save(paths[-1])
    (tmp_path / "broken.png").write_bytes(paths[0].read_bytes()[:70])
    page = browser.new_page(viewport={"width": 1000, "height": 1400})
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto(address + "?model=shapes")
    page.get_by_text("Upload images, or take an example").wait_for(timeout=90_000)
    page.set_input_files("input[type=file]", [paths[0], tmp_path / "broken.png", paths[1]])
    page.get_by_text("All results").wait_for(timeout=60_000)
    page.get_by_text("broken.png: the image cannot be decoded").wait_for()
    pictures = "[...document.querySelectorAll('[data-testid=stImage] img')]"
    page.wait_for_function(f"{pictures}.filter(picture => picture.naturalWidth > 0).length == 2")
    with page.expect_download() as download:
        page.get_by_text("Download as CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    expected = cnnapp.load("shapes").predict(paths)
    for row, answer in zip(rows, expected, strict=False):
        assert row["source"] == Path(answer.source).name
        assert row["class_name"] == answer.class_name
        assert float(row["score"]) == pytest.approx(answer.score, abs=1e-5)
        shown = page.get_by_role("heading", name=f"{answer.class_name} · {answer.score:.1%}")
        assert shown.count() >= 1
    assert rows[2]["error"].startswith("broken.png")
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / "page.png", full_page=True)
    assert not trouble


def test_boxes_follow_the_threshold_and_a_score_map_is_drawn(shipped_address: str, browser, tmp_path: Path):
    drawn = next(scenes.load(0).test.examples())
    path = tmp_path / "scene.png"
    path.write_bytes(drawn.image)
    expected = cnnapp.load(ROOT / "saved_models" / "digit-scenes").predict([path])[0]
    assert len(expected) >= 1
    page = browser.new_page(viewport={"width": 1000, "height": 1400})
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto(shipped_address + "?model=digit-scenes")
    page.get_by_text("Upload images, or take an example").wait_for(timeout=90_000)
    page.set_input_files("input[type=file]", [path])
    digits = sorted(each.class_name for each in expected)
    found = ", ".join(f"{digits.count(name)} × {name}" for name in dict.fromkeys(digits))
    page.get_by_role("heading", name=found).wait_for(timeout=60_000)
    page.get_by_role("combobox", name="Score map").click()
    page.get_by_role("option", name=digits[0], exact=True).click()
    page.get_by_text(f"score of {digits[0]} at every window").wait_for(timeout=60_000)
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / "page-boxes.png", full_page=True)
    page.get_by_role("slider", name="Smallest score").press("End")
    page.get_by_role("heading", name="nothing found").wait_for(timeout=60_000)
    assert not trouble


def test_an_example_is_answered_on_a_narrow_screen(address: str, browser):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(address)
    page.get_by_text("Or an example").wait_for(timeout=90_000)
    page.get_by_role("radio").first.click()
    page.get_by_text("All results").wait_for(timeout=60_000)
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / "page-narrow.png")


def test_the_mask_of_the_page_is_that_of_a_process_with_only_tensorflow(
    segmenters: Path, painted: Path, browser, tmp_path: Path
):
    model = segmenters / "painted" / "1"
    path = sorted((painted / "test" / "images").iterdir())[0]
    code = """
        import sys
        for name in ("layers", "pipelines", "cnnapp", "ui", "keras"):
            sys.modules[name] = None
        import numpy as np, tensorflow as tf
        answer = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
        np.save(sys.argv[3], answer(image_bytes=tf.constant([open(sys.argv[2], "rb").read()]))["class_map"].numpy()[0])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(model), str(path), str(tmp_path / "map.npy")]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    expected = np.load(tmp_path / "map.npy")
    assert len(np.unique(expected)) > 1

    with served(tmp_path / "page.log") as address:
        page = browser.new_page(viewport={"width": 1000, "height": 1600})
        trouble: list[str] = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(address + "?model=painted")
        page.get_by_text("Upload images, or take an example").wait_for(timeout=90_000)
        page.set_input_files("input[type=file]", [path])
        page.get_by_role("button", name="Download the mask").wait_for(timeout=60_000)
        pictures = "[...document.querySelectorAll('[data-testid=stImage] img')]"
        page.wait_for_function(f"{pictures}.filter(picture => picture.naturalWidth > 0).length == 2")
        for pieces in (False, True):
            if pieces:
                page.get_by_text("Piece by piece").click()
                page.wait_for_timeout(3000)
            with page.expect_download() as download:
                page.get_by_role("button", name="Download the mask").click()
            with Image.open(download.value.path()) as mask:
                np.testing.assert_array_equal(np.asarray(mask), expected)
        ARTIFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTIFACTS / "segmentation.png", full_page=True)
    assert not trouble
