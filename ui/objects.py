"""The part of the page that shows detections: boxes, and the score map behind them."""

from __future__ import annotations

import streamlit as st

import cnnapp
from cnnapp.score_maps import draw_score_map
from pipelines import intake

__all__ = ["show", "thresholds"]


def thresholds(model: cnnapp.Predictor) -> dict[str, float]:
    """Ask for the smallest score and the largest overlap, beginning with the model's own."""
    options = model.card.input["options"]
    left, right = st.columns(2)
    score = left.slider(
        "Smallest score", 0.0, 1.0, float(options["score_threshold"]), 0.01, help="Lower finds more, also what is none."
    )
    overlap = right.slider(
        "Largest overlap",
        0.0,
        1.0,
        float(options["overlap_threshold"]),
        0.01,
        help="Intersection over union of two boxes of a class; of boxes that share more, the one with the higher score "
        "is kept.",
    )
    return {"score_threshold": max(score, 0.01), "overlap_threshold": overlap}


def show(model: cnnapp.Predictor, answer: cnnapp.Detections, image: bytes) -> None:
    """Show an image with its boxes, the list of them, and on request a class's scores all over the image."""
    with st.container(border=True):
        st.image(answer.draw(image), caption=str(answer).split(": ")[0], width="stretch")
        counts = dict.fromkeys(answer.class_names, 0)
        for each in answer:
            counts[each.class_name] += 1
        found = ", ".join(f"{count} × {name}" for name, count in counts.items() if count)
        st.subheader(found or "nothing found")
        chosen = st.selectbox(
            "Score map",
            answer.class_names,
            index=None,
            placeholder="of a class …",
            key=f"map-{answer.source}",
            help="How sure the model is of a class in every window, before boxes that overlap are dropped.",
        )
        if chosen is not None:
            picture = draw_score_map(model, intake.open_rgb(image), list(answer.class_names).index(chosen))
            st.image(picture, caption=f"score of {chosen} at every window: dark is 0, bright is 1", width="stretch")
