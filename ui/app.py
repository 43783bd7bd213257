"""Navigation of the page; started by ``cnnapp ui``."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

# Streamlit runs this file as a script, whose own folder is then all that it finds modules in.
sys.path[:0] = [path for path in [str(Path(__file__).resolve().parent.parent)] if path not in sys.path]

from ui.components import visit  # noqa: E402
from ui.views import compare, explain, layers, model_card, predict  # noqa: E402

st.set_page_config(page_title="cnnapp", page_icon="🔎", layout="centered")
pages = [
    st.Page(predict.page, title="Predict", icon=":material/image_search:", default=True),
    # The page that the bare address opens has no other one, so that it is there twice.
    st.Page(predict.page, title="Predict", url_path="predict", visibility="hidden"),
    st.Page(explain.page, title="Explain", icon=":material/lightbulb:", url_path="explain"),
    st.Page(compare.page, title="Compare", icon=":material/compare:", url_path="compare"),
    st.Page(model_card.page, title="Model", icon=":material/id_card:", url_path="model"),
    st.Page(layers.page, title="Layers", icon=":material/layers:", url_path="layers"),
]
chosen = st.navigation(pages, position="top")
visit.begin()
chosen.run()
visit.end()
