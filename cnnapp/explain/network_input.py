"""What a network is shown of an image, and where in the image it lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnapp.results.answer import Unit
from cnnapp.results.table import answer_type
from pipelines.artifacts.model_card import ModelCard
from pipelines.core.errors import DataError
from pipelines.core.tensorflow_errors import undecodable
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput

__all__ = ["Box", "Shown", "show"]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the upright image."""


@dataclass(frozen=True, eq=False)
class Shown:
    """The pixels that a network is given for an image, and the place of each in the image.

    Args:
        pixels: float32 of shape (height, width, channels), 0 to 255.
        size: height and width of the upright image, in pixels.
        start: the row and the column of the image at which the first pixel begins; below 0 where there is something
            around the image.
        step: how high and how wide a pixel is, in pixels of the image.

    Example:
        >>> shown = Shown(np.zeros((4, 4, 1), "float32"), (8, 16), (0.0, 0.0), (2.0, 4.0))
        >>> shown.box(slice(0, 2), slice(1, 3))
        (4.0, 0.0, 12.0, 4.0)
        >>> shown.place(6.0, 1.0)
        (0.0, 1.0)
    """

    pixels: np.ndarray
    size: tuple[int, int]
    start: tuple[float, float]
    step: tuple[float, float]

    @property
    def region(self) -> Box:
        """What all pixels together cover."""
        return self.box(slice(0, self.pixels.shape[0]), slice(0, self.pixels.shape[1]))

    def box(self, rows: slice, columns: slice) -> Box:
        """Return where some of the network's rows and columns lie in the image."""
        (top, left), (high, wide) = self.start, self.step
        return left + columns.start * wide, top + rows.start * high, left + columns.stop * wide, top + rows.stop * high

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return the row and the column of the network's pixels at a point of the image.

        Args:
            x: in pixels of the image, whose left border is 0.
            y: likewise, from the top.

        Returns:
            Positions, not rounded; a pixel's own middle is its index.
        """
        return (y - self.start[0]) / self.step[0] - 0.5, (x - self.start[1]) / self.step[1] - 0.5


def show(card: ModelCard, image: ImageInput, name: str) -> Shown:
    """Return what a network is shown of an image, by the functions that its saved model is made of.

    Args:
        card: of the saved model.
        image: a path, encoded bytes, an array or a Pillow image.
        name: how errors call it.

    Returns:
        Of a detector it is the level of the pyramid that the network was trained at.

    Raises:
        DataError: if the image cannot be read.
    """
    import tensorflow as tf

    from pipelines.images import preprocessing

    data = image_io.read(image, name)
    try:
        pixels = preprocessing.decode(tf.constant(data))
    except tf.errors.InvalidArgumentError as error:
        raise DataError(f"{name}: {undecodable(error)}") from None
    return _WAYS[answer_type(card.task).unit](card, pixels)


def _whole(card: ModelCard, image: Any) -> Shown:
    import tensorflow as tf

    from pipelines.images import preprocessing

    spec = preprocessing.ImageSpec(**card.input)
    start, step = preprocessing.view(tf.shape(image)[:2], spec)
    return _shown(preprocessing.prepare(image, spec), image, start.numpy(), step.numpy())


def _level(card: ModelCard, image: Any) -> Shown:
    import tensorflow as tf

    from pipelines.detection import sliding_window
    from pipelines.images import preprocessing

    spec, scale = sliding_window.ScanSpec.from_json(card.input), float(card.training["scale"])
    step = _step(image, preprocessing.scaled_size(image, scale))
    # Windows at the border reach over it by this many pixels.
    margin = np.array([(side - spec.stride) // 2 for side in spec.window])
    return _shown(sliding_window.level(image, tf.constant(scale), spec), image, -margin * step, step)


def _every_pixel(card: ModelCard, image: Any) -> Shown:
    import tensorflow as tf

    from pipelines.images import preprocessing
    from pipelines.segmentation import dense_prediction

    spec = dense_prediction.LabelSpec.from_json(card.input)
    step = _step(image, preprocessing.scaled(tf.shape(image)[:2], spec.scale))
    return _shown(dense_prediction.network_pixels(image[None], spec)[0], image, np.zeros(2), step)


_WAYS: dict[Unit, Callable[..., Shown]] = {"image": _whole, "window": _level, "pixel": _every_pixel}
"""By what a unit at the end of the network decides for."""


def _step(image: Any, scaled: Any) -> np.ndarray:
    """Return the side of a pixel of a scaled image, whose size was rounded to whole pixels."""
    step: np.ndarray = np.array(image.shape[:2]) / scaled.numpy()
    return step


def _shown(pixels: Any, image: Any, start: np.ndarray, step: np.ndarray) -> Shown:
    found = np.asarray(pixels, np.float32)
    found.setflags(write=False)
    return Shown(
        found,
        (int(image.shape[0]), int(image.shape[1])),
        (float(start[0]), float(start[1])),
        (float(step[0]), float(step[1])),
    )
