"""Stride, padding and dilation: which cells are read, and the arithmetic of sizes."""

from __future__ import annotations

import streamlit as st

from cnnapp.playground import stacks
from cnnapp.playground.grids import READABLE, draw_grid, only
from cnnapp.playground.windows import Windows, windows
from layers.core.geometry import PADDING_MODES, PADDINGS
from ui.topics import cell, figure

__all__ = ["show"]


def show() -> None:
    """Choose a window, see what it reads, how large the output is, and what a stack of such layers sees."""
    st.markdown(
        "The stride says how far the window moves from one output to the next, the dilation how far apart the cells "
        "are that it reads, and padding lets it reach beyond the border. Together they say how large the output is."
    )
    left, right = st.columns(2)
    size = left.slider("Input size", 1, 12, 6)
    kernel_size = right.slider("Kernel size", 1, 7, 3)
    left, right = st.columns(2)
    strides = left.slider("Stride", 1, 4, 2)
    dilation_rate = right.slider("Dilation", 1, 3, 1)
    left, right = st.columns(2)
    named = left.selectbox("Padding", (*PADDINGS, "numbers"), index=1)
    text = "What the padding holds: zeros, or cells of the input again."
    padding_mode = right.selectbox("Padding holds", PADDING_MODES, help=text)
    padding: str | tuple[int, int] = named
    if named == "numbers":
        left, right = st.columns(2)
        padding = (left.slider("Padding before", 0, 6, 1), right.slider("Padding after", 0, 6, 1))
    found = windows(
        size,
        kernel_size,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        dilation_rate=dilation_rate,
    )
    _show_arithmetic(found)
    _show_grids(found)
    _show_growth(kernel_size, strides, dilation_rate)
    st.caption(
        "Dumoulin and Visin, 2016, A guide to convolution arithmetic for deep learning, section 2 (sizes) and section "
        "5.1 (dilation). Goodfellow, Bengio and Courville, 2016, Deep Learning, section 9.5 (stride, padding)."
    )


def _show_arithmetic(found: Windows) -> None:
    st.subheader(f"{found.size} x {found.size} in, {found.outputs} x {found.outputs} out")
    st.markdown(found.padding_rule())
    for line in found.formula():
        st.latex(line)
    if found.unread:
        st.caption(f"The last {found.unread} of the padded input on each axis are read by no window.")


def _show_grids(found: Windows) -> None:
    row, column = cell.choose("Output cell", found.outputs, found.outputs)
    reads = found.reads(row, column)
    padded = found.padded()
    left, right = st.columns(2)
    side = _side(len(padded))
    numbered = ", its cells numbered," if side >= READABLE else ""
    figure.show(
        draw_grid(padded, chosen=reads, outlined=reads, padding=found.is_padding() & ~reads, cell=side),
        f"the input{numbered} and its padding in grey and dashed; orange is what the chosen output reads",
        left,
    )
    chosen = only(found.outputs, found.outputs, row, column)
    side = _side(found.outputs)
    sums = found.sums()
    told = ": the sum of the cells that are read" if side >= READABLE else "; the chosen cell is orange"
    figure.show(
        draw_grid(sums, chosen=chosen, outlined=chosen, cell=side), f"the output, for a kernel of ones{told}", right
    )
    texts = " + ".join(str(value) for value in padded[reads])
    st.markdown(f"Output ({row + 1}, {column + 1}): {texts} = **{sums[row, column]:.0f}**")


def _side(cells: int) -> int:
    """Return the side of a cell, in pixels, so that a grid is no wider than half the page."""
    return max(8, min(38, 344 // cells))


def _show_growth(kernel_size: int, strides: int, dilation_rate: int) -> None:
    st.subheader("A stack of such layers")
    st.markdown(
        "Each layer adds (k − 1) · d times the distance of the units it reads, and that distance grows with every "
        "stride. So deep units see far, although each kernel is small."
    )
    depth = st.slider("Layers", 1, 6, 3)
    drawn = stacks.draw_growth(depth, kernel_size, strides=strides, dilation_rate=dilation_rate)
    rows = stacks.growth(depth, kernel_size, strides=strides, dilation_rate=dilation_rate)
    wide = rows[-1].size > stacks.WIDEST
    told = "the bars are as long as what is seen" if wide else "empty circles are not read"
    figure.show(drawn, f"what one unit of layer {depth} depends on, along one axis; {told}", stretch=True)
    st.table(
        [
            {"layer": str(row.layer or "input"), "sees": row.arithmetic, "inputs from unit to unit": row.jump}
            for row in rows
        ]
    )
