"""A grid of numbers to be changed."""

from __future__ import annotations

import numpy as np
import streamlit as st

__all__ = ["edit"]


def edit(values: np.ndarray, key: str, largest: int) -> np.ndarray:
    """Show a grid whose numbers can be changed, up to a largest magnitude; return them as they are now."""
    count = values.shape[1]
    width = 350 // max(count, 5)  # all of them fit a phone
    text = "%.3g" if count < 7 else "%.2g"
    column = st.column_config.NumberColumn
    columns = {
        str(i): column(str(i + 1), width=width, format=text, required=True, min_value=-largest, max_value=largest)
        for i in range(count)
    }
    edited = st.data_editor(values, key=key, hide_index=True, width="content", column_config=columns)
    return np.asarray(edited, float)
