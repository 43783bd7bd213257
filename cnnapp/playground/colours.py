"""Colours that stand for numbers, the same in every picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["INK", "MARK", "PALE", "QUIET", "READ", "grey", "ink_on", "many", "signed", "to_hex"]

INK, QUIET, PALE = "#222222", "#6b7078", "#f1f2f4"
MARK = "#c2410c"
"""Of outlines: what is meant."""
READ = "#fdd9b5"
"""Of the cells that are read."""


def grey(levels: np.ndarray) -> np.ndarray:
    """Return the colours of grey levels, those beyond 0 and 255 black and white.

    Args:
        levels: of any shape.

    Returns:
        uint8 `(*shape, 3)`.

    Example:
        >>> from cnnapp.playground.colours import grey
        >>> grey([300, -5])[:, 0].tolist()
        [255, 0]
    """
    return np.repeat(np.clip(np.round(levels), 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def signed(values: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Return colours of numbers of either sign: blue below 0, nearly white at 0, red above.

    Args:
        values: of any shape.
        limit: the magnitude from which on a colour is as strong as it gets, > 0; None for the largest.

    Returns:
        uint8 `(*shape, 3)`.

    Example:
        >>> from cnnapp.playground.colours import signed
        >>> red, _, blue = signed([1.0], 1.0)[0]
        >>> bool(red > blue)
        True
    """
    from matplotlib import colormaps

    # The ends of the map are so dark that one sign is hardly told from the other.
    values = np.asarray(values, float)
    places = 0.5 + 0.42 * np.clip(values / (limit or np.abs(values).max() or 1.0), -1, 1)
    return (colormaps["RdBu_r"](places)[..., :3] * 255).round().astype(np.uint8)


def many(count: int) -> np.ndarray:
    """Return colours that are told apart: few are clear ones, many a rainbow.

    Args:
        count: how many, >= 0.

    Returns:
        uint8 `(count, 3)`.

    Example:
        >>> from cnnapp.playground.colours import many
        >>> len(set(map(tuple, many(10).tolist())))
        10
    """
    from matplotlib import colormaps

    found = colormaps["tab10"](np.arange(count)) if count <= 10 else colormaps["turbo"](np.linspace(0.03, 0.97, count))
    # Somewhat darker, so that yellow shows on white too.
    return (found[:, :3] * 216).round().astype(np.uint8)


def ink_on(colour: Sequence[float] | np.ndarray) -> str:
    """Return the colour of text that is readable on a colour.

    Args:
        colour: red, green and blue, 0 to 255.

    Returns:
        Black or white, as hexadecimal digits.

    Example:
        >>> from cnnapp.playground.colours import ink_on
        >>> ink_on([255, 240, 0]), ink_on([0, 0, 90])
        ('#000000', '#ffffff')

    Reference:
        World Wide Web Consortium, 2018, "Web Content Accessibility Guidelines 2.1", relative luminance.
    """
    share = np.asarray(colour, float) / 255
    linear = np.where(share <= 0.03928, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    # Where black and white have the same ratio of contrast.
    return "#000000" if linear @ [0.2126, 0.7152, 0.0722] > 0.179 else "#ffffff"


def to_hex(colour: Sequence[float] | np.ndarray) -> str:
    """Return a colour as hexadecimal digits.

    Args:
        colour: red, green and blue, 0 to 255.

    Returns:
        As "#rrggbb".

    Example:
        >>> from cnnapp.playground.colours import to_hex
        >>> to_hex([255, 0, 16])
        '#ff0010'
    """
    return "#" + "".join(f"{int(part):02x}" for part in colour)
