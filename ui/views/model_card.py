"""The page that shows what a model says of itself: its card."""

from __future__ import annotations

import html

import streamlit as st

import cnnapp
from cnnapp.prediction import model_paths
from cnnapp.reports import card_text
from cnnapp.reports.card_plots import card_pictures, history_pictures
from cnnapp.reports.training_command import training_command
from pipelines.artifacts.model_card import ModelCard, check_files, doubts, listed_files
from pipelines.reporting.plain_text import plain
from pipelines.reporting.report import Picture
from ui.components import model_picker, queued

__all__ = ["page"]


def page() -> None:
    """Choose a model, and read what it is, how good, and what it is not for."""
    st.title("What is this model?")
    card = model_picker.choose_card()
    if card is None:
        return
    st.markdown(f"**{plain(card.description)}**")
    st.markdown(plain(card_text.headline(card)))
    with st.container(border=True):
        st.subheader("What it should not be used for")
        st.markdown("\n".join(f"- {plain(line)}" for line in card_text.limits(card)))
    st.subheader("What it is")
    _table(card_text.facts(card))
    _command(card)
    _quality(card)
    _training(card)
    _made_of(card)
    _proof(card)


def _table(rows: list[tuple[str, str]]) -> None:
    """Show names with their values, which are broken into lines on a narrow screen."""
    line = "display:flex;flex-wrap:wrap;gap:0 1em;padding:.35em 0;border-bottom:1px solid #8883"
    told = "".join(
        f"<div style='{line}'><dt style='flex:0 0 10em;opacity:.75'>{html.escape(name)}</dt>"
        f"<dd style='flex:1 1 16em;margin:0;overflow-wrap:anywhere'>{html.escape(value)}</dd></div>"
        for name, value in rows
    )
    st.html(f"<dl style='margin:0;padding:0'>{told}</dl>")


def _command(card: ModelCard) -> None:
    st.subheader("The command that trains it")
    try:
        st.code(training_command(card), language=None, wrap_lines=True)
    except cnnapp.CnnAppError as error:
        st.warning(str(error))
        return
    st.caption("What was chosen from the data when it was trained is written out. What is left out is the default.")


def _quality(card: ModelCard) -> None:
    st.subheader("How good it is")
    st.caption("Test images were used once, after every choice; the best epoch was chosen on validation images.")
    parts = [part for part in ("test", "validation") if card.metrics.get(part)]
    if not parts:
        st.info("This model was not measured.")
        return
    st.dataframe(card_text.figures(card), hide_index=True, width="stretch")
    part = st.segmented_control("Images", parts, default=parts[0], required=True) or parts[0]
    st.dataframe(card_text.class_rows(card, part), hide_index=True, width="stretch")
    for drawn in _pictures(card.model_dump_json(), part):
        _picture(drawn)
    for line in card_text.unrecorded(card, part):
        st.caption(plain(line))


@st.cache_data(max_entries=16, show_spinner="Drawing the figures")
def _pictures(card: str, part: str) -> list[Picture]:
    return card_pictures(ModelCard.model_validate_json(card), part)


@st.cache_data(max_entries=16, show_spinner=False)
def _history(card: str) -> list[Picture]:
    return history_pictures(ModelCard.model_validate_json(card))


def _picture(drawn: Picture) -> None:
    st.markdown(f"**{drawn.title}**")
    st.image(drawn.png, caption=drawn.caption, alt=drawn.alt)


def _training(card: ModelCard) -> None:
    drawn = _history(card.model_dump_json())
    if not drawn:
        return
    st.subheader("How training went")
    st.caption(drawn[0].caption)
    for start in range(0, len(drawn), 2):
        for column, one in zip(st.columns(2), drawn[start : start + 2], strict=False):
            column.image(one.png, alt=one.alt, width="stretch")


def _made_of(card: ModelCard) -> None:
    st.subheader("What it is made of")
    try:
        columns, rows, note = _layers(f"{card.name}/{card.version}")
    except cnnapp.ModelError:
        st.caption(
            f"{card.parameters:,} parameters. A saved model holds its operations but no layers, and this network "
            "cannot be built again from the card; so there is no table of them."
        )
        return
    st.dataframe([dict(zip(columns, row, strict=True)) for row in rows], hide_index=True, width="stretch")
    st.caption(note or "For one image. *Sees* is the side of the receptive field in pixels, *jump* the pixels between "
               "neighbouring units, *centre* the pixel that the first unit looks at.")  # fmt: skip


@st.cache_data(max_entries=16, show_spinner="Listing the layers")
def _layers(name: str) -> tuple[list[str], list[list[str]], str | None]:
    from cnnapp.reports.inspection import UNIQUE_COLUMNS, inspect

    found = inspect(name)
    return list(UNIQUE_COLUMNS), found.rows(), found.note


def _proof(card: ModelCard) -> None:
    st.subheader("Versions and files")
    st.dataframe(card_text.software_rows(card), hide_index=True, width="stretch")
    name = f"{card.name}/{card.version}"
    directory = model_paths.resolve(name)
    files = listed_files(directory, card)
    with st.expander(f"SHA-256 of its {len(files)} files"):
        st.dataframe([{"file": name, "SHA-256": value} for name, value in files.items()], hide_index=True)
    if not st.button("Verify files and golden examples", icon=":material/verified:"):
        return
    problems = check_files(directory, card)
    for problem in problems:
        st.error(problem, icon=":material/error:")
    model = None if problems else model_picker.load(name)
    if model is None:
        return
    try:
        difference = queued.run("Answering for the golden examples", model.verify)
    except cnnapp.CnnAppError as error:
        st.error(str(error), icon=":material/error:")
        return
    told = (
        f"{len(files)} files have the hashes that are listed. The golden examples give what they gave at export: the "
        f"largest difference is {difference:.3g}."
    )
    if left := doubts(directory):
        st.warning(f"Not verified. {told} {' '.join(map(plain, left))}", icon=":material/warning:")
    else:
        st.success(told, icon=":material/verified:")
