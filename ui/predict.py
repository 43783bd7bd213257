"""The page where images are answered for."""

from __future__ import annotations

import csv
import hashlib
import io

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import cnnapp
from cnnapp import saved_models
from cnnapp.results import Answer, Classification, Detections, to_rows
from pipelines import intake
from pipelines.artifact import ModelCard, read_golden
from ui import areas, objects

__all__ = ["page"]

_TYPES = sorted(extension.removeprefix(".") for extension in intake.EXTENSIONS)
_SHOWN = 24
_TILE = 1024
_KEPT = "answers by pieces"


@st.cache_resource(show_spinner="loading the model", max_entries=4)
def _load(directory: str, changed: float) -> cnnapp.Predictor:
    """Load a model once for all sessions; ``changed`` is its card's time, so that another model is loaded anew."""
    return cnnapp.load(directory)


def page() -> None:
    """Choose a model, give it images, see its answers."""
    st.title("What is in this image?")
    model = _choose_model()
    if model is None:
        return
    classes = model.card.classes
    st.caption(f"{model.card.description} Classes: {', '.join(classes[:20])}{' …' if len(classes) > 20 else ''}")
    images = _choose_images(model)
    if not images:
        _keep({})
        st.info("Upload images, or take an example.", icon=":material/upload:")
        return
    options = objects.thresholds(model) if model.card.task == "detection" else {}
    look = areas.choices(model) if model.card.task == "segmentation" else (0.0, [])
    tile = _choose_tile(model)
    if tile is None:
        _keep({})
        answers, failures = _answer(model, images, options)
    else:
        answers, failures = _by_pieces(model, images, options, tile)
    for failure in failures:
        st.error(failure["error"], icon=":material/broken_image:")
    if answers:
        _show(model, answers, dict(images), look)
    if answers or failures:
        _offer_table(answers, failures, model.card)


def _choose_model() -> cnnapp.Predictor | None:
    names = [f"{name}/{number}" for name, numbers in saved_models.names().items() for number in reversed(numbers)]
    if not names:
        st.warning("There is no saved model yet. Run `make demo`, or `cnnapp train`.")
        return None
    asked = st.query_params.get("model", names[0])
    start = next((i for i, name in enumerate(names) if asked in (name, name.split("/")[0])), 0)
    name = st.selectbox("Model", names, index=start, help="A saved model and its version.")
    try:
        directory = saved_models.resolve(name)
        return _load(str(directory), (directory / "model_card.json").stat().st_mtime)
    except cnnapp.CnnAppError as error:
        st.error(str(error), icon=":material/error:")
        return None


def _choose_images(model: cnnapp.Predictor) -> list[tuple[str, bytes]]:
    uploaded = st.file_uploader("Images", type=_TYPES, accept_multiple_files=True)
    if uploaded:
        return _numbered([(file.name, file.getvalue()) for file in uploaded])
    try:
        golden = read_golden(model.served.directory)
    except cnnapp.ModelError as error:
        st.error(str(error))
        return []
    names = [f"example {number}" for number in range(1, len(golden.names) + 1)]
    if model.card.task == "classification":
        names = [str(name) for name in golden.outputs["class_names"]]
    help_text = "Images that the model was shipped with."
    chosen = st.pills("Or an example", range(len(names)), format_func=names.__getitem__, help=help_text)
    return [] if chosen is None else [(golden.names[chosen], golden.inputs[chosen])]


