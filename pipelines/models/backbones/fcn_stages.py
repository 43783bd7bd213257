"""The five stages of a fully convolutional network."""

from __future__ import annotations

import keras

from pipelines.models.backbones.backbone import Backbone, Features
from pipelines.models.blocks import block, pooling, standardised

__all__ = ["FCN", "fcn_stages"]

_FILTERS = (16, 32, 64, 96, 128)


def fcn_stages(
    pixels: keras.KerasTensor,
    mean: float,
    deviation: float,
    *,
    conv: str = "standard",
    pool: str = "max",
    norm: str = "batch",
    deepest: int | None = None,
) -> Features:
    """Build stages of two padded 3 x 3 convolutions and a pooling, of 16, 32, 64, 96 and 128 filters.

    Args:
        pixels: images, 0 to 255.
        mean: of the training pixels.
        deviation: their standard deviation.
        conv: kind of the convolutions.
        pool: kind of the poolings.
        norm: kind of the normalization behind each convolution.
        deepest: the stride behind the last pooling; None for 32.

    Returns:
        What each pooling gives, by its stride.

    Reference:
        Long, Shelhamer, Darrell (2015), "Fully Convolutional Networks for Semantic Segmentation".
    """
    x = standardised(pixels, mean, deviation)
    found: Features = {}
    for stage, filters in enumerate(_FILTERS, start=1):
        if max(found, default=1) == deepest:
            break
        for number in (1, 2):
            x = block(x, conv, filters, norm, f"stage{stage}_conv{number}")
        x = pooling(pool, same=True, name=f"pool{stage}")(x)
        found[2**stage] = x
    return found


FCN = Backbone(name="fcn", function=fcn_stages, strides=(2, 4, 8, 16, 32), smallest=32)
