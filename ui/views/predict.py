"""The page where images are answered for."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

import cnnapp
from cnnapp.prediction.prediction_cache import TILE, Answered, AnswerStore
from cnnapp.results.answer import Answer
from cnnapp.results.classification import Classification
from cnnapp.results.detections import Detections
from ui.components import class_switches, detections, downloads, image_picker, model_picker, segmentations

__all__ = ["page"]

_PER_PAGE = 12
_STORE = "answers"


def page() -> None:
    """Choose a model, give it images, see its answers."""
    st.title("What is in this image?")
    model = model_picker.choose()
    if model is None:
        return
    names = model.card.classes
    listed = f" Classes: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}"
    st.caption(model.card.description + (listed if model.card.task == "classification" else ""))
    _, given = image_picker.choose([model])
    store = st.session_state.setdefault(_STORE, AnswerStore())
    if not given:
        store.clear()
        st.info("Upload images, take an example, or use the camera.", icon=":material/upload:")
        return
    options = detections.thresholds(model) if model.card.task == "detection" else {}
    look = _choose_look(model)
    tile = _choose_tile(model)
    pages = -(-len(given) // _PER_PAGE)
    number = st.pagination(pages, key=f"page of {len(given)}") if pages > 1 else 1
    shown = given[(number - 1) * _PER_PAGE : number * _PER_PAGE]
    answered = _answer(model, store, given, shown, options, tile, look)
    _offer(model, given, answered, look)


def _choose_look(model: cnnapp.Predictor) -> tuple[float, list[int]]:
    """Ask how opaque boxes or areas are, and which classes are drawn; return opacity and class ids."""
    if model.card.task == "classification":
        return 1.0, []
    areas_drawn = model.card.task == "segmentation"
    usual, what = (0.55, "the classes' colours") if areas_drawn else (1.0, "the boxes")
    key = f"opacity {model.card.task}"
    text = f"Of {what} over the image."
    opacity = st.slider("Opacity", 0.0, 1.0, usual, 0.05, key=key, help=text, persist_state="session")
    return opacity, class_switches.switches(model.card)


def _choose_tile(model: cnnapp.Predictor) -> int | None:
    """Ask whether to answer piece by piece; return the side of the pieces in pixels."""
    if model.card.task == "classification":
        return None
    text = "Less memory, and progress to be seen; large images are answered so in any case. The answer is the same."
    return TILE if st.toggle("Piece by piece", help=text) else None


def _answer(
    model: cnnapp.Predictor,
    store: AnswerStore,
    given: Sequence[tuple[str, bytes]],
    shown: Sequence[tuple[str, bytes]],
    options: dict[str, float],
    tile: int | None,
    look: tuple[float, list[int]],
) -> list[Answered]:
    """Answer for all images, those that are shown first, each of which is drawn as soon as it is answered."""
    bar = st.empty()
    results = st.container()
    data = dict(shown)
    rest = [image for image in given if image[0] not in data]
    found: dict[str, Answered] = {}

    def advance(name: str, done: int, count: int) -> None:
        bar.progress(done / count, f"answering {name}: {done} of {count} pieces")

    bar.progress(0.0, f"answering {len(given):,} images" if len(given) > 1 else "answering")
    for one in store.answer(model, [*shown, *rest], options, tile, advance):
        found[one.name] = one
        if one.name in data:
            with results:
                _show(model, one, data[one.name], look, by_itself=tile is None)
        bar.progress(len(found) / len(given), f"answered {len(found):,} of {len(given):,}")
    bar.empty()
    return [found[name] for name, _ in given]


def _show(model: cnnapp.Predictor, one: Answered, image: bytes, look: tuple[float, list[int]], by_itself: bool) -> None:
    answer = one.answer
    if isinstance(answer, cnnapp.DataError):
        st.error(str(answer), icon=":material/broken_image:")
        return
    with st.container(border=True):
        if one.pieces and by_itself:
            st.info(
                f"{one.name} is large: it was answered in pieces of {TILE} pixels, which give the same answer.",
                icon=":material/grid_on:",
            )
        try:
            if isinstance(answer, Detections):
                detections.show(model, answer, image, *look)
            elif isinstance(answer, Classification):
                _show_class(answer, image)
            else:
                segmentations.show(answer, image, *look)
        except cnnapp.CnnAppError as error:
            st.error(f"{answer.source}: cannot be drawn: {error}", icon=":material/broken_image:")


def _show_class(answer: Classification, image: bytes) -> None:
    left, right = st.columns([1, 2], vertical_alignment="center")
    left.image(image_picker.picture(image), caption=answer.source, width="stretch", alt=str(answer))
    right.subheader(f"{answer.class_name} · {answer.score:.1%}")
    for name, score in answer.top():
        right.progress(score, f"{name}  {score:.1%}")


def _offer(
    model: cnnapp.Predictor,
    given: Sequence[tuple[str, bytes]],
    answered: Sequence[Answered],
    look: tuple[float, list[int]],
) -> None:
    """Show all answers as a table, and offer them as files."""
    answers: list[Answer] = [one.answer for one in answered if not isinstance(one.answer, cnnapp.DataError)]
    failures = [
        {"source": one.name, "error": str(one.answer)} for one in answered if isinstance(one.answer, cnnapp.DataError)
    ]
    st.subheader("All results")
    downloads.table(answers, failures, model.card)
    downloads.files(answers, failures, model.card, dict(given), look)
