"""Fully convolutional networks with heads at a stride of 32, 16 or 8: coarse scores, refined by those of finer maps."""

from __future__ import annotations

import keras

from pipelines.models.backbones import find_backbone
from pipelines.models.blocks import normalized, plain
from pipelines.models.segmenters.doubling import BilinearDoubling

__all__ = ["HEADS", "fcn"]

HEADS = (32, 16, 8)

_HIDDEN = 256


def fcn(
    channels: int,
    classes: int,
    conv: str = "standard",
    pool: str = "max",
    mean: float = 127.5,
    deviation: float = 64.0,
    head: int = 8,
    *,
    norm: str = "batch",
    backbone: str = "fcn",
) -> keras.Model:
    """Build a fully convolutional network: a backbone, and scores of its coarsest features.

    Args:
        channels: 1 or 3.
        classes: number of classes.
        conv: kind of the backbone's convolutions.
        pool: kind of its poolings.
        mean: of the training pixels, 0 to 255.
        deviation: standard deviation of the training pixels.
        head: 32 for the scores of the features of that stride alone; 16 adds those of half of it, 8 those of a quarter.
        norm: kind of the normalizations.
        backbone: name of a network from images to features, of strides of 32 and down to ``head``.

    Returns:
        A model from float32 images (batch, height, width, channels), 0 to 255, with height and width multiples of 32,
        to float32 logits (batch, height / head, width / head, classes).

    Raises:
        ConfigError: if the backbone or a kind does not fit.

    Example:
        >>> fcn(3, 5)(keras.ops.zeros((1, 32, 64, 3))).shape == (1, 4, 8, 5)
        True

    Reference:
        Long, Shelhamer, Darrell (2015), "Fully Convolutional Networks for Semantic Segmentation".
    """
    if head not in HEADS:
        raise ValueError(f"`head` must be 32, 16 or 8. Received: head={head}.")
    pixels = keras.Input((None, None, channels), name="pixels")
    needs = tuple(stride for stride in HEADS if stride >= head)
    kinds = {"conv": conv, "pool": pool, "norm": norm}
    maps = find_backbone(backbone).features(pixels, mean, deviation, needs=needs, padding="same", exact=True, **kinds)
    x = normalized(maps[32], keras.layers.Conv2D(_HIDDEN, 1, **plain(norm), name="hidden"), norm)
    logits = _scores(x, classes, 32)
    for stride in HEADS[1:]:
        if stride >= head:
            up = BilinearDoubling(dtype="float32", name=f"up{stride}")(logits)
            finer = _scores(maps[stride], classes, stride)
            logits = keras.layers.Add(dtype="float32", name=f"add{stride}")([up, finer])
    return keras.Model(pixels, logits, name=f"fcn{head}s")


def _scores(x: keras.KerasTensor, classes: int, stride: int) -> keras.KerasTensor:
    return keras.layers.Conv2D(classes, 1, dtype="float32", name=f"scores{stride}")(x)
