"""What the page keeps for people, and who waits for whom: by Streamlit's own test harness, on models that ship."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

import cnnapp
from cnnapp.prediction.prediction_cache import Answered, AnswerStore
from cnnapp.sessions.limits import PageLimits
from cnnapp.sessions.session import Sessions
from cnnapp.sessions.work_queue import Job
from places import ROOT
from reachable import holders, marked
from ui.components import visit

APP = str(ROOT / "ui" / "app.py")
EXPLAIN = "from ui.components import visit; from ui.views import explain; visit.begin(); explain.page(); visit.end()"


@pytest.fixture(autouse=True)
def saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(ROOT / "saved_models"))


def share(monkeypatch: pytest.MonkeyPatch, **limits: float) -> Sessions:
    """Give the pages of a test limits, memory and turns of their own."""
    sessions = Sessions(PageLimits(**limits))
    monkeypatch.setattr(visit, "shared", lambda: sessions)
    return sessions


def open_page(script: str = "", **query: str) -> AppTest:
    page = AppTest.from_string(script, default_timeout=120) if script else AppTest.from_file(APP, default_timeout=120)
    for name, value in query.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    return page


def upload(page: AppTest, *files: tuple[str, bytes]) -> AppTest:
    page.file_uploader[0].set_value([(name, data, "image/bmp") for name, data in files]).run()
    assert not page.exception
    return page


def noise(seed: int, side: int = 64) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


# === What is kept ===


@pytest.mark.parametrize("view", ["", "Evidence", "Feature maps", "Receptive field"])
def test_nothing_of_an_upload_remains_when_its_session_is_gone(view: str, monkeypatch: pytest.MonkeyPatch):
    sessions = share(monkeypatch)
    query = {"model": "digit-segmentation"} | ({"view": view} if view else {})
    page = open_page(EXPLAIN if view else "", **query)
    upload(page, ("a.bmp", marked(11)))
    assert sessions.budget.size > len(marked(11))
    assert holders(11)
    del page
    assert holders(11) == []
    assert (sessions.budget.size, len(sessions.budget)) == (0, 0)


def test_a_session_keeps_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch):
    sessions = share(monkeypatch, session=0.5)
    page = open_page(model="digit-segmentation")
    for number in range(6):
        upload(page, *[(f"{number} {each}.png", noise(10 * number + each)) for each in range(3)])
        assert sessions.budget.size <= 2**19
    assert page.dataframe[0].value["Image"].nunique() == 3


def test_what_is_more_than_a_session_keeps_is_refused_in_words(monkeypatch: pytest.MonkeyPatch):
    sessions = share(monkeypatch, session=0.02)
    page = open_page(model="digits")
    upload(page, ("a.png", noise(1, 150)))
    assert "The images are 0.0 MiB, more than the 0.0 MiB that this page keeps for you" in page.error[0].value
    assert not page.dataframe
    upload(page, ("a.png", noise(1)))
    assert not page.error
    assert len(page.dataframe[0].value) == 1
    assert sessions.budget.size <= 0.02 * 2**20


def test_after_a_while_without_use_all_is_removed_which_is_said(monkeypatch: pytest.MonkeyPatch):
    sessions = share(monkeypatch, idle=10)
    page = open_page(model="digit-segmentation")
    upload(page, ("a.bmp", marked(12)))
    assert len(page.dataframe) == 1
    session = page.session_state["session"]
    assert f"after {sessions.limits.idle:g} minutes without use" in " ".join(text.value for text in page.caption)
    session._used -= 601
    page.run()
    assert not page.exception
    assert "were removed after 10 minutes without use" in page.info[0].value
    assert not page.dataframe
    assert session.memory.size == 0
    page.file_uploader[0].set_value([("b.bmp", marked(13), "image/bmp")]).run()
    assert set(page.dataframe[0].value["Image"]) == {"b.bmp"}


# === Who waits for whom ===


def test_light_work_is_answered_while_ten_sessions_do_the_heaviest(monkeypatch: pytest.MonkeyPatch):
    sessions = share(monkeypatch, workers=2)
    model = cnnapp.load("digit-segmentation")
    images = [(f"{number}.png", noise(number)) for number in range(10)]
    expected = [model.predict([data])[0].class_map for _, data in images]
    answered, order = threading.Event(), []
    in_tiles = cnnapp.Predictor.predict_by_pieces

    def slow(model, image, tile, *, name, advance, **rest):
        order.append(name)
        while not answered.is_set():  # as the tiles of a huge image do
            advance(1, 100)
            time.sleep(0.01)
        return in_tiles(model, image, tile, name=name, advance=advance, **rest)

    monkeypatch.setattr(cnnapp.Predictor, "predict_by_pieces", slow)
    got: dict[str, np.ndarray] = {}
    people = [sessions.begin() for _ in images]

    def visit_page(number: int) -> None:
        person = people[number]
        store = AnswerStore(memory=person.memory)

        def work(job: Job) -> Iterator[Answered]:
            asked = store.ask(model, [images[number]], tile=1024)
            return store.complete(asked, lambda name, done, count: job.report(done / count, name))

        (one,) = person.queue.submit(person.key, work)
        got[one.name] = one.answer.class_map

    threads = [threading.Thread(target=visit_page, args=(number,)) for number in range(10)]
    for number, thread in enumerate(threads):
        thread.start()
        deadline = time.monotonic() + 30
        while sessions.queue.waiting + sessions.queue.running <= number:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    assert (sessions.queue.running, sessions.queue.waiting) == (2, 8)
    # Labels, pages, cards and small images wait for nobody.
    page = open_page(model="digits")
    page.button_group(key="place").set_value("Examples").run()
    page.button_group[1].set_value([page.button_group[1].options[0]]).run()
    assert not page.exception
    assert len(page.dataframe[0].value) == 1
    assert (sessions.queue.running, sessions.queue.waiting) == (2, 8)
    answered.set()
    for thread in threads:
        thread.join(120)
    # As they came; of two that have a turn at once, either may be the first to note that.
    assert all(abs(order.index(name) - number) <= 1 for number, (name, _) in enumerate(images))
    for (name, _), class_map in zip(images, expected, strict=True):
        np.testing.assert_array_equal(got[name], class_map)


def test_who_waits_sees_the_place(monkeypatch: pytest.MonkeyPatch):
    sessions = share(monkeypatch, workers=1)
    gate = threading.Event()
    told: list[str] = []
    import streamlit as st

    progress = st.delta_generator.DeltaGenerator.progress

    def noted(self, value, text=None, **rest):
        told.append(str(text))
        if "2 before you" in str(text):
            gate.set()
        return progress(self, value, text, **rest)

    monkeypatch.setattr(st.delta_generator.DeltaGenerator, "progress", noted)
    others = [sessions.begin() for _ in range(3)]

    def work(job: Job) -> Iterator[int]:
        while not gate.wait(0.01):
            job.check()
        yield 1

    jobs = [each.queue.submit(each.key, work) for each in others]
    page = open_page(model="digit-segmentation")
    upload(page, ("a.png", noise(1, 600)))
    assert "Waiting for a turn: 2 before you" in told
    assert len(page.dataframe[0].value)
    assert [list(job) for job in jobs] == [[1], [1], [1]]


def test_a_full_queue_is_said_on_the_page(monkeypatch: pytest.MonkeyPatch):
    sessions = share(monkeypatch, workers=1, queue=1)
    gate = threading.Event()
    people = [sessions.begin() for _ in range(2)]

    def work(job: Job) -> Iterator[int]:
        gate.wait(60)
        yield 1

    jobs = [sessions.queue.submit(people[0].key, work)]
    while sessions.queue.running == 0:
        time.sleep(0.005)
    jobs.append(sessions.queue.submit(people[1].key, work))
    try:
        page = open_page(model="digit-segmentation")
        upload(page, ("a.png", noise(1, 600)))
        assert "wait to be computed, which is the most; try again" in page.error[0].value
        assert not page.dataframe
    finally:
        gate.set()
    assert [list(job) for job in jobs] == [[1], [1]]
    page.run()
    assert len(page.dataframe[0].value)
