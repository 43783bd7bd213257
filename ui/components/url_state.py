"""What the address of a page asks for, and a line where there is no such thing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

__all__ = ["begin", "keep", "missing", "nearest", "newly", "say"]

_WRITTEN, _MISSING = "written to the address", "missing of the address"


def begin(name: str, options: Sequence[str], default: str, key: str, spoken: Callable[[str], str] = str) -> None:
    """Begin a choice with what the address says, unless it was made before.

    Args:
        name: of the choice, in the address and in what is said.
        options: to choose from.
        default: begun with where the address names none, or none that there is.
        key: of the element that asks.
        spoken: what an option is called on the page.
    """
    if st.session_state.get(key) not in options:
        asked = newly(name)
        wanted = st.query_params.get(name)
        if asked is None or asked in options:
            st.session_state[key] = wanted if wanted in options else default
        else:
            missing(f"{name} {asked}", default, key)
    say(key, spoken)


def newly(name: str) -> str | None:
    """Return what the address says of a choice; None where that is nothing, or what the page itself wrote there.

    What the page wrote may have been of another model: nobody asked for it where there is no such thing.

    Args:
        name: of the choice.
    """
    asked = st.query_params.get(name)
    return asked if asked and asked != st.session_state.get(_WRITTEN, {}).get(name) else None


def missing(what: str, shown: str, key: str) -> None:
    """Begin a choice otherwise than asked, which :func:`say` says.

    Args:
        what: there is none of.
        shown: in its place.
        key: of the element that asks.
    """
    st.session_state[key] = shown
    st.session_state.setdefault(_MISSING, {})[key] = (what, shown)


def keep(name: str, value: str) -> None:
    """Write what is chosen to the address; nothing of it, where that is the empty string."""
    st.session_state.setdefault(_WRITTEN, {})[name] = value
    if value:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)


def nearest(asked: str, names: Sequence[str]) -> str | None:
    """Return the model that is meant: that of the name and version, else the newest of the name, None without one.

    Args:
        asked: a name, or name/version.
        names: of models, name/version, the newest version of each first.

    Example:
        >>> names = ["digits/2", "digits/1", "fashion/1"]
        >>> nearest("digits", names), nearest("digits/1", names), nearest("digits/7", names), nearest("cats", names)
        ('digits/2', 'digits/1', 'digits/2', None)
    """
    if asked in names:
        return asked
    return next((name for name in names if name.split("/")[0] == asked.split("/")[0]), None)


def say(key: str, spoken: Callable[[str], str] = str) -> None:
    """Say what was missing, if anything, as long as nothing else is chosen; :func:`begin` does it by itself.

    Args:
        key: of the element that asks.
        spoken: what an option is called on the page.
    """
    found = st.session_state.get(_MISSING, {})
    if key in found:
        what, shown = found[key]
        if st.session_state.get(key) == shown:
            st.warning(f"There is no {what}; showing {spoken(shown)}.", icon=":material/link_off:")
        else:
            del found[key]
