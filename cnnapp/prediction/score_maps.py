"""What a detector says of every window, as a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cnnapp.explain.heatmap import draw_heat
from cnnapp.prediction.predictor import Predictor

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
    scores = model.score_map(np.asarray(image))[..., class_id]
    # A window's score belongs to the square of `stride` network pixels around its centre.
    step = int(model.card.input["stride"]) / float(model.card.training["scale"])
    region = (0.0, 0.0, scores.shape[1] * step, scores.shape[0] * step)
    return draw_heat(image, scores, region, (0.0, 1.0), side=side)
