"""The choice of an image to try a layer on: one's own, or an example."""

from __future__ import annotations

import hashlib

import numpy as np
import streamlit as st

from cnnapp.playground import images
from pipelines.images import image_io
from ui.components import queued, visit

__all__ = ["choose"]

_TYPES = sorted(extension.removeprefix(".") for extension in image_io.EXTENSIONS)


def _grey(data: bytes, name: str) -> np.ndarray:
    key = ("grey", hashlib.sha256(data).hexdigest(), name)
    return queued.kept(key, "Opening the image", lambda: images.grey(data, name=name), queued.is_light(data))


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
        text = f"It is shown in grey, at most {images.SIDE} pixels on its longer side. {visit.notice()}"
        key = f"own image {visit.current().number}"
        uploaded = st.file_uploader("Your own image", type=_TYPES, help=text, key=key)
    if uploaded is not None:
        visit.uses([uploaded])
        return _grey(uploaded.getvalue(), uploaded.name)
    return _example(name)
