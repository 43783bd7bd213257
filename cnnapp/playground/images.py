"""Images to try a layer on, as grey levels."""

from __future__ import annotations

import numpy as np

from pipelines.core import extras
from pipelines.data.embedded import scenes
from pipelines.images import image_io

__all__ = ["EXAMPLES", "SIDE", "example", "grey"]

EXAMPLES = ("temple", "flower", "digits", "shapes")
"""The images that are there without anybody's own: two photographs, a scene of handwritten digits, and a drawing."""

SIDE = 192
"""The longest side of an image, in pixels: small enough for every pixel to be seen, and for an answer at once."""


def example(name: str, side: int = SIDE) -> np.ndarray:
    """Return an image that comes with the program.

    Args:
        name: one of `EXAMPLES`.
        side: the longest side that it may have, in pixels.

    Returns:
        float32 `(height, width)`, whole numbers 0 to 255.

    Raises:
        KeyError: if there is none of this name.

    Example:
        >>> from cnnapp.playground.images import example
        >>> example("digits").shape
        (96, 128)
    """
    draw = {
        "temple": lambda: _photograph("china.jpg"),
        "flower": lambda: _photograph("flower.jpg"),
        "digits": lambda: scenes.scene(0, "test", 3).image,
        "shapes": _shapes,
    }[name]
    return grey(draw(), side, name)


def grey(source: image_io.ImageInput, side: int = SIDE, name: str | None = None) -> np.ndarray:
    """Return an image as grey levels.

    Args:
        source: as for `pipelines.images.image_io.read`.
        side: the longest side that it may have, in pixels; larger images are scaled down.
        name: how error messages call it.

    Returns:
        float32 `(height, width)`, whole numbers 0 to 255.

    Raises:
        DataError: if it is no image.

    Example:
        >>> import numpy as np
        >>> from cnnapp.playground.images import grey
        >>> grey(np.full((4, 6, 3), 200, np.uint8))[0, 0]
        np.float32(200.0)
    """
    return np.asarray(image_io.open_rgb(source, side, name).convert("L"), np.float32)


def _photograph(file: str) -> np.ndarray:
    """Return one of the two photographs that come with scikit-learn."""
    extras.need("a photograph to begin with", "ui", "scikit-learn")
    from sklearn.datasets import load_sample_image

    photograph: np.ndarray = load_sample_image(file)
    return photograph


def _shapes() -> np.ndarray:
    """Draw what edges and corners are easily seen in: a disc, a square, stripes and a ramp."""
    rows, columns = np.indices((96, 96))
    drawn = np.full((96, 96), 40, np.uint8)
    drawn[(rows - 26) ** 2 + (columns - 26) ** 2 < 18**2] = 220
    drawn[10:42, 54:86] = 150
    drawn[54:86, 10:42] = np.where(columns[54:86, 10:42] // 4 % 2, 230, 40)
    drawn[54:86, 54:86] = (columns[54:86, 54:86] - 54) * 8
    return drawn
