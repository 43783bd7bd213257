"""All answers at once: as a table, and as files, each of which is made when it is asked for."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st
from PIL import Image

import cnnapp
from cnnapp.results import writers
from cnnapp.results.answer import Answer
from ui.components import queued
from ui.components.panel import Look, Panel

__all__ = ["files", "table"]

_TITLES = {"source": "Image", "class_name": "Class"}
"""What columns are called on the page; others by their own names."""


def table(answers: list[Answer], failures: list[dict[str, str]], model: cnnapp.Predictor, panel: Panel) -> None:
    """Show answers as a table."""
    rows = writers.to_rows(answers, failures, model.card.classes, model.card.task)
    kept = [index for index in panel.columns(rows[0]) if failures or index < len(rows[0]) - 1]
    titles = {index: _TITLES.get(rows[0][index], rows[0][index].capitalize()) for index in kept}
    shown = [{title: row[index] for index, title in titles.items()} for row in rows[1:]]
    st.dataframe(shown, hide_index=True, width="stretch")


def files(
    answers: list[Answer],
    failures: list[dict[str, str]],
    model: cnnapp.Predictor,
    panel: Panel,
    images: dict[str, bytes],
    look: Look,
) -> None:
    """Offer answers as files."""
    card, kind = model.card, model.answer_type
    light = queued.is_light(*images.values())
    with st.container(horizontal=True):
        _button("CSV", partial(writers.csv_text, answers, failures, card), "answers.csv", "text/csv")
        _button("JSON", partial(writers.json_text, answers, failures, card), "answers.json", "application/json")
        if kind.coco:
            help_text = "COCO's results format, as its evaluation tools read it."
            _button("COCO", partial(writers.coco_text, answers), "coco.json", "application/json", help_text)
        if kind.masks:
            help_text = "A zip of palette PNGs: the value of a pixel is the index of its class."
            _button(
                "masks",
                queued.later(partial(writers.masks_zip, answers), light),
                "masks.zip",
                "application/zip",
                help_text,
            )

        def draw(answer: Answer) -> Image.Image:
            return panel.draw(answer, images[answer.source], look)

        help_text = "A zip of the pictures, drawn as they are shown here."
        made = queued.later(partial(writers.pictures_zip, answers, draw), light)
        _button("pictures", made, "pictures.zip", "application/zip", help_text)


def _button(what: str, made: Any, name: str, kind: str, help_text: str | None = None) -> None:
    st.download_button(
        f"Download {what}", made, name, kind, icon=":material/download:", on_click="ignore", help=help_text
    )
