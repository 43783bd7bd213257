"""How the receptive field grows from layer to layer."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from cnnapp.playground import colours, svg
from layers import DilatedConv1D
from layers.analysis.receptive_field import receptive_fields

__all__ = ["WIDEST", "Growth", "draw_growth", "growth", "units_read"]

WIDEST = 64
"""Inputs up to which every unit of a drawing is drawn."""


@dataclass(frozen=True)
class Growth:
    """What the units of one layer of a stack see, along one axis.

    Args:
        layer: its number, 0 for the input.
        size: inputs from the first to the last that a unit sees.
        jump: inputs from unit to unit.
        arithmetic: how the size comes about, with numbers.
    """

    layer: int
    size: int
    jump: int
    arithmetic: str


def growth(depth: int, kernel_size: int, *, strides: int = 1, dilation_rate: int = 1) -> list[Growth]:
    """Return how the receptive field grows in a stack of equal layers.

    Padding has no part in it: it moves the fields and does not widen them.

    Args:
        depth: number of layers.
        kernel_size: of each.
        strides: of each.
        dilation_rate: of each.

    Returns:
        One `Growth` for the input and for each layer.

    Example:
        >>> from cnnapp.playground.stacks import growth
        >>> [row.size for row in growth(3, 3, strides=2)]
        [1, 3, 7, 15]

    Reference:
        Araujo, Norris and Sim, 2019, "Computing receptive fields of convolutional neural networks".
    """
    model = keras.Sequential([keras.Input((None, 1))])
    for _ in range(depth):
        model.add(
            DilatedConv1D(
                1,
                kernel_size,
                strides=strides,
                dilation_rate=dilation_rate,
                use_bias=False,
                data_format="channels_last",
            )
        )
    rows: list[Growth] = []
    for number, field in enumerate(receptive_fields(model)):
        assert field.axes is not None  # convolutions alone
        size, jump = int(field.axes[0].size), int(field.axes[0].jump)
        text = "one input"
        if rows:
            below = rows[-1]
            text = f"{below.size} + ({kernel_size} − 1) · {dilation_rate} · {below.jump} = {size}"
        rows.append(Growth(number, size, jump, text))
    return rows


def units_read(depth: int, kernel_size: int, *, strides: int = 1, dilation_rate: int = 1) -> list[list[int]]:
    """Return the units that the first unit of the last layer of such a stack depends on.

    Args:
        depth: as of `growth`.
        kernel_size: as of `growth`.
        strides: as of `growth`.
        dilation_rate: as of `growth`.

    Returns:
        Their positions, sorted, for the input and for each layer; the last holds the one unit.

    Example:
        >>> from cnnapp.playground.stacks import units_read
        >>> units_read(2, 2, dilation_rate=2)
        [[0, 2, 4], [0, 2], [0]]
    """
    found = [[0]]
    for _ in range(depth):
        read = {unit * strides + tap * dilation_rate for unit in found[0] for tap in range(kernel_size)}
        found.insert(0, sorted(read))
    return found


def draw_growth(depth: int, kernel_size: int, *, strides: int = 1, dilation_rate: int = 1, widest: int = WIDEST) -> str:
    """Draw what one unit of the last layer sees, layer by layer.

    Args:
        depth: as of `growth`.
        kernel_size: as of `growth`.
        strides: as of `growth`.
        dilation_rate: as of `growth`.
        widest: inputs up to which every unit is drawn; wider fields are drawn as bars.

    Returns:
        An SVG document, the input at the bottom.
    """
    rows = growth(depth, kernel_size, strides=strides, dilation_rate=dilation_rate)
    widest_field, left, width, step = rows[-1].size, 64, 416, 46
    root = svg.begin(left + width + 16, len(rows) * step + 12)
    scale = width / widest_field
    heights = [12 + (len(rows) - 1 - number) * step + step / 2 - 6 for number in range(len(rows))]
    for row, y in zip(rows, heights, strict=True):
        svg.write(root, f"layer {row.layer}" if row.layer else "input", x=left / 2 - 2, y=y, font_size=14)
    if widest_field > widest:
        for row, y in zip(rows, heights, strict=True):
            # A unit of layer l sees the inputs below it; the bar is as long as the field of one unit.
            long = max(row.size * scale, 2.0)
            svg.add(root, "rect", x=left + (width - long) / 2, y=y - 9, width=long, height=18, fill="#8fb4e3")
            svg.write(root, f"sees {row.size}", x=left + width / 2, y=y, font_size=14)
        return svg.finish(root)
    units = units_read(depth, kernel_size, strides=strides, dilation_rate=dilation_rate)
    places = [
        {unit: left + (unit * row.jump + (row.size - 1) / 2 + 0.5) * scale for unit in found}
        for row, found in zip(rows, units, strict=True)
    ]
    for number in range(1, len(rows)):
        for unit, x in places[number].items():
            for tap in range(kernel_size):
                start = places[number - 1][unit * strides + tap * dilation_rate]
                ends = {"x1": start, "y1": heights[number - 1], "x2": x, "y2": heights[number]}
                svg.add(root, "line", stroke="#9aa0a8", stroke_width=1, **ends)
    radius = float(np.clip(scale * 0.36, 2.0, 9.0))
    # All inputs of the field, so that holes show.
    for position in range(widest_field):
        x = left + (position + 0.5) * scale
        svg.add(root, "circle", cx=x, cy=heights[0], r=radius, fill="white", stroke=colours.QUIET)
    for number, row_places in enumerate(places):
        for x in row_places.values():
            svg.add(root, "circle", cx=x, cy=heights[number], r=radius, fill="#3567b0", stroke="#1d3f73")
    return svg.finish(root)
