"""What the page keeps of somebody's images while it is open in a real Chromium, and after it was closed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from page_server import download, needs_chromium, open_page, wait_for_pictures, wait_until_still
from places import ROOT
from reachable import marked
from watched_page import NOTHING, Ask, until_gone, watched

pytestmark = [needs_chromium, pytest.mark.slow]


@pytest.fixture
def page_and_ask(tmp_path: Path) -> Iterator[tuple[str, Ask]]:
    models = str(ROOT / "saved_models")
    with watched(ROOT / "ui" / "app.py", tmp_path / "page.log", CNNAPP_SAVED_MODELS=models) as found:
        yield found


def test_nothing_of_an_upload_remains_after_the_page_was_closed(page_and_ask: tuple[str, Ask], browser, tmp_path: Path):
    address, ask = page_and_ask
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
        assert until_gone(ask, seed) == NOTHING
        assert not trouble


def test_uploads_of_a_page_that_was_left_are_removed(page_and_ask: tuple[str, Ask], browser, tmp_path: Path):
    address, ask = page_and_ask
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
