"""The page where images are answered for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import streamlit as st

import cnnapp
from cnnapp.prediction.prediction_cache import TILE, Answered, AnswerStore
from cnnapp.results.answer import Answer
from ui.components import downloads, image_picker, model_picker, queued, visit
from ui.components.panel import Look, Panel
from ui.components.panels import find_panel

__all__ = ["page"]

_PER_PAGE = 12
_STORE = "answers"


def page() -> None:
    """Choose a model, give it images, see its answers."""
    st.title("What is in this image?")
    model = model_picker.choose()
    if model is None:
        return
    panel = find_panel(model.card.task)
    st.caption(panel.caption(model.card))
    _, given = image_picker.choose([model])
    store = st.session_state.setdefault(_STORE, AnswerStore(memory=visit.current().memory, name=_STORE))
    if not given:
        store.clear()
        st.info("Upload images, take an example, or use the camera.", icon=":material/upload:")
        return
    options = panel.options(model)
    look = panel.look(model)
    tile = _choose_tile(model)
    pages = -(-len(given) // _PER_PAGE)
    number = st.pagination(pages, key=f"page of {len(given)}") if pages > 1 else 1
    shown = given[(number - 1) * _PER_PAGE : number * _PER_PAGE]
    try:
        answered = _answer(model, panel, store, given, shown, options, tile, look)
    except cnnapp.CnnAppError as error:
        st.error(str(error), icon=":material/error:")
        return
    _offer(model, panel, given, answered, look)


def _choose_tile(model: cnnapp.Predictor) -> int | None:
    """Ask whether to process images in tiles; return the side of the tiles in pixels."""
    if not model.answer_type.tiled:
        return None
    text = "Uses less memory and shows progress; large images are always processed so. The answer is the same."
    return TILE if st.toggle("Process in tiles", help=text) else None


def _answer(
    model: cnnapp.Predictor,
    panel: Panel,
    store: AnswerStore,
    given: Sequence[tuple[str, bytes]],
    shown: Sequence[tuple[str, bytes]],
    options: dict[str, Any],
    tile: int | None,
    look: Look,
) -> list[Answered]:
    """Answer for all images, those that are shown first, each of which is drawn as soon as it is answered."""
    progress = st.container()
    results = st.container()
    data = dict(shown)
    rest = [image for image in given if image[0] not in data]
    asked = store.ask(model, [*shown, *rest], options, tile)

    def work(report: queued.Report) -> Iterator[Answered]:
        def advance(name: str, done: int, count: int) -> None:
            report(done / count, f"Analysing {name}: {done} of {count} tiles")

        report(0.0, f"Analysing {len(given):,} images" if len(given) > 1 else "Analysing the image")
        for done, one in enumerate(store.complete(asked, advance), start=1):
            report(done / len(given), f"Analysed {done:,} of {len(given):,} images")
            if one.name in data and not asked.light and not isinstance(one.answer, cnnapp.DataError):
                with suppress(cnnapp.CnnAppError):  # which is said where it is shown
                    panel.draw_ahead(memory, one.answer, data[one.name], look)
            yield one

    memory = visit.current().memory
    found: dict[str, Answered] = {}
    with progress:
        for one in queued.stream(work, light=asked.light):
            found[one.name] = one
            if one.name in data:
                with results:
                    _show(model, panel, one, data[one.name], look, by_itself=tile is None)
    return [found[name] for name, _ in given]


def _show(model: cnnapp.Predictor, panel: Panel, one: Answered, image: bytes, look: Look, by_itself: bool) -> None:
    answer = one.answer
    if isinstance(answer, cnnapp.DataError):
        st.error(str(answer), icon=":material/broken_image:")
        return
    with st.container(border=True):
        if one.pieces and by_itself:
            st.info(
                f"{one.name} is large: it was processed in tiles of {TILE} pixels, which give the same answer.",
                icon=":material/grid_on:",
            )
        try:
            panel.show(model, answer, image, look)
        except cnnapp.CnnAppError as error:
            st.error(f"{answer.source}: cannot be drawn: {error}", icon=":material/broken_image:")


def _offer(
    model: cnnapp.Predictor,
    panel: Panel,
    given: Sequence[tuple[str, bytes]],
    answered: Sequence[Answered],
    look: Look,
) -> None:
    """Show all answers as a table, and offer them as files."""
    answers: list[Answer] = [one.answer for one in answered if not isinstance(one.answer, cnnapp.DataError)]
    failures = [
        {"source": one.name, "error": str(one.answer)} for one in answered if isinstance(one.answer, cnnapp.DataError)
    ]
    st.subheader("All results")
    downloads.table(answers, failures, model, panel)
    downloads.files(answers, failures, model, panel, dict(given), look)
