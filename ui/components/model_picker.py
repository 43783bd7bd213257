"""The choice of a model, which all pages share, and which the address keeps: ``?model=name``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

import cnnapp
from cnnapp.prediction import model_paths
from pipelines.artifacts.manifest import MANIFEST
from pipelines.artifacts.model_card import CARD, ModelCard, doubts, read_card
from pipelines.reporting.plain_text import plain
from ui.components import url_state

__all__ = ["choose", "choose_card", "load", "offered"]

_WIDGET, _CHOSEN, _ADDRESS = "model choice", "chosen model", "model of the address"


@st.cache_resource(show_spinner="Loading the model", max_entries=4)
def _load(directory: str, changed: float) -> cnnapp.Predictor:
    """Load a model once for all sessions; ``changed`` is its newest time, so that another model is loaded anew."""
    return cnnapp.load(directory)


def load(name: str) -> cnnapp.Predictor | None:
    """Load a model by its name, and say where that fails."""
    try:
        directory = model_paths.resolve(name)
        there = [path for path in (directory / CARD, directory / MANIFEST) if path.is_file()]
        model = _load(str(directory), max((path.stat().st_mtime for path in there), default=0.0))
        _say_doubts(directory)
        return model
    except cnnapp.CnnAppError as error:
        st.error(str(error), icon=":material/error:")
        return None


def _say_doubts(directory: Path) -> None:
    for text in doubts(directory):
        st.caption(f":material/warning: Not verified. {plain(text)}")


def choose() -> cnnapp.Predictor | None:
    """Ask for a model and load it; None, with the reason on the page, where there is none."""
    name = _choose()
    return None if name is None else load(name)


def choose_card() -> ModelCard | None:
    """Ask for a model and read what it says of itself, without loading it; None as for :func:`choose`."""
    name = _choose()
    if name is None:
        return None
    try:
        directory = model_paths.resolve(name)
        card = read_card(directory)
        _say_doubts(directory)
        return card
    except cnnapp.CnnAppError as error:
        st.error(str(error), icon=":material/error:")
        return None


def offered(fits: Callable[[ModelCard], bool] = lambda card: True) -> list[str]:
    """Return the models, name/version, the newest version of each first; those whose card is damaged are left out."""
    return [name for name in model_paths.listed() if _fits(name, fits)]


def _fits(name: str, fits: Callable[[ModelCard], bool]) -> bool:
    try:
        return fits(read_card(model_paths.resolve(name)))
    except cnnapp.ModelError:
        return False


def _choose() -> str | None:
    names = model_paths.listed()
    if not names:
        st.warning(f"{model_paths.none_in()}, and open the page again.")
        return None
    asked = st.query_params.get("model")
    # Set in every run: what was chosen on another page is not this page's choice by itself.
    if asked is not None and asked != st.session_state.get(_ADDRESS):
        # The address is new: the page was opened by it, or the browser went back.
        found = url_state.nearest(asked, names)
        st.session_state[_WIDGET] = found or names[0]
        if asked not in (found, str(found).split("/")[0]):
            url_state.missing(f"model {asked}", found or names[0], _WIDGET)
    else:
        start = st.session_state.get(_WIDGET, st.session_state.get(_CHOSEN))
        st.session_state[_WIDGET] = start if start in names else names[0]
    url_state.say(_WIDGET)
    name = st.selectbox("Model", names, key=_WIDGET, help="A saved model and its version.")
    st.session_state[_CHOSEN] = name
    st.session_state[_ADDRESS] = st.query_params["model"] = name
    return name
