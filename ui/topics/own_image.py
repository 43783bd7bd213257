"""The choice of an image to try a layer on: one's own, or an example."""

from __future__ import annotations

import numpy as np
import streamlit as st

from cnnapp.playground import images
from pipelines.images import image_io

__all__ = ["choose"]

_TYPES = sorted(extension.removeprefix(".") for extension in image_io.EXTENSIONS)


@st.cache_data(max_entries=16, show_spinner=False)
def _grey(data: bytes, name: str) -> np.ndarray:
    return images.grey(data, name=name)


@st.cache_data(max_entries=16, show_spinner=False)
def _example(name: str) -> np.ndarray:
    return images.example(name)


def choose() -> np.ndarray:
    """Ask for an image; return its grey levels.

    Raises:
        DataError: if the file is no image.
    """
    name = st.pills("Image", images.EXAMPLES, default=images.EXAMPLES[0], required=True)
    with st.expander("Take your own image", icon=":material/upload:"):
        text = f"It is shown in grey, at most {images.SIDE} pixels on its longer side."
        uploaded = st.file_uploader("Your own image", type=_TYPES, help=text)
    if uploaded is not None:
        return _grey(uploaded.getvalue(), uploaded.name)
    return _example(name)
