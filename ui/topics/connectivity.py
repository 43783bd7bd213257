"""Who is joined with whom: plain, tiled, unshared and dense layers, and what they cost."""

from __future__ import annotations

import streamlit as st

from cnnapp.playground import connectivity
from ui.topics import figure

__all__ = ["show"]

_SAID = {
    "plain": "Plain convolution: one kernel for all positions",
    "tiled": "Tiled convolution: kernels that take turns",
    "unshared": "Unshared convolution: a kernel for each position",
    "dense": "Dense: every input with every output",
}


def show() -> None:
    """Choose sizes; see four kinds of layers drawn, with their parameters and operations."""
    st.markdown(
        "A convolution joins an output with a few inputs (sparse connectivity) and uses the same weights everywhere "
        "(parameter sharing). Tiled and unshared layers keep the first and give up some or all of the second; a dense "
        "layer gives up both. Lines of one colour are one weight."
    )
    left, right = st.columns(2)
    inputs = left.slider("Inputs", 2, 12, 8)
    kernel_size = right.slider("Kernel size", 1, 6, 3)
    left, right = st.columns(2)
    tile_shape = left.slider("Tile: kernels that take turns", 1, 4, 2)
    unit = right.selectbox("Show", ("all lines", "what one output reads", "what one input reaches"))
    with st.expander("Several channels"):
        channels = st.slider("Channels of the input", 1, 64, 1)
        filters = st.slider("Channels of the output", 1, 64, 1)
    options = {"inputs": inputs, "kernel_size": kernel_size, "tile_shape": tile_shape}
    counts = {kind: connectivity.count(kind, channels=channels, filters=filters, **options) for kind in _SAID}
    chosen: dict[str, int] = {}
    if unit == "what one output reads":
        outputs = counts["plain"].outputs
        chosen = {"output": st.slider("Output", 1, outputs, (outputs + 1) // 2) - 1 if outputs > 1 else 0}
    elif unit == "what one input reaches":
        chosen = {"input_": st.slider("Input", 1, inputs, (inputs + 1) // 2) - 1}
    places = st.columns(2) + st.columns(2)
    for place, (kind, said) in zip(places, _SAID.items(), strict=True):
        weights = connectivity.connections(kind, **options)
        count = counts[kind]
        with place.container(border=True):
            figure.show(connectivity.draw_connections(weights, **chosen), f"{said}; inputs below, outputs above")
            with st.container(horizontal=True):
                st.metric("Parameters", f"{count.parameters:,}", width=130)
                st.metric("Multiply-adds", f"{count.multiply_adds:,}", width=130)
            st.caption(f"Parameters: {count.parameter_formula}. Multiply-adds: {count.multiply_add_formula}.")
    st.caption(
        "Of several channels one of each is drawn, all are counted; biases are left out. Goodfellow, Bengio and "
        "Courville, 2016, Deep Learning, section 9.2 (sparse connectivity, sharing) and section 9.5 (unshared, tiled)."
    )
