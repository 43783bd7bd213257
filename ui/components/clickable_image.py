"""A picture that can be clicked on."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import streamlit as st
from PIL import Image

from pipelines.images import image_io

__all__ = ["clickable"]

_SIDE = 328
"""Of the picture, in the browser's pixels, which is what a phone has room for."""
_LEAST = 44
"""The shorter side of it: what a finger can hit. A picture that would be less is stretched."""
_CELLS = 64


def clickable(
    picture: Image.Image, size: tuple[int, int], label: str, key: str, on_click: Callable[[int, int], None]
) -> None:
    """Show a picture, and tell where it is clicked.

    Args:
        picture: what is drawn of an image.
        size: height and width of the image, in pixels.
        label: what a screen reader says.
        key: of the element.
        on_click: called with x and y, in pixels of the image. Of a large image they are the middle of one of 64 places
            along its longer side, and of fewer along the other.
    """

    def clicked() -> None:
        spots = st.session_state[key]["selection"].get("spot", [])
        if spots:
            on_click(int(spots[0]["x"]), int(spots[0]["y"]))

    # As Vega-Lite's own record: Altair checks and copies thousands of places one by one, which takes seconds.
    height, width = size
    wide, high = (max(_LEAST, _SIDE * side / max(size)) for side in (width, height))
    url = "data:image/png;base64," + base64.b64encode(image_io.encode(picture)).decode()
    background = {
        "data": {"values": [{"url": url}]},
        "mark": {"type": "image", "width": wide, "height": high, "aspect": False},
        "encoding": {
            "url": {"field": "url", "type": "nominal"},
            "x": {"value": wide / 2},
            "y": {"value": high / 2},
        },
    }
    select = {"type": "point", "fields": ["x", "y"], "toggle": False, "on": "click", "clear": False}
    cells = {
        "data": {"values": _cells(_parts(height, high), _parts(width, wide))},
        "name": "cells",
        "mark": {"type": "rect", "fillOpacity": 0.001, "strokeOpacity": 0, "cursor": "crosshair"},
        "encoding": {
            "x": _along("left", [0, width]),
            "x2": {"field": "right"},
            "y": _along("top", [height, 0]),
            "y2": {"field": "bottom"},
            "tooltip": [{"field": name, "type": "quantitative"} for name in ("x", "y")],
        },
    }
    chart = {
        "layer": [background, cells],
        "params": [{"name": "spot", "select": select, "views": ["cells"]}],
        "width": wide,
        "height": high,
        "description": label,
        "padding": {"left": 0, "top": 0, "right": 0, "bottom": 0},
        "config": {"view": {"stroke": None}},
        "usermeta": {"embedOptions": {"renderer": "svg"}},
    }
    st.vega_lite_chart(spec=chart, width="content", theme=None, key=key, on_select=clicked, selection_mode="spot")


def _along(field: str, domain: list[int]) -> dict[str, Any]:
    """Return where along an axis, which is not drawn, a side of a place lies."""
    return {"field": field, "type": "quantitative", "axis": None, "scale": {"domain": domain, "nice": False}}


def _parts(side: int, drawn: float) -> list[tuple[int, int]]:
    """Return the parts of a side that can be told apart, as pixels of the image: begin and end."""
    step = -(-side // max(1, round(_CELLS * drawn / _SIDE)))
    return [(begin, min(begin + step, side)) for begin in range(0, side, step)]


def _cells(rows: list[tuple[int, int]], columns: list[tuple[int, int]]) -> list[dict[str, int]]:
    """Return the places that can be told apart, each with the pixel in its middle."""
    return [
        {"left": left, "top": top, "right": right, "bottom": bottom, "x": (left + right) // 2, "y": (top + bottom) // 2}
        for top, bottom in rows
        for left, right in columns
    ]
