"""Where two answers for one image differ, as a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cnnapp.results.detections import Detection, Detections, ObjectDifference
from cnnapp.results.segmentation import PixelDifference
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput

__all__ = ["draw_pixels", "only_alone"]

_MARK = np.array([213, 94, 0], np.float32)  # vermilion of Okabe and Ito
_PALE = 0.35


def draw_pixels(difference: PixelDifference, image: ImageInput, side: int = 480, largest: int = 2048) -> Image.Image:
    """Draw where pixels are of another class: in vermilion on the image in pale grey.

    Args:
        difference: of two segmentations.
        image: the image.
        side: the longer side of the drawing, in pixels, unless the image is larger; tiny images are enlarged by whole
            pixels.
        largest: every n-th pixel of every n-th row is drawn, so that no side is longer, in pixels; a pixel counts as
            other where any of those that it stands for is.

    Returns:
        A picture of mode RGB.

    Raises:
        DataError: if the image cannot be read.
    """
    step = max(1, -(-max(difference.differs.shape) // largest))
    grey = np.asarray(image_io.open_rgb(image).convert("L"), np.float32)[::step, ::step]
    pixels = np.repeat((255 - _PALE * (255 - grey))[..., None], 3, axis=2)
    pixels[_any(difference.differs, step)] = _MARK
    picture = Image.fromarray(np.rint(pixels).astype(np.uint8))
    factor = max(1, side // max(picture.size))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def _any(flags: np.ndarray, step: int) -> np.ndarray:
    """Return whether any flag of each square of some side is set, so that thin differences stay visible."""
    height, width = (-(-length // step) for length in flags.shape)
    padded = np.zeros((height * step, width * step), bool)
    padded[: flags.shape[0], : flags.shape[1]] = flags
    return np.asarray(padded.reshape(height, step, width, step).any(axis=(1, 3)))


def only_alone(difference: ObjectDifference, second: bool = False) -> Detections:
    """Return what only one of two detectors found, to be drawn.

    Args:
        difference: of the two.
        second: what the second found, instead of the first.
    """
    whole: Detections = difference.second if second else difference.first
    alone: tuple[Detection, ...] = difference.second_only if second else difference.first_only
    return Detections(
        whole.source,
        np.array([each.box for each in alone], np.float32).reshape(-1, 4),
        np.array([each.score for each in alone], np.float32),
        np.array([each.class_id for each in alone], np.int64),
        whole.class_names,
    )
