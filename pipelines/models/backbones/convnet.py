"""A small modern network: 3 x 3 convolutions, batch normalisation, as many stages as the image asks for."""

from __future__ import annotations

import math

import keras

from pipelines.core.errors import ConfigError
from pipelines.models.backbones.backbone import Backbone, Features
from pipelines.models.blocks import block, pooling, standardised

__all__ = ["CONVNET", "convnet", "stages_for"]

_WIDEST = 128
_SMALLEST_MAP = 7
_DROPPED = 0.2


def stages_for(height: int, width: int) -> int:
    """Return how often the image is halved, plus one, so that the last maps are about 7 x 7: two to six stages.

    Example:
        >>> stages_for(8, 8), stages_for(28, 28), stages_for(96, 96)
        (2, 3, 5)
    """
    return min(6, max(2, 1 + round(math.log2(min(height, width) / _SMALLEST_MAP))))


def convnet(
    pixels: keras.KerasTensor,
    mean: float,
    deviation: float,
    *,
    conv: str = "standard",
    pool: str = "max",
    norm: str = "batch",
    padding: str = "same",
    deepest: int | None = None,
) -> Features:
    """Build stages of two 3 x 3 convolutions each, with pooling between them.

    The widths double from stage to stage up to 128. The convolutions of the last stage are of the kind ``conv``:
    kernels that are not shared belong behind ones that are (Taigman 2014), and dilation belongs where maps are small
    (Yu 2017).

    Args:
        pixels: images, 0 to 255.
        mean: of the training pixels.
        deviation: their standard deviation.
        conv: kind of the last stage's convolutions.
        pool: kind of the poolings.
        norm: kind of the normalization behind each convolution.
        padding: "same" or "valid".
        deepest: the stride of the last stage; None for as many stages as the image's size asks for.

    Returns:
        What each stage ends with, by its stride.

    Raises:
        ConfigError: if neither the stride of the last stage nor the image's size is known.

    Reference:
        Simonyan, Zisserman (2015), "Very Deep Convolutional Networks for Large-Scale Image Recognition";
        Ioffe, Szegedy (2015), "Batch Normalization"; Lin, Chen, Yan (2014), "Network In Network";
        Taigman, Yang, Ranzato, Wolf (2014), "DeepFace"; Yu, Koltun, Funkhouser (2017), "Dilated Residual Networks".
    """
    height, width = pixels.shape[1:3]
    if deepest is None and (height is None or width is None):
        raise ConfigError("backbone 'convnet' needs to know the image's size, or the stride to go down to")
    stages = stages_for(height, width) if deepest is None else 1 + round(math.log2(deepest))
    x = standardised(pixels, mean, deviation)
    found = {}
    for stage in range(stages):
        filters = max(16, _WIDEST >> (stages - 1 - stage))
        if stage:
            x = pooling(pool, same=padding == "same", name=f"pool{stage}")(x)
        for number in (1, 2):
            kind = conv if stage == stages - 1 else "standard"
            x = block(x, kind, filters, norm, f"stage{stage + 1}_conv{number}", padding)
        found[2**stage] = x
    return found


def _dropout(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.Dropout(_DROPPED, name="dropout")(x)


CONVNET = Backbone(
    name="convnet",
    function=convnet,
    strides=(1, 2, 4, 8, 16, 32),
    padding=("same", "valid"),
    exact=True,
    smallest=4,
    head="average",
    top=_dropout,
)
