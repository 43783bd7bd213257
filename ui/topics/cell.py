"""The choice of one cell of a grid, by two sliders."""

from __future__ import annotations

import streamlit as st

__all__ = ["choose"]


def choose(what: str, rows: int, columns: int = 0) -> tuple[int, int]:
    """Ask for a row and, where there are columns, a column; counted from 1 on the page and from 0 here."""
    if not columns:
        return _one(f"{what}", rows), 0
    left, right = st.columns(2)
    with left:
        row = _one(f"{what}: row", rows)
    with right:
        return row, _one(f"{what}: column", columns)


def _one(label: str, count: int) -> int:
    if count == 1:
        st.caption(f"{label}: there is one")
        return 0
    return st.slider(label, 1, count, (count + 1) // 2) - 1
