"""All answers at once: as a table, and as files, each of which is made when it is asked for."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st
from PIL import Image

from cnnapp.results import writers
from cnnapp.results.answer import Answer
from cnnapp.results.classification import Classification
from cnnapp.results.detections import Detections, Segmentation
from cnnapp.results.writers import to_rows
from pipelines.artifacts.model_card import ModelCard

__all__ = ["files", "table"]

_LARGEST = 2048
"""The longest side of pictures of areas, in pixels."""


def table(answers: list[Answer], failures: list[dict[str, str]], card: ModelCard) -> None:
    """Show answers as a table."""
    rows = to_rows(answers, failures, card.classes, card.task)
    # Of a classifier's many columns of scores the table shows none; the file has them.
    kept = [0, 1, 2, -1] if card.task == "classification" else list(range(len(rows[0])))
    if not failures:
        kept.remove(-1 if card.task == "classification" else len(rows[0]) - 1)
    shown = [{rows[0][index]: row[index] for index in kept} for row in rows[1:]]
    st.dataframe(shown, hide_index=True, width="stretch")


def files(
    answers: list[Answer],
    failures: list[dict[str, str]],
    card: ModelCard,
    images: dict[str, bytes],
    look: tuple[float, list[int]],
) -> None:
    """Offer answers as files."""
    no_classes = [answer for answer in answers if not isinstance(answer, Classification)]
    masks = [answer for answer in answers if isinstance(answer, Segmentation)]
    with st.container(horizontal=True):
        _button("CSV", partial(writers.csv_text, answers, failures, card), "answers.csv", "text/csv")
        _button("JSON", partial(writers.json_text, answers, failures, card), "answers.json", "application/json")
        if card.task != "classification":
            help_text = "COCO's results format, as its evaluation tools read it."
            _button("COCO", partial(writers.coco_text, no_classes), "coco.json", "application/json", help_text)
        if card.task == "segmentation":
            help_text = "A zip of palette PNGs: the value of a pixel is the index of its class."
            _button("masks", partial(writers.masks_zip, masks), "masks.zip", "application/zip", help_text)
        draw = partial(_draw, images=images, look=look)
        help_text = "A zip of the pictures, drawn as they are shown here."
        _button("pictures", partial(writers.pictures_zip, answers, draw), "pictures.zip", "application/zip",
                help_text)  # fmt: skip


def _button(what: str, made: Any, name: str, kind: str, help_text: str | None = None) -> None:
    st.download_button(
        f"Download {what}", made, name, kind, icon=":material/download:", on_click="ignore", help=help_text
    )


def _draw(answer: Answer, images: dict[str, bytes], look: tuple[float, list[int]]) -> Image.Image:
    opacity, shown = look
    image = images[answer.source]
    if isinstance(answer, Classification):
        return answer.draw(image)
    if isinstance(answer, Detections):
        return answer.draw(image, shown=shown, opacity=opacity)
    assert isinstance(answer, Segmentation)
    return answer.draw(image, opacity, shown, largest=_LARGEST)
