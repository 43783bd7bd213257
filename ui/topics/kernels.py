"""Hand-designed kernels on one's own image, and the numbers behind one pixel."""

from __future__ import annotations

import numpy as np
import streamlit as st

from cnnapp.playground import colours, kernels
from cnnapp.playground.grids import draw_grid, number
from cnnapp.playground.pictures import draw_levels, draw_signed
from ui.topics import cell, figure, number_grid, own_image

__all__ = ["show"]

_STATE = "kernel at hand"


def show() -> None:
    """Choose an image and a kernel, see both pictures, and the sum behind a pixel."""
    st.markdown(
        "A kernel is a small grid of numbers. It is laid on every pixel in turn; the numbers below it are multiplied "
        "by its own, and their sum is the new pixel. People designed such kernels long before networks learned them."
    )
    image = own_image.choose()
    weights, flip_kernel = _choose_kernel()
    answer = kernels.filtered(image, weights, flip_kernel)
    st.subheader("The sum behind one pixel")
    row, column = cell.choose("Pixel", *image.shape)
    pixel = kernels.pixel_sum(image, weights, row, column, flip_kernel)
    _show_pictures(image, answer, weights, pixel, row, column)
    _show_sum(pixel, float(answer[row, column]))
    st.caption(
        "Goodfellow, Bengio and Courville, 2016, Deep Learning, section 9.1 (the operation, with and without the "
        "kernel turned round), section 9.2 (edges), section 9.9 (kernels designed by hand)."
    )


def _choose_kernel() -> tuple[np.ndarray, bool]:
    left, right = st.columns(2)
    name = left.selectbox("Kernel", kernels.NAMES, index=kernels.NAMES.index("sobel_x"))
    sizes = kernels.sizes_for(name)
    size = right.segmented_control("Size", sizes, default=sizes[0], format_func=lambda n: f"{n} x {n}", required=True)
    kept = st.session_state.get(_STATE, {"version": 0, "of": None})
    if kept["of"] != (name, size):
        kept = {"version": kept["version"] + 1, "of": (name, size), "weights": kernels.kernel(name, size)}
        st.session_state[_STATE] = kept
    weights = number_grid.edit(kept["weights"], f"kernel-{kept['version']}", 1000)
    st.caption(
        f"Click a number, or reach it with Tab and the arrow keys, and type. They add up to {number(weights.sum())}."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Normalise", help="Divides by the sum; where that is 0, by the sum of what is above 0."):
            again = {"version": kept["version"] + 1, "of": (name, size), "weights": kernels.normalised(weights)}
            st.session_state[_STATE] = again
            st.rerun()
        if st.button("Reset", help="Restores the kernel."):
            st.session_state[_STATE] = {"version": kept["version"] + 1, "of": None}
            st.rerun()
        text = "Convolution proper; what networks compute, and is shown otherwise, is cross-correlation."
        flip_kernel = st.toggle("Flip the kernel", help=text)
    return weights, flip_kernel


def _show_pictures(
    image: np.ndarray, answer: np.ndarray, weights: np.ndarray, pixel: kernels.PixelSum, row: int, column: int
) -> None:
    left, right = st.columns(2)
    figure.show(draw_levels(image, [pixel.box]), "before; the kernel lies on the box", left, stretch=True)
    span = f"from {number(answer.min())} to {number(answer.max())}"
    place = [(row, column, row + 1, column + 1)]
    if kernels.adds_to_zero(weights):
        text = f"after: {span}; blue is below 0, red above"
        figure.show(draw_signed(answer, place), text, right, stretch=True)
    else:
        text = f"after: {span}; 0 and less is black, 255 and more is white"
        figure.show(draw_levels(answer, place), text, right, stretch=True)


def _show_sum(pixel: kernels.PixelSum, shown: float) -> None:
    parts = st.columns(3) if len(pixel.weights) == 3 else st.columns(2) * 2
    figure.show(draw_grid(pixel.patch, fills=colours.grey(pixel.patch)), "pixels below the kernel", parts[0])
    figure.show(draw_grid(pixel.weights, fills=colours.signed(pixel.weights)), "times the kernel", parts[1])
    figure.show(draw_grid(pixel.products, fills=colours.signed(pixel.products)), "gives these", parts[2])
    st.markdown(f"Their sum: {pixel.written()}. The layer says **{number(shown)}**.")
