"""Pooling: the largest, the mean, and norms of windows, in numbers and on an image."""

from __future__ import annotations

import math

import numpy as np
import streamlit as st

from cnnapp.playground.grids import draw_grid, number, only
from cnnapp.playground.pictures import draw_levels
from cnnapp.playground.pooling import KINDS, Pooling
from ui.topics import cell, figure, number_grid, own_image

__all__ = ["show"]

_NUMBERS = np.array(
    [
        [1, 3, 2, 0, 5, 1],
        [4, 6, 1, 2, 0, 3],
        [0, 2, 9, 4, 1, 1],
        [5, 1, 3, 7, 2, 0],
        [2, 0, 1, 3, 8, 4],
        [1, 2, 0, 6, 3, 5],
    ],
    float,
)
_EXPONENTS = ("1", "1.5", "2", "3", "4", "6", "8", "16", "∞")


def show() -> None:
    """Choose windows; see four kinds of pooling of a grid of numbers and of an image."""
    st.markdown(
        "Pooling puts one number in the place of a window of them: the largest, the mean, or a norm. A norm of a small "
        "p is near a sum; the larger p, the nearer it is to the largest. Small shifts of the input then change little."
    )
    left, right = st.columns(2)
    pool_size = left.slider("Window", 1, 6, 3)
    strides = right.slider("Stride", 1, 6, 3)
    left, right = st.columns(2)
    padding = left.segmented_control("Padding", ("valid", "same"), default="valid", required=True)
    exponent = right.select_slider("p of the Lp norm", _EXPONENTS, "3")
    text = "The mean of the powers in place of their sum, so that a window of equal numbers gives that number."
    mean = st.toggle("Norms of the mean", True, help=text)
    p = math.inf if exponent == "∞" else float(exponent)
    poolings = {kind: Pooling(kind, pool_size, strides, padding, p, mean) for kind in KINDS}
    labels = {"Lp": f"Lp, p = {exponent}"}
    st.subheader("In numbers")
    _show_numbers(poolings, labels)
    st.subheader("On an image")
    image = own_image.choose()
    figure.show(draw_levels(image), f"before: {image.shape[0]} x {image.shape[1]} pixels")
    places = st.columns(2) + st.columns(2)
    for place, (kind, pooling) in zip(places, poolings.items(), strict=True):
        pooled = pooling(image)
        said = f"{labels.get(kind, kind)}: {pooled.shape[0]} x {pooled.shape[1]}, up to {number(pooled.max())}"
        figure.show(draw_levels(pooled, fit=True), said, place, stretch=True)
    st.caption(
        "Goodfellow, Bengio and Courville, 2016, Deep Learning, section 9.3. Dumoulin and Visin, 2016, A guide to "
        "convolution arithmetic for deep learning, section 3."
    )


def _show_numbers(poolings: dict[str, Pooling], labels: dict[str, str]) -> None:
    with st.expander("Change the numbers", icon=":material/edit:"):
        values = number_grid.edit(_NUMBERS, "numbers", 99)
    answers = {kind: pooling(values) for kind, pooling in poolings.items()}
    rows, columns = answers["max"].shape
    row, column_ = cell.choose("Output", rows, columns)
    window = poolings["max"].window(values, row, column_)
    figure.show(
        draw_grid(values, chosen=window, outlined=window), "the numbers; orange ones are pooled for this output"
    )
    chosen = only(rows, columns, row, column_)
    places = st.columns(2) + st.columns(2)
    for place, (kind, pooling) in zip(places, poolings.items(), strict=True):
        drawn = draw_grid(answers[kind], chosen=chosen, outlined=chosen)
        figure.show(drawn, labels.get(kind, kind), place)
        place.markdown(f"`{pooling.arithmetic(values, row, column_)}`")
