"""An image made smaller, where looking at all of it would take too long or too much memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image

from cnnapp.explain.inspector import Inside
from cnnapp.explain.network_input import Box
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput

__all__ = ["Reduced", "quick", "reduced"]

_QUICK = 1 << 19
"""Pixels that a network is shown, of which evidence, maps and derivatives take some seconds on two cores."""


@dataclass(frozen=True)
class Reduced:
    """An image of no more than some number of pixels.

    Args:
        data: the image, encoded.
        size: its height and width, in pixels.
        original: those that it had.

    Example:
        >>> print(Reduced(b"", (30, 40), (300, 400)))
        looked at in 40 x 30 pixels, of 400 x 300
    """

    data: bytes
    size: tuple[int, int]
    original: tuple[int, int]

    def __bool__(self) -> bool:
        """Return whether it is smaller than it was."""
        return self.size != self.original

    def __str__(self) -> str:
        """Say how large it is, and was."""
        return f"looked at in {self.size[1]} x {self.size[0]} pixels, of {self.original[1]} x {self.original[0]}"

    def before(self, box: Box) -> Box:
        """Return where a rectangle of this image lies in the one before.

        Args:
            box: in pixels of this image.

        Example:
            >>> Reduced(b"", (30, 40), (300, 400)).before((0.0, 3.0, 4.0, 30.0))
            (0.0, 30.0, 40.0, 300.0)
        """
        down, across = (was / now for was, now in zip(self.original, self.size, strict=True))
        return box[0] * across, box[1] * down, box[2] * across, box[3] * down


def reduced(image: ImageInput, most: float, name: str | None = None) -> Reduced:
    """Make an image smaller if it has more pixels than it may have.

    Args:
        image: a path, encoded bytes, an array or a Pillow image.
        most: pixels that it may have.
        name: how errors call it; its path by default.

    Returns:
        The image as it is, or with the same proportions and no more than ``most`` pixels, but at least one.

    Raises:
        DataError: if it cannot be read.

    Example:
        >>> reduced(Image.new("L", (400, 300)), 1200).size
        (30, 40)
    """
    name = name or image_io.name_of(image)
    data = image_io.read(image, name)
    height, width = image_io.size_of(data, name)
    if height * width <= most:
        return Reduced(data, (height, width), (height, width))
    picture = image_io.open_rgb(data, name=name)
    # Upright, so that the sides may have changed places.
    original = picture.height, picture.width
    share = (most / (height * width)) ** 0.5
    size = max(1, int(original[0] * share)), max(1, int(original[1] * share))
    smaller = picture.resize((size[1], size[0]), Image.Resampling.BOX)
    return Reduced(image_io.encode(smaller), size, original)


def quick(inside: Inside, image: ImageInput, name: str | None = None) -> Reduced:
    """Make an image smaller if looking at it would take more than some seconds.

    Args:
        inside: the network that it is looked at with. A classifier is shown an image of one size, whatever is given.
        image: as for :func:`reduced`.
        name: likewise.

    Raises:
        DataError: if the image cannot be read.
    """
    most = inside.most_pixels()
    if most < math.inf:
        most = min(most, _QUICK / inside.scale**2)
    return reduced(image, most, name)
