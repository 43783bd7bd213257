"""The part of the page that shows segmentation: classes over the image, how sure they are, and their areas."""

from __future__ import annotations

import streamlit as st
from PIL import ImageOps

import cnnapp
from ui.components import class_switches

__all__ = ["LARGEST", "show"]

LARGEST = 1280
"""The longest side of what is sent to the browser, in pixels, so that sliders are quick; the mask is offered whole."""


def show(answer: cnnapp.Segmentation, image: bytes, opacity: float, shown: list[int]) -> None:
    """Show an image with its classes over it, beside how sure they are, the areas, and the mask as a file."""
    left, right = st.columns(2)
    overlay = answer.draw(image, opacity, shown, legend=False, largest=LARGEST)
    left.image(overlay, caption=answer.source, width="stretch", alt=str(answer))
    # With a frame: where all is sure it is white, as the page may be.
    grey = ImageOps.expand(answer.draw_confidence(largest=LARGEST), 2, 170)
    text = "confidence: dark is unsure, bright is sure"
    right.image(grey, caption=text, width="stretch", alt=f"{answer.source}: {text}")
    names = list(answer.class_names)
    class_switches.legend(names, [(names.index(name), f"{share:.1%}") for name, _, share in answer.areas()])
    st.download_button(
        "Download the mask",
        answer.mask_png,
        f"{answer.source}.mask.png",
        "image/png",
        key=f"mask-{answer.source}",
        on_click="ignore",
        help="A palette PNG: the value of a pixel is the index of its class.",
    )
