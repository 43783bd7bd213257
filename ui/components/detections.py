"""The part of the page that shows detections: boxes, and the confidence map behind them."""

from __future__ import annotations

import hashlib
from functools import partial

import streamlit as st
from PIL import Image

import cnnapp
from cnnapp.prediction.score_maps import draw_score_map
from cnnapp.reports.comparison_plots import only_alone
from cnnapp.results.detections import ObjectDifference
from pipelines.images import image_io
from ui.components import queued
from ui.components.panel import Look, Panel, drawing

__all__ = ["ObjectPanel"]


class ObjectPanel(Panel):
    """Boxes around objects."""

    opacity = ("Box", 1.0)
    evidence = "Confidence map"
    decision = "A window's scores do not add up to 1: each class is judged alone. Low scores mean background."

    def show(self, model: cnnapp.Predictor, answer: cnnapp.Detections, image: bytes, look: Look) -> None:
        """Show an image with its boxes, their number, and on request a class's confidence all over the image."""
        (drawn,) = self.drawn(answer, image, look)
        st.image(drawn, caption=answer.source, width="stretch", alt=str(answer))
        counts = answer.counts()
        st.subheader(", ".join(f"{count} × {name}" for name, count in counts.items()) or "nothing found")
        chosen = st.selectbox(
            "Show confidence map for",
            answer.class_names,
            index=None,
            placeholder="choose a class",
            key=f"map-{answer.source}",
            help="How sure the model is of a class in every window, before overlapping boxes are dropped.",
        )
        if chosen is not None:
            drawn = self._confidence(model, image, list(answer.class_names).index(chosen))
            text = f"confidence for {chosen} at every window: dark is 0, bright is 1"
            st.image(drawn, caption=text, width="stretch", alt=f"{answer.source}: {text}")

    def _confidence(self, model: cnnapp.Predictor, image: bytes, class_id: int) -> Image.Image:
        """Return the confidence map of a class, once it is the session's turn where that is heavy work."""
        key = ("confidence", str(model.served.directory), hashlib.sha256(image).hexdigest(), class_id)
        what = "Computing the confidence map"

        def draw() -> Image.Image:
            return draw_score_map(model, image_io.open_rgb(image), class_id)

        return queued.kept(key, what, draw, queued.is_light(image, most=queued.SMALL), queued.DRAWING)

    def draw(self, answer: cnnapp.Detections, image: bytes, look: Look) -> Image.Image:
        """Return the image with its boxes."""
        return answer.draw(image, shown=look.shown, opacity=look.opacity)

    def compare(self, difference: ObjectDifference, image: bytes, names: tuple[str, str]) -> None:
        """Draw the boxes that only one of the two found."""
        st.caption(f"{len(difference.both)} found by both; boxes are drawn of what only one found.")
        for column, name, is_second in zip(st.columns(2), names, (False, True), strict=True):
            alone = only_alone(difference, is_second)
            found = ", ".join(f"{count} × {each}" for each, count in alone.counts().items()) or "nothing"
            text = f"only {name}: {found}"
            column.image(
                drawing(image, partial(alone.draw, image)),
                caption=text,
                width="stretch",
                alt=f"{difference.source}, {text}",
            )
