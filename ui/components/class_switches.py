"""The switches of classes, and the colours that they have in pictures, with their names."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import streamlit as st

from pipelines.artifacts.model_card import ModelCard
from pipelines.images.palette import class_colours, is_background

__all__ = ["legend", "switches"]

_MOST_PILLS = 24


def switches(card: ModelCard) -> list[int]:
    """Ask which classes are drawn; return their ids."""
    names = card.classes
    usual = list(range(int(is_background(names)), len(names)))
    key, text = (
        f"classes {card.name}/{card.version}",
        ("Choose what is drawn; tables and downloads always include every class."),
    )
    if len(names) <= _MOST_PILLS:
        return st.pills(
            "Classes", range(len(names)), default=usual, selection_mode="multi", format_func=names.__getitem__,
            key=key, help=text, persist_state="session",
        )  # fmt: skip
    chosen = st.multiselect(
        "Classes", range(len(names)), format_func=names.__getitem__, placeholder="all", key=key, help=text,
        persist_state="session",
    )  # fmt: skip
    return chosen or usual


def legend(names: Sequence[str], entries: Iterable[tuple[int, str]]) -> None:
    """Name the colours of classes: (class id, what is said of it)."""
    table = class_colours(names)
    parts = []
    for class_id, text in entries:
        colour = "#{:02x}{:02x}{:02x}".format(*table[class_id].tolist())
        swatch = f"background:{colour};border:1px solid #8888;width:.9em;height:.9em;display:inline-block"
        said = f"{html.escape(names[class_id])} <span style='opacity:.75'>{html.escape(text)}</span>"
        parts.append(f"<li style='display:flex;gap:.4em;align-items:center'><span style='{swatch}'></span>{said}</li>")
    style = "list-style:none;display:flex;flex-wrap:wrap;gap:.2em 1.1em;margin:0;padding:0;font-size:.9rem"
    st.html(f"<ul style='{style}' aria-label='colours of the classes'>{''.join(parts)}</ul>")
