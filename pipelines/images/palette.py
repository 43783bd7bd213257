"""Colours of classes where they are drawn over images: told apart by the colour-blind, and from grey."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["class_colours", "ink_on", "is_background"]

_BASE = (
    *("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442"),
    *("#882255", "#332288", "#999933"),
)
"""Those of Okabe and Ito but black, which classes keep free for the background; and three of Tol, which make ten."""

_SHADES = (0.0, -0.45, 0.5, -0.25, 0.28)
"""How far each further round of them lies towards white, or below zero towards black."""


def class_colours(names: Sequence[str]) -> np.ndarray:
    """Return a colour for each class, for boxes and for areas that are laid over an image.

    They are the colours of Okabe and Ito, and three of Tol; then darker and lighter ones of the same. They begin anew
    after 50 classes.
    None is grey, so that each is seen on a grey image. (Mask files have the palette of Pascal VOC, whose seventh class
    is grey; see :func:`pipelines.images.masks.colours`.)

    Args:
        names: of all classes; the first has black where it is the background.

    Returns:
        uint8 of shape (classes, 3), RGB.

    Example:
        >>> class_colours(["background", "cat", "dog"]).tolist()
        [[0, 0, 0], [213, 94, 0], [0, 114, 178]]

    Reference:
        Okabe, Ito (2008), "Color Universal Design (CUD): How to Make Figures and Presentations That Are Friendly to
        Colorblind People".
        Tol (2021), "Colour Schemes", SRON technical note 09-002, its qualitative scheme "muted".
    """
    base = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in _BASE], float)
    rounds = [base + (255 - base) * shade if shade > 0 else base * (1 + shade) for shade in _SHADES]
    every = np.rint(np.concatenate(rounds)).astype(np.uint8)
    first = int(is_background(names))
    table = every[np.arange(len(names) - first) % len(every)]
    return np.concatenate([np.zeros((first, 3), np.uint8), table])


def is_background(names: Sequence[str]) -> bool:
    """Return whether the first class is what is left where there is nothing."""
    return bool(names) and names[0].lower() in ("background", "void")


def ink_on(colour: Sequence[int]) -> str:
    """Return "black" or "white", whichever stands out more from a colour.

    Args:
        colour: RGB, 0 to 255.

    Example:
        >>> ink_on((240, 228, 66)), ink_on((0, 114, 178))
        ('black', 'white')

    Reference:
        W3C (2018), "Web Content Accessibility Guidelines 2.1", relative luminance and contrast ratio.
    """
    share = np.asarray(colour, float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"
