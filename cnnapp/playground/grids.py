"""Grids of numbers as drawings."""

from __future__ import annotations

import numpy as np

from cnnapp.playground import colours, svg

__all__ = ["READABLE", "draw_grid", "number", "only"]

READABLE = 20
"""The smallest side of a cell, in pixels, whose number can be read."""


def number(value: float) -> str:
    """Write a number as briefly as a cell needs it.

    Args:
        value: any; what is not a number is written as nothing.

    Returns:
        A whole number without a point, others with at most three digits that count.

    Example:
        >>> from cnnapp.playground.grids import number
        >>> number(-3.0), number(0.12345), number(1234.56), number(float("nan"))
        ('−3', '0.123', '1235', '')
    """
    value = float(value)
    if np.isnan(value):
        return ""
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) < 1e-9:  # what rounding leaves of 0
        return "0"
    text = f"{value:.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
    return text.replace("-", "−")


def only(rows: int, columns: int, row: int, column: int) -> np.ndarray:
    """Return a mask of one cell.

    Args:
        rows: of the grid.
        columns: likewise.
        row: of the cell.
        column: likewise.

    Returns:
        bool `(rows, columns)`.

    Example:
        >>> from cnnapp.playground.grids import only
        >>> only(1, 3, 0, 2).tolist()
        [[False, False, True]]
    """
    mask = np.zeros((rows, columns), bool)
    mask[row, column] = True
    return mask


def draw_grid(
    values: np.ndarray,
    *,
    fills: np.ndarray | None = None,
    outlined: np.ndarray | None = None,
    chosen: np.ndarray | None = None,
    padding: np.ndarray | None = None,
    cell: int = 38,
) -> str:
    """Draw a grid of numbers.

    Args:
        values: `(rows, columns)`; what is not a number leaves its cell empty.
        fills: uint8 `(rows, columns, 3)`, the colours of the cells; white by default.
        outlined: bool `(rows, columns)`, cells with a strong outline.
        chosen: likewise, cells on an orange ground.
        padding: likewise, cells that are no part of the input: on a grey ground, with a dashed outline.
        cell: side of a cell in pixels; of less than `READABLE`, numbers are left out.

    Returns:
        An SVG document.

    Example:
        >>> import numpy as np
        >>> from cnnapp.playground.grids import draw_grid
        >>> draw_grid(np.array([[1, 2.5]])).count("<rect")
        3
    """
    rows, columns = values.shape
    nothing = np.zeros((rows, columns), bool)
    outlined, chosen, padding = (nothing if mask is None else mask for mask in (outlined, chosen, padding))
    texts = [[number(value) for value in row] for row in values]
    longest = max(len(text) for row in texts for text in row)
    size = min(0.42 * cell, 1.5 * cell / max(longest, 1))
    root = svg.begin(columns * cell + 6, rows * cell + 6)
    # Those with an outline come last, so that no neighbour covers it.
    for row, column in sorted(np.ndindex(rows, columns), key=lambda place: bool(outlined[place])):
        colour = _ground(row, column, fills, chosen, padding)
        look: dict[str, object] = {"stroke": "#9aa0a8", "stroke_width": 1}
        if padding[row, column]:
            look["stroke_dasharray"] = "3 3"
        if outlined[row, column]:
            look = {"stroke": colours.MARK, "stroke_width": 3}
        x, y = 3 + column * cell, 3 + row * cell
        svg.add(root, "rect", x=x, y=y, width=cell, height=cell, fill=colours.to_hex(colour), **look)
        if texts[row][column] and cell >= READABLE:
            middle = {"x": x + cell / 2, "y": y + cell / 2, "font_size": float(size)}
            svg.write(root, texts[row][column], fill=colours.ink_on(colour), **middle)
    return svg.finish(root)


def _ground(
    row: int, column: int, fills: np.ndarray | None, chosen: np.ndarray, padding: np.ndarray
) -> tuple[int, int, int]:
    if chosen[row, column]:
        return 253, 217, 181
    if padding[row, column]:
        return 233, 236, 240
    return (255, 255, 255) if fills is None else tuple(fills[row, column])
