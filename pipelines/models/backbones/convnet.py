"""A small modern network: 3 x 3 convolutions, batch normalisation, global average pooling."""

from __future__ import annotations

import math

import keras

from layers import FusedBatchNormalization
from pipelines.core.errors import ConfigError
from pipelines.models.blocks import POOLINGS, convolution, pooling

__all__ = ["POOL", "convnet", "default_size", "stages_for"]

POOL = "max"
"""The pooling the network is meant for."""

_WIDEST = 128
_SMALLEST_MAP = 7
_LARGEST_SIDE = 96


def default_size(native: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) the network sees by default: the images' own, at most 96 on the longer side."""
    scale = min(1.0, _LARGEST_SIDE / max(native))
    return max(4, round(native[0] * scale)), max(4, round(native[1] * scale))


def stages_for(height: int, width: int) -> int:
    """Return how often the image is halved, plus one, so that the last maps are about 7 x 7: two to six stages.

    Example:
        >>> stages_for(8, 8), stages_for(28, 28), stages_for(96, 96)
        (2, 3, 5)
    """
    return min(6, max(2, 1 + round(math.log2(min(height, width) / _SMALLEST_MAP))))


def convnet(
    input_shape: tuple[int, int, int],
    classes: int,
    conv: str = "standard",
    pool: str = POOL,
) -> keras.Model:
    """Build a network of stages of two 3 x 3 convolutions each, with pooling between them.

    The widths double from stage to stage up to 128. The convolutions of the last stage are of the kind ``conv``:
    kernels that are not shared belong behind ones that are (Taigman 2014), and dilation belongs where maps are small
    (Yu 2017).

    Args:
        input_shape: (height, width, channels), each side at least 4.
        classes: number of classes.
        conv: "standard", "dilated", "tiled" or "unshared".
        pool: "max", "average" or "l2".

    Returns:
        A model from standardised float images of shape (batch, height, width, channels) to logits (batch, classes).

    Raises:
        ConfigError: if the pooling is none of these.

    Example:
        >>> convnet((28, 28, 1), 10).count_params()
        288554

    Reference:
        Simonyan, Zisserman (2015), "Very Deep Convolutional Networks for Large-Scale Image Recognition";
        Ioffe, Szegedy (2015), "Batch Normalization"; Lin, Chen, Yan (2014), "Network In Network";
        Taigman, Yang, Ranzato, Wolf (2014), "DeepFace"; Yu, Koltun, Funkhouser (2017), "Dilated Residual Networks".
    """
    if pool not in POOLINGS:
        raise ConfigError(f"pooling {pool!r} belongs to lenet5; convnet takes: {', '.join(POOLINGS)}")
    images = keras.Input(input_shape, name="images")
    x: keras.KerasTensor = images
    stages = stages_for(*input_shape[:2])
    for stage in range(stages):
        last = stage == stages - 1
        filters = max(16, _WIDEST >> (stages - 1 - stage))
        if stage:
            x = pooling(pool, name=f"pool{stage}")(x)
        for number in (1, 2):
            x = _block(conv if last else "standard", filters, f"stage{stage + 1}_conv{number}", x)
    x = keras.layers.GlobalAveragePooling2D(name="global_pool")(x)
    x = keras.layers.Dropout(0.2, name="dropout")(x)
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name="convnet")


def _block(kind: str, filters: int, name: str, x: keras.KerasTensor) -> keras.KerasTensor:
    layer = convolution(kind, filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)
    x = FusedBatchNormalization(momentum=0.9, name=f"{name}_norm")(layer(x))
    return keras.layers.ReLU(name=f"{name}_relu")(x)
