"""Shift the image: does the answer move along?"""

from __future__ import annotations

import numpy as np
import streamlit as st
from PIL import Image

from cnnapp.playground import shifts
from cnnapp.playground.grids import number
from cnnapp.playground.pictures import draw_levels, draw_signed
from pipelines.core.percent import percent
from ui.topics import figure, own_image

__all__ = ["show"]

_SAID = {
    "plain": "plain convolution",
    "strided": "convolution with a stride",
    "tiled": "tiled convolution",
    "unshared": "unshared convolution",
    "pooling": "max pooling",
}


def show() -> None:
    """Choose a layer and a shift; see whether shifting before and after it is the same."""
    st.markdown(
        "A layer is equivariant to shifts if it does not matter whether the image is shifted before it or its answer "
        "after it. Sharing one kernel gives that to convolution; strides, tiles and kernels of their own take it away, "
        "partly or wholly, and so does the border."
    )
    image = own_image.choose()
    left, right = st.columns(2)
    kind = left.selectbox("Layer", shifts.KINDS, format_func=_SAID.__getitem__)
    wrap = right.segmented_control(
        "What comes in at the border", (False, True), default=False, required=True,
        format_func=lambda wrap: "the other side" if wrap else "zeros",
    )  # fmt: skip
    left, right = st.columns(2)
    columns = left.slider("Shift to the right", -8, 8, 3)
    rows = right.slider("Shift downwards", -8, 8, 2)
    strides = tile_shape = 2
    if kind in ("strided", "pooling"):
        strides = st.slider("Stride" if kind == "strided" else "Window and stride", 2, 4, 2)
    elif kind == "tiled":
        tile_shape = st.slider("Tile: kernels that take turns", 1, 4, 2)
    found = shifts.shift_test(image, kind, rows, columns, strides=strides, tile_shape=tile_shape, wrap=wrap)
    _show_verdict(found)
    _show_pictures(image, found, kind)
    st.caption(
        "Goodfellow, Bengio and Courville, 2016, Deep Learning, section 9.2 (equivariance) and section 9.3 (pooling "
        "and invariance). The kernels are whole numbers, so what is equal is equal exactly."
    )


def _show_verdict(found: shifts.ShiftTest) -> None:
    inside, border = found.largest(border=False), found.largest(border=True)
    left, right = st.columns(2)
    left.metric("Largest difference inside", "no such output" if inside is None else number(inside))
    right.metric("Largest difference at the border", "no such output" if border is None else number(border))
    if inside:
        st.warning(f"Equivariance breaks. {found.reason}", icon=":material/close:")
    elif border:
        text = "At the border it breaks: windows there hold padding, or what the shift brought in."
        st.success(f"Equivariance holds inside. {found.reason} {text}", icon=":material/check:")
    else:
        st.success(f"Equivariance holds everywhere. {found.reason}", icon=":material/check:")


def _show_pictures(image: np.ndarray, found: shifts.ShiftTest, kind: str) -> None:
    first, second = st.columns(2)
    figure.show(draw_levels(image), "the image", first, stretch=True)
    figure.show(draw_levels(found.shifted), "the image, shifted", second, stretch=True)
    moved = f"{found.moved[1]} to the right and {found.moved[0]} down"

    def draw(values: np.ndarray) -> Image.Image:
        return draw_levels(values) if kind == "pooling" else draw_signed(values, limit=found.limit)

    first, second = st.columns(2)
    figure.show(draw(found.of_shifted), "first the shift, then the layer", first, stretch=True)
    figure.show(draw(found.answer_shifted), f"first the layer, then the shift: {moved}", second, stretch=True)
    figure.show(
        draw_signed(found.difference, limit=found.limit),
        f"the difference, in the same colours; {percent(found.interior.mean(), 0)} of the outputs are inside",
    )
