"""Fully convolutional networks with heads at a stride of 32, 16 or 8: coarse scores, refined by those of finer maps."""

from __future__ import annotations

import keras

from pipelines.models.blocks import PLAIN, BilinearDoubling, convolution, normalized, pooling

__all__ = ["HEADS", "fcn"]

HEADS = (32, 16, 8)

_FILTERS = (16, 32, 64, 96, 128)


def fcn(
    channels: int,
    classes: int,
    conv: str = "standard",
    pool: str = "max",
    mean: float = 127.5,
    deviation: float = 64.0,
    head: int = 8,
) -> keras.Model:
    """Build a fully convolutional network: five stages of two convolutions and a pooling, and scores of the last maps.

    Args:
        channels: 1 or 3.
        classes: number of classes.
        conv: kind of the two convolutions of each stage.
        pool: kind of the poolings: "max", "average" or "l2".
        mean: of the training pixels, 0 to 255.
        deviation: standard deviation of the training pixels.
        head: 32 for the scores of the last pooling alone; 16 adds those of the one before, 8 those before that.

    Returns:
        A model from float32 images (batch, height, width, channels), 0 to 255, with height and width multiples of 32,
        to float32 logits (batch, height / head, width / head, classes).

    Example:
        >>> fcn(3, 5)(keras.ops.zeros((1, 32, 64, 3))).shape == (1, 4, 8, 5)
        True

    Reference:
        Long, Shelhamer, Darrell (2015), "Fully Convolutional Networks for Semantic Segmentation".
    """
    if head not in HEADS:
        raise ValueError(f"`head` must be 32, 16 or 8. Received: head={head}.")
    pixels = keras.Input((None, None, channels), name="pixels")
    x = keras.layers.Rescaling(1.0 / deviation, -mean / deviation, name="standardise")(pixels)
    maps = {}
    for stage, filters in enumerate(_FILTERS, start=1):
        for number in (1, 2):
            layer = convolution(conv, filters, 3, padding="same", **PLAIN, name=f"stage{stage}_conv{number}")
            x = normalized(x, layer)
        x = pooling(pool, name=f"pool{stage}")(x)
        maps[2**stage] = x
    x = normalized(x, keras.layers.Conv2D(2 * _FILTERS[-1], 1, **PLAIN, name="hidden"))
    logits = _scores(x, classes, 32)
    for stride in HEADS[1:]:
        if stride >= head:
            up = BilinearDoubling(dtype="float32", name=f"up{stride}")(logits)
            finer = _scores(maps[stride], classes, stride)
            logits = keras.layers.Add(dtype="float32", name=f"add{stride}")([up, finer])
    return keras.Model(pixels, logits, name=f"fcn{head}s")


def _scores(x: keras.KerasTensor, classes: int, stride: int) -> keras.KerasTensor:
    return keras.layers.Conv2D(classes, 1, dtype="float32", name=f"scores{stride}")(x)
