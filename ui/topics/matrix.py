"""A convolution as the matrix that it is."""

from __future__ import annotations

import numpy as np
import streamlit as st

from cnnapp.playground import matrices
from cnnapp.playground.grids import draw_grid, number
from layers.core.geometry import PADDING_MODES, PADDINGS
from pipelines.core.percent import percent
from ui.topics import cell, figure, number_grid

__all__ = ["show"]

_KERNELS = {
    1: {2: [[1, -1]], 3: [[1, 2, -1]], 4: [[1, 2, -1, -2]], 5: [[1, 2, 3, -1, -2]]},
    2: {2: [[1, 2], [-1, -2]], 3: [[1, 2, 1], [0, 3, 0], [-1, -2, -1]]},
}


def show() -> None:
    """Choose a small convolution; see its matrix, and the same answer by both."""
    st.markdown(
        "Every output of a convolution is a weighted sum of inputs, so a convolution is a matrix. Most of its entries "
        "are 0, and the others repeat themselves; that is all that tells it from a dense layer."
    )
    kernel, sizes = _choose_kernel()
    left, right = st.columns(2)
    kind = left.segmented_control("Kernels", matrices.KINDS, default="plain", required=True)
    tile_shape = right.slider("Tile: kernels that take turns", 1, 4, 2, disabled=kind != "tiled")
    left, right = st.columns(2)
    strides = left.slider("Stride", 1, 3, 1)
    dilation_rate = right.slider("Dilation", 1, 3, 1)
    left, right = st.columns(2)
    padding = left.selectbox("Padding", PADDINGS)
    padding_mode = right.selectbox("Padding holds", PADDING_MODES)
    flip_kernel = st.toggle("Flip the kernel", help="Convolution proper, in place of cross-correlation.")
    found = matrices.matrix_product(
        kernel,
        sizes,
        kind=kind,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        dilation_rate=dilation_rate,
        tile_shape=tile_shape,
        flip_kernel=flip_kernel,
    )
    _show_matrix(found, kind)
    st.caption(
        "Goodfellow, Bengio and Courville, 2016, Deep Learning, section 9.1 (Toeplitz and doubly block circulant "
        "matrices). Dumoulin and Visin, 2016, A guide to convolution arithmetic for deep learning, section 4.1."
    )


def _choose_kernel() -> tuple[np.ndarray, tuple[int, ...]]:
    left, right = st.columns(2)
    rank = left.segmented_control(
        "Input", (1, 2), default=1, format_func=lambda n: f"{n} {'axis' if n == 1 else 'axes'}", required=True
    )
    size = right.slider("Input size", 2, 12 if rank == 1 else 6, 8 if rank == 1 else 5)
    left, right = st.columns(2)
    lengths = list(_KERNELS[rank])
    length = left.segmented_control("Kernel size", lengths, default=3, required=True, key=f"length-{rank}")
    start = np.array(_KERNELS[rank][length], float)
    with right:
        st.markdown("Kernel, to be changed:")
        kernel = number_grid.edit(start, f"matrix-{rank}-{length}", 99)
    return (kernel[0], (size,)) if rank == 1 else (kernel, (size, size))


def _show_matrix(found: matrices.MatrixProduct, kind: str) -> None:
    outputs, inputs = found.matrix.shape
    st.subheader(f"A matrix of {outputs} x {inputs}")
    row, _ = cell.choose("Row: output", outputs)
    figure.show(
        matrices.draw_matrix(found, row),
        "rows are outputs, columns are inputs; red is above 0, blue below; one row is outlined",
    )
    with st.container(horizontal=True):
        st.metric("Weights", f"{found.weights:,}", help=f"Numbers that the {kind} convolution keeps.")
        st.metric("Entries with a weight", percent(found.share, 1), help=f"{found.joined:,} of {found.matrix.size:,}.")
        st.metric("Largest difference", number(found.difference), help="Of the matrix' answer from the layer's.")
    st.markdown(found.structure())
    if kind != "plain":
        st.markdown("Kernel number q is q times the kernel above, so that the numbers say which one is used.")
    figure.show(draw_grid(found.input_grid()), "the input")
    st.markdown(
        f"Row {row + 1} times the input: {found.written(row)}. The layer says **{number(found.layer_output[row])}**."
    )
    rows = [
        {"output": j + 1, "matrix times input": float(a), "layer": float(b), "difference": float(a - b)}
        for j, (a, b) in enumerate(zip(found.product, found.layer_output, strict=True))
    ]
    st.dataframe(rows, hide_index=True, width="stretch")
