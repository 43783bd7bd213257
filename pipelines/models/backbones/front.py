"""The short front end of dilated networks: down to a stride of 4, and no further."""

from __future__ import annotations

import keras

from pipelines.models.backbones.backbone import Backbone, Features
from pipelines.models.blocks import block, pooling, standardised

__all__ = ["FRONT", "front"]

_FILTERS = (16, 32, 64)


def front(
    pixels: keras.KerasTensor,
    mean: float,
    deviation: float,
    *,
    conv: str = "standard",
    pool: str = "max",
    norm: str = "batch",
) -> Features:
    """Build three stages of two padded 3 x 3 convolutions, of 16, 32 and 64 filters, with pooling between them.

    Args:
        pixels: images, 0 to 255.
        mean: of the training pixels.
        deviation: their standard deviation.
        conv: kind of the convolutions.
        pool: kind of the poolings.
        norm: kind of the normalization behind each convolution.

    Returns:
        What each stage ends with, at strides of 1, 2 and 4.

    Reference:
        Yu, Koltun (2016), "Multi-Scale Context Aggregation by Dilated Convolutions".
    """
    x = standardised(pixels, mean, deviation)
    found: Features = {}
    for stage, filters in enumerate(_FILTERS, start=1):
        for number in (1, 2):
            x = block(x, conv, filters, norm, f"stage{stage}_conv{number}")
        found[2 ** (stage - 1)] = x
        if stage < len(_FILTERS):
            x = pooling(pool, same=True, name=f"pool{stage}")(x)
    return found


FRONT = Backbone(name="front", function=front, strides=(1, 2, 4), smallest=4)
