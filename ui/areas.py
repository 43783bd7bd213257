"""The part of the page that shows segmentation: classes over the image, how sure they are, and their areas."""

from __future__ import annotations

import streamlit as st

import cnnapp

__all__ = ["choices", "show"]

_LARGEST = 2048
"""The longest side of what is sent to the browser, in pixels; the mask is offered whole."""


def choices(model: cnnapp.Predictor) -> tuple[float, list[int]]:
    """Ask how opaque the colours are, and which classes are shown; return opacity and class ids."""
    names = model.card.classes
    opacity = st.slider("Opacity", 0.0, 1.0, 0.55, 0.05, help="Of the classes' colours over the image.")
    usual = [i for i, name in enumerate(names) if not (i == 0 and name.lower() == "background")]
    shown = st.multiselect(
        "Classes", range(len(names)), usual, format_func=names.__getitem__, help="Those that are coloured."
    )
    return opacity, shown


def show(answer: cnnapp.Segmentation, image: bytes, opacity: float, shown: list[int]) -> None:
    """Show an image with its classes over it, beside how sure they are, the areas, and the mask as a file."""
    with st.container(border=True):
        left, right = st.columns(2)
        overlay = answer.draw(image, opacity, shown, legend=False, largest=_LARGEST)
        left.image(overlay, caption=answer.source, width="stretch")
        grey = answer.draw_confidence(largest=_LARGEST)
        right.image(grey, caption="confidence: dark is unsure, bright is sure", width="stretch")
        rows = [{"class": name, "pixels": pixels, "share": f"{share:.2%}"} for name, pixels, share in answer.areas()]
        st.dataframe(rows, hide_index=True, width="stretch")
        st.download_button(
            "Download the mask",
            answer.mask_png(),
            f"{answer.source}.mask.png",
            "image/png",
            key=f"mask-{answer.source}",
            help="A palette PNG: the value of a pixel is the index of its class.",
        )
