"""The part of the page that shows detections: boxes, and the score map behind them."""

from __future__ import annotations

import streamlit as st

import cnnapp
from cnnapp.prediction.score_maps import draw_score_map
from pipelines.images import image_io

__all__ = ["show", "thresholds"]


def thresholds(model: cnnapp.Predictor) -> dict[str, float]:
    """Ask for the smallest score and the largest overlap, beginning with the model's own."""
    options, name = model.card.input["options"], f"{model.card.name}/{model.card.version}"
    left, right = st.columns(2)
    score = left.slider(
        "Smallest score",
        0.0,
        1.0,
        float(options["score_threshold"]),
        0.01,
        key=f"score {name}",
        help="Lower finds more, also what is none.",
        persist_state="session",
    )
    overlap = right.slider(
        "Largest overlap",
        0.0,
        1.0,
        float(options["overlap_threshold"]),
        0.01,
        key=f"overlap {name}",
        help="Intersection over union of two boxes of a class; of boxes that share more, the one with the higher score "
        "is kept.",
        persist_state="session",
    )
    return {"score_threshold": max(score, 0.01), "overlap_threshold": overlap}


def show(model: cnnapp.Predictor, answer: cnnapp.Detections, image: bytes, opacity: float, shown: list[int]) -> None:
    """Show an image with its boxes, the list of them, and on request a class's scores all over the image."""
    st.image(answer.draw(image, shown=shown, opacity=opacity), caption=answer.source, width="stretch", alt=str(answer))
    counts = answer.counts()
    st.subheader(", ".join(f"{count} × {name}" for name, count in counts.items()) or "nothing found")
    chosen = st.selectbox(
        "Score map",
        answer.class_names,
        index=None,
        placeholder="of a class …",
        key=f"map-{answer.source}",
        help="How sure the model is of a class in every window, before boxes that overlap are dropped.",
    )
    if chosen is not None:
        drawn = draw_score_map(model, image_io.open_rgb(image), list(answer.class_names).index(chosen))
        text = f"score of {chosen} at every window: dark is 0, bright is 1"
        st.image(drawn, caption=text, width="stretch", alt=f"{answer.source}: {text}")
