"""A picture with a caption that is also read out."""

from __future__ import annotations

from typing import Any

import streamlit as st
from PIL import Image

__all__ = ["show"]


def show(picture: Image.Image | str, caption: str, place: Any = st, *, stretch: bool = False) -> None:
    """Show a picture in a place of the page, by default the next one; it keeps its size unless stretched."""
    with place.container(gap=None):
        # A caption of its own, and not the picture's: a small picture would be enlarged to the width of that.
        st.image(picture, alt=caption, width="stretch" if stretch else "content", output_format="PNG")
        st.caption(caption)
