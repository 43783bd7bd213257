"""The part of the page that shows classifications: the likeliest classes, with their scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st
from PIL import Image

import cnnapp
from cnnapp.results.classification import ClassDifference
from pipelines.artifacts.model_card import ModelCard
from pipelines.core.percent import percent
from ui.components import image_picker
from ui.components.panel import Look, Panel

__all__ = ["ClassPanel"]

_MOST_CLASSES = 20


class ClassPanel(Panel):
    """One class for each image."""

    decision = "The scores are those of the image. Coloured is what changes the class through this unit alone."

    def caption(self, card: ModelCard) -> str:
        """Return the description, and the classes."""
        names = card.classes
        return f"{card.description} Classes: {', '.join(names[:_MOST_CLASSES])}{' …' if names[_MOST_CLASSES:] else ''}"

    def show(self, model: cnnapp.Predictor, answer: cnnapp.Classification, image: bytes, look: Look) -> None:
        """Show the image beside its likeliest classes."""
        left, right = st.columns([1, 2], vertical_alignment="center")
        left.image(self.drawn(answer, image, look)[0], caption=answer.source, width="stretch", alt=str(answer))
        right.subheader(f"{answer.class_name} · {percent(answer.score, 1)}")
        _bars(right, answer, 5)

    def pictures(self, answer: cnnapp.Classification, image: bytes, look: Look) -> tuple[bytes, ...]:
        """Return the image alone: its classes are beside it."""
        return (image_picker.draw_picture(image),)

    def draw(self, answer: cnnapp.Classification, image: bytes, look: Look) -> Image.Image:
        """Return the image with bars for its likeliest classes beside it."""
        return answer.draw(image)

    def columns(self, header: Sequence[str]) -> list[int]:
        """Of the many columns of scores, show none but that of the class."""
        return [0, 1, 2, len(header) - 1]

    def compare(self, difference: ClassDifference, image: bytes, names: tuple[str, str]) -> None:
        """Show the likeliest classes of both models beside the image."""
        left, middle, right = st.columns(3, vertical_alignment="center")
        left.image(image_picker.picture(image), caption=difference.source, width="stretch", alt=difference.source)
        answers = difference.first, difference.second
        for column, name, answer in zip((middle, right), names, answers, strict=True):
            column.caption(name)
            column.markdown(f"**{answer.class_name} · {percent(answer.score, 1)}**")
            _bars(column, answer, 3)


def _bars(place: Any, answer: cnnapp.Classification, count: int) -> None:
    for name, score in answer.top(count):
        place.progress(score, f"{name}  {percent(score, 1)}")
