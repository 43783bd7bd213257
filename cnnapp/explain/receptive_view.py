"""What of an image something inside a network depends on, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from cnnapp.explain.heatmap import draw_heat, fitted
from cnnapp.explain.network_input import Box
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput

__all__ = ["Sight", "draw_boxes"]

_OUTLINE, _MARK, _EARLIER = "#f0e442", "#ffffff", "#56b4e9"


@dataclass(frozen=True, eq=False)
class Sight:
    """The part of an image that a unit, or a decision, depends on.

    Args:
        box: the receptive field: the smallest rectangle with all that it depends on, in pixels of the image. It
            reaches beyond the image where the network is shown something around it.
        support: the same in the pixels that the network is shown: rows and columns.
        influence: float32 of the shape of what the network is shown, (height, width): how much each pixel changes it,
            the length of the derivative over the pixel's channels; 0 outside the field.
        region: what those pixels cover together, in pixels of the image.

    Reference:
        Luo, Li, Urtasun, Zemel (2016), "Understanding the Effective Receptive Field in Deep Convolutional Neural
        Networks".
    """

    box: Box
    support: tuple[slice, slice]
    influence: np.ndarray
    region: Box

    def __post_init__(self) -> None:
        """Keep the influence from being changed."""
        self.influence.setflags(write=False)

    def share(self, part: float = 0.9) -> float:
        """Return what share of the receptive field holds a part of the influence: how large it is in effect.

        Args:
            part: of the sum of the influence, 0 to 1.

        Returns:
            0 to 1; 0 where nothing has any influence.

        Example:
            >>> influence = np.array([[9.0, 1.0, 0.0, 0.0]], "float32")
            >>> sight = Sight((0, 0, 4, 1), (slice(0, 1), slice(0, 4)), influence, (0, 0, 4, 1))
            >>> sight.share(0.9), sight.share(0.95)
            (0.25, 0.5)
        """
        inside = np.sort(self.influence[self.support].ravel().astype(float))[::-1]
        if not inside.size or not inside.sum():
            return 0.0
        # Rounding of the sums must not ask for one more.
        reached = np.cumsum(inside) >= part * inside.sum() * (1 - 1e-9)
        return (int(reached.argmax()) + 1) / inside.size

    def draw(
        self,
        image: ImageInput,
        opacity: float = 0.8,
        side: int = 960,
        point: tuple[float, float] | None = None,
        largest: int | None = None,
    ) -> Image.Image:
        """Lay the influence over the image, with the receptive field around it.

        Args:
            image: the upright image, or what it can be read from.
            opacity: of the colour, 0 to 1, where the influence is largest; where there is none the image shows.
            side: as of :func:`cnnapp.explain.heatmap.draw_heat`.
            point: x and y in pixels of the image, marked by a cross.
            largest: likewise.

        Returns:
            A picture of mode RGB.

        Raises:
            DataError: if the image cannot be read.
        """
        picture = image_io.open_rgb(image)
        most = float(self.influence.max()) or 1.0
        # The square root, so that what is weak shows as well.
        shown = np.sqrt(self.influence / most)
        heat = draw_heat(picture, shown, self.region, (-1.0, 1.0), opacity, side, largest=largest)
        return _with_boxes(heat, heat.width / picture.width, [], self.box, point)


def draw_boxes(
    image: ImageInput,
    earlier: Sequence[Box],
    box: Box,
    point: tuple[float, float] | None = None,
    side: int = 960,
    largest: int | None = None,
) -> Image.Image:
    """Draw receptive fields on an image: that of a layer, and thinner those of the layers before it.

    Args:
        image: the upright image, or what it can be read from.
        earlier: of the layers before.
        box: of the layer.
        point: x and y in pixels of the image, marked by a cross.
        side: as of :func:`cnnapp.explain.heatmap.draw_heat`.
        largest: likewise.

    Returns:
        A picture of mode RGB.

    Raises:
        DataError: if the image cannot be read.
    """
    picture = image_io.open_rgb(image)
    large = fitted(picture, side, largest)
    return _with_boxes(large, large.width / picture.width, earlier, box, point)


def _with_boxes(
    picture: Image.Image, factor: float, earlier: Sequence[Box], box: Box, point: tuple[float, float] | None
) -> Image.Image:
    pen = ImageDraw.Draw(picture)
    # Of a picture that is hardly high, lines must leave something to see.
    width = max(1, min(round(max(picture.size) / 200), min(picture.size) // 10))
    for each in earlier:
        _outline(pen, picture.size, each, factor, _EARLIER, max(1, width // 2))
    _outline(pen, picture.size, box, factor, "black", width + 2)
    _outline(pen, picture.size, box, factor, _OUTLINE, width)
    if point is not None:
        x, y = point[0] * factor, point[1] * factor
        arm = 4 * width
        for colour, thick in (("black", width + 2), (_MARK, width)):
            pen.line((x - arm, y, x + arm, y), fill=colour, width=thick)
            pen.line((x, y - arm, x, y + arm), fill=colour, width=thick)
    return picture


def _outline(pen: ImageDraw.ImageDraw, size: tuple[int, int], box: Box, factor: float, colour: str, width: int) -> None:
    """Draw a rectangle just inside its pixels, or along the border of the picture where it reaches over that."""
    left, top, right, bottom = (place * factor for place in box)
    left, top = max(0.0, left), max(0.0, top)
    right, bottom = min(size[0], right) - 1, min(size[1], bottom) - 1
    if right <= left or bottom <= top:
        return
    pen.rectangle((left, top, right, bottom), outline=colour, width=width)
