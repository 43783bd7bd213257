"""The page with the ideas behind the layers: the layer playground."""

from __future__ import annotations

from importlib import import_module

import streamlit as st

from pipelines.core.errors import CnnAppError
from pipelines.core.tensorflow_import import import_tensorflow
from ui.components import url_state

__all__ = ["page"]

_TOPICS = {
    "kernels": "Kernels",
    "strides": "Stride, padding, dilation",
    "connectivity": "Connectivity",
    "pooling": "Pooling",
    "matrix": "As a matrix",
    "shift": "Shift the image",
}


@st.cache_resource(show_spinner="Starting TensorFlow")
def _start() -> None:
    """Import what computes, once for all sessions; the other pages do not wait for it."""
    import_tensorflow()
    import_module("layers")


def page() -> None:
    """Choose a topic, and try it."""
    st.title("Layer playground")
    url_state.begin("topic", list(_TOPICS), next(iter(_TOPICS)), "topic", _TOPICS.__getitem__)
    chosen = st.segmented_control("Topic", _TOPICS, format_func=_TOPICS.__getitem__, key="topic", required=True)
    topic = chosen or next(iter(_TOPICS))
    url_state.keep("topic", topic)
    _start()
    try:
        # A topic imports the layers, and they TensorFlow.
        import_module(f"ui.topics.{topic}").show()
    except CnnAppError as error:
        st.error(str(error), icon=":material/error:")
