"""The way down of a U-Net."""

from __future__ import annotations

import math

import keras

from pipelines.models.backbones.backbone import Backbone, Features
from pipelines.models.blocks import block, normalized, plain, pooling, standardised

__all__ = ["UNET", "unet_encoder"]


def unet_encoder(
    pixels: keras.KerasTensor,
    mean: float,
    deviation: float,
    *,
    conv: str = "standard",
    pool: str = "max",
    norm: str = "batch",
    deepest: int | None = None,
    filters: int = 16,
    depth: int = 3,
    stride: int = 1,
) -> Features:
    """Build stages of two padded 3 x 3 convolutions, with pooling between them.

    Args:
        pixels: images, 0 to 255.
        mean: of the training pixels.
        deviation: their standard deviation.
        conv: kind of the convolutions.
        pool: kind of the poolings.
        norm: kind of the normalization behind each convolution.
        deepest: the stride of the last stage; None for that of ``depth`` poolings.
        filters: of the first stage; each stage down has twice as many.
        depth: number of poolings.
        stride: 1, or 2 or 4 for a first convolution with that stride, which makes large images cheaper.

    Returns:
        What each stage ends with, by its stride.

    Reference:
        Ronneberger, Fischer, Brox (2015), "U-Net: Convolutional Networks for Biomedical Image Segmentation".
    """
    depth = depth if deepest is None else round(math.log2(deepest / stride))
    x = standardised(pixels, mean, deviation)
    if stride > 1:
        layer = keras.layers.Conv2D(
            filters, 2 * stride, strides=stride, padding="same", **plain(norm), name="first_conv"
        )
        x = normalized(x, layer, norm)
    found = {}
    for stage in range(depth + 1):
        name = f"down{stage + 1}" if stage < depth else "bottom"
        for number in (1, 2):
            x = block(x, conv, filters * 2**stage, norm, f"{name}_conv{number}")
        found[stride * 2**stage] = x
        if stage < depth:
            x = pooling(pool, same=True, name=f"pool{stage + 1}")(x)
    return found


UNET = Backbone(name="unet", function=unet_encoder, strides=(1, 2, 4, 8, 16, 32, 64, 128, 256), smallest=8)
