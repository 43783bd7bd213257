"""The part of the page that shows segmentation: classes over the image, how sure they are, and their areas."""

from __future__ import annotations

from functools import partial

import streamlit as st
from PIL import Image, ImageOps

import cnnapp
from cnnapp.reports.comparison_plots import draw_pixels
from cnnapp.results.segmentation import PixelDifference
from pipelines.core.percent import percent
from ui.components import class_switches, queued
from ui.components.panel import Look, Panel, drawing

__all__ = ["PixelPanel"]

_LARGEST = 1280
"""The longest side of what is sent to the browser, in pixels, so that sliders are quick; the mask is offered whole."""
_LARGEST_FILE = 2048
"""The same of pictures in files."""


class PixelPanel(Panel):
    """A class for every pixel."""

    opacity = ("Mask", 0.55)
    evidence = "Confidence map"
    decision = "The probabilities of all classes at this pixel. Coloured is what would change them most."

    def show(self, model: cnnapp.Predictor, answer: cnnapp.Segmentation, image: bytes, look: Look) -> None:
        """Show an image with its classes over it, beside how sure they are, the areas, and the mask as a file."""
        left, right = st.columns(2)
        overlay, grey = self.drawn(answer, image, look)
        left.image(overlay, caption=answer.source, width="stretch", alt=str(answer))
        text = "confidence: dark is unsure, bright is sure"
        right.image(grey, caption=text, width="stretch", alt=f"{answer.source}: {text}")
        names = list(answer.class_names)
        class_switches.legend(names, [(names.index(name), percent(share, 1)) for name, _, share in answer.areas()])
        st.download_button(
            "Download the mask",
            queued.later(answer.mask_png, queued.is_light(image)),
            f"{answer.source}.mask.png",
            "image/png",
            key=f"mask-{answer.source}",
            on_click="ignore",
            help="A palette PNG: the value of a pixel is the index of its class.",
        )

    def pictures(self, answer: cnnapp.Segmentation, image: bytes, look: Look) -> tuple[Image.Image, ...]:
        """Return the image with its classes over it, and how sure they are."""
        overlay = answer.draw(image, look.opacity, look.shown, legend=False, largest=_LARGEST)
        # With a frame: where all is sure it is white, as the page may be.
        return overlay, ImageOps.expand(answer.draw_confidence(largest=_LARGEST), 2, 170)

    def draw(self, answer: cnnapp.Segmentation, image: bytes, look: Look) -> Image.Image:
        """Return the image with its classes over it, and a legend."""
        return answer.draw(image, look.opacity, look.shown, largest=_LARGEST_FILE)

    def compare(self, difference: PixelDifference, image: bytes, names: tuple[str, str]) -> None:
        """Show the classes of both models, and the pixels that differ."""
        columns = st.columns(3)
        answers = difference.first, difference.second
        for column, name, answer in zip(columns, names, answers, strict=False):
            drawn = drawing(image, partial(answer.draw, image, legend=False, largest=_LARGEST))
            column.image(drawn, caption=name, width="stretch", alt=f"{name}: {answer}")
        text = f"{percent(difference.amount)} of the pixels differ"
        marked = drawing(image, partial(draw_pixels, difference, image))
        columns[2].image(marked, caption=f"{text}, in orange", width="stretch", alt=text)
        same = answers[0].class_names == answers[1].class_names
        for pair in [answers] if same else [answers[:1], answers[1:]]:
            classes = list(pair[0].class_names)
            present = sorted({classes.index(name) for answer in pair for name, _, _ in answer.areas()})
            class_switches.legend(classes, [(class_id, "") for class_id in present])
        if difference.pairs:
            worst = "; ".join(f"{one} → {other}: {count:,} pixels" for one, other, count in difference.pairs[:5])
            st.caption(f"{names[0]} → {names[1]}: {worst}")
