"""How a session of the page ends: with the server that serves it, and a client that speaks Streamlit's protocol."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from page_client import PageClient, put
from places import ROOT
from reachable import marked
from watched_page import NOTHING, Ask, until_gone, watched

PAGE = """
    import sys
    sys.path[:0] = [{root!r}]
    import streamlit as st
    from ui.components import visit

    def page():
        session = visit.current()
        file = st.file_uploader("Image", key=f"file {{session.number}}")
        st.text(visit.notice())
        if file is not None:
            visit.uses([file])
            session.memory.keep(("answer",), bytearray(file.getvalue()))
            st.image(file.getvalue())
            st.download_button("again", file.getvalue)

    visit.begin()
    page()
    visit.end()
"""
"""The page without a model, which takes most of the time."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Ask]]:
    script = tmp_path / "page.py"
    script.write_text(textwrap.dedent(PAGE).format(root=str(ROOT)))
    with watched(script, tmp_path / "page.log", CNNAPP_UI_SESSION="0.1", CNNAPP_UI_MEMORY="0.15") as found:
        yield found


def test_nothing_remains_of_sessions_that_ended(served: tuple[str, Ask]):
    address, ask = served
    for seed in (1, 2):
        with PageClient(address) as client:
            client.run()
            client.upload("a.bmp", marked(seed))
            held = ask(seed)
            assert {"UploadedFile", "UploadedFileRec", "_Kept"} <= set(held["holders"])
            assert (held["uploads"], held["kept"]) == (len(marked(seed)), 2 * len(marked(seed)))
            assert (held["sessions"], held["media"], held["downloads"]) == (1, 1, 1)
            assert any("They are removed within two minutes after you close the page" in text for text in client.texts)
        assert until_gone(ask, seed) == NOTHING


def test_a_session_that_is_taken_up_again_keeps_its_uploads_and_finds_its_answers_anew(served: tuple[str, Ask]):
    address, ask = served
    with PageClient(address) as client:
        client.run()
        client.upload("a.bmp", marked(3))
    deadline = time.monotonic() + 20
    while ask(3)["kept"]:  # at once
        assert time.monotonic() < deadline
    with client.again() as again:
        again.run()
        assert again.session == client.session
        held = ask(3)
        assert (held["uploads"], held["kept"]) == (len(marked(3)), 2 * len(marked(3)))
        time.sleep(4)  # longer than a browser is given
        assert ask(3)["uploads"] == len(marked(3))
    assert until_gone(ask, 3) == NOTHING


def test_uploads_beyond_what_is_kept_are_refused_before_the_page_is_drawn(served: tuple[str, Ask]):
    address, ask = served
    content = bytes(60_000)
    with PageClient(address) as first, PageClient(address) as second:
        first.run()
        second.run()
        url = f"{address}_stcore/upload_file/{{}}/{{}}".format
        assert put(url(first.session, "a"), "a.bmp", content) == 204
        assert put(url(first.session, "b"), "b.bmp", content) == 413  # of a session
        assert put(url(second.session, "c"), "c.bmp", content) == 204
        assert put(url(second.session, "d"), "d.bmp", bytes(40_000)) == 413  # of all
        assert ask(0)["uploads"] == 2 * len(content)
    assert until_gone(ask, 0) == NOTHING


@pytest.mark.slow
def test_nothing_remains_of_a_visit_to_the_real_page(tmp_path: Path):
    models = str(ROOT / "saved_models")
    with watched(ROOT / "ui" / "app.py", tmp_path / "page.log", CNNAPP_SAVED_MODELS=models) as (address, ask):
        for seed, page in ((4, ""), (5, "explain")):
            with PageClient(address, "model=digits&view=Receptive+field" if page else "model=digits", page) as client:
                client.run()
                client.upload("a.bmp", marked(seed))
                assert ask(seed)["holders"]
            assert until_gone(ask, seed) == NOTHING
