"""What a detector says of every window, as a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cnnapp.predictor import Predictor

__all__ = ["draw_score_map"]


def draw_score_map(model: Predictor, image: Image.Image, class_id: int, side: int = 960) -> Image.Image:
    """Draw the scores of a class over an image.

    Args:
        model: a detector.
        image: of mode RGB, upright.
        class_id: index of the class.
        side: the longer side of the drawing, in pixels, unless the image is larger; tiny images are enlarged by whole
            pixels.

    Returns:
        The image in grey under the scores in colour, each on the square of its window's step.

    Raises:
        ModelError: if the model is no detector.
    """
    from matplotlib import colormaps

    scores = model.score_map(np.asarray(image))[..., class_id]
    scale, stride = float(model.card.training["scale"]), int(model.card.input["stride"])
    factor = max(1, side // max(image.size))
    size = (image.width * factor, image.height * factor)
    # A window's score belongs to the square of `stride` network pixels around its centre.
    step = stride / scale * factor
    columns = np.minimum((np.arange(size[0]) / step).astype(int), scores.shape[1] - 1)
    rows = np.minimum((np.arange(size[1]) / step).astype(int), scores.shape[0] - 1)
    heat = colormaps["inferno"](scores)[rows[:, None], columns][..., :3] * 255
    grey = np.asarray(image.convert("L").resize(size, Image.Resampling.NEAREST), float)[..., None]
    return Image.fromarray(np.round(0.4 * grey + 0.6 * heat).astype(np.uint8))