def _numbered(images: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Tell files of the same name apart."""
    seen: dict[str, int] = {}
    named = []
    for name, data in images:
        seen[name] = seen.get(name, 0) + 1
        named.append((name if seen[name] == 1 else f"{name} ({seen[name]})", data))
    return named


def _answer(
    model: cnnapp.Predictor, images: list[tuple[str, bytes]], options: dict[str, float]
) -> tuple[list[Answer], list[dict[str, str]]]:
    answers, failures = [], []
    bar = st.progress(0.0, "answering") if len(images) > 8 else None
    found = model.predict_each([data for _, data in images], names=[name for name, _ in images], **options)  # type: ignore[arg-type]
    for number, (name, answer) in enumerate(found, start=1):
        if isinstance(answer, cnnapp.DataError):
            failures.append({"source": name, "error": str(answer)})
        else:
            answers.append(answer)
        if bar is not None:
            bar.progress(number / len(images), f"answering: {number} of {len(images)}")
    if bar is not None:
        bar.empty()
    return answers, failures


def _choose_tile(model: cnnapp.Predictor) -> int | None:
    """Ask whether to answer piece by piece; return the side of the pieces in pixels."""
    if model.card.task == "classification":
        return None
    text = "For images too large for memory, TIFF above all. The answer is the same as for the whole image."
    return _TILE if st.toggle("Piece by piece", help=text) else None


def _by_pieces(
    model: cnnapp.Predictor, images: list[tuple[str, bytes]], options: dict[str, float], tile: int
) -> tuple[list[Answer], list[dict[str, str]]]:
    """Answer piece by piece; what was answered for the same images in the run before is taken from there."""
    answers: list[Answer] = []
    failures = []
    before, now = st.session_state.get(_KEPT, {}), {}
    for name, data in images:
        content = hashlib.sha256(data).hexdigest()
        key = (str(model.served.directory), name, content, tuple(sorted(options.items())), tile)
        if key in before:
            now[key] = before[key]
            answers.append(now[key])
            continue
        bar = st.progress(0.0, f"answering {name}")

        def advance(done: int, count: int, name: str = name, bar: DeltaGenerator = bar) -> None:
            bar.progress(done / count, f"answering {name}: {done} of {count} pieces")

        try:
            now[key] = model.predict_by_pieces(data, tile, name=name, advance=advance, **options)  # type: ignore[arg-type]
            answers.append(now[key])
        except cnnapp.CnnAppError as error:
            failures.append({"source": name, "error": str(error)})
        bar.empty()
    _keep(now)
    return answers, failures


def _keep(answers: dict[tuple, Answer]) -> None:
    """Keep answers for the next run of this session, and none besides."""
    st.session_state[_KEPT] = answers


def _show(
    model: cnnapp.Predictor, answers: list[Answer], images: dict[str, bytes], look: tuple[float, list[int]]
) -> None:
    for answer in answers[:_SHOWN]:
        try:
            if isinstance(answer, Detections):
                objects.show(model, answer, images[answer.source])
            elif isinstance(answer, Classification):
                _show_class(answer, images[answer.source])
            else:
                areas.show(answer, images[answer.source], *look)
        except cnnapp.CnnAppError as error:
            st.error(f"{answer.source}: cannot be drawn: {error}", icon=":material/broken_image:")
    if len(answers) > _SHOWN:
        st.caption(f"{len(answers) - _SHOWN} more answers are in the table.")


def _show_class(answer: Classification, image: bytes) -> None:
    with st.container(border=True):
        left, right = st.columns([1, 2], vertical_alignment="center")
        left.image(_picture(image), caption=answer.source, width="stretch")
        right.subheader(f"{answer.class_name} · {answer.score:.1%}")
        for name, score in answer.top():
            right.progress(score, f"{name}  {score:.1%}")


@st.cache_data(max_entries=256, show_spinner=False)
def _picture(data: bytes) -> bytes:
    """Return what the browser shows: upright, and enlarged by whole pixels where it is tiny."""
    picture = intake.open_rgb(data, max_side=640)
    factor = max(1, 240 // max(picture.size))
    return intake.encode(picture.resize((picture.width * factor, picture.height * factor), resample=0))


def _offer_table(answers: list[Answer], failures: list[dict[str, str]], card: ModelCard) -> None:
    rows = to_rows(answers, failures, card.classes, card.task)
    st.subheader("All results")
    # Of a classifier's many columns of scores the table shows none; the file has them.
    kept = (0, 1, 2, -1) if card.task == "classification" else range(len(rows[0]))
    shown = [{rows[0][index]: row[index] for index in kept} for row in rows[1:]]
    st.dataframe(shown, hide_index=True, width="stretch")
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    st.download_button("Download as CSV", buffer.getvalue(), "answers.csv", "text/csv", icon=":material/download:")
