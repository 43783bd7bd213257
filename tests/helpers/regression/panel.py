"""What the page shows of numbers."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ui.components.panel import Look, Panel

__all__ = ["NumberPanel"]


class NumberPanel(Panel):
    """One number for each image."""

    decision = "How much each pixel moves the number through this unit."

    def show(self, model: Any, answer: Any, image: bytes, look: Look) -> None:
        """Show the image beside its number."""
        left, right = st.columns(2)
        left.image(image, caption=answer.source, alt=str(answer))
        right.metric("Number", f"{answer.value:.3f}")
