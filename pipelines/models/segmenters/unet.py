"""U-Net: down to coarse maps that see far, and up again with the fine maps of the way down beside them."""

from __future__ import annotations

import math

import keras

from pipelines.models.backbones import find_backbone
from pipelines.models.blocks import block
from pipelines.models.segmenters.doubling import BilinearDoubling

__all__ = ["unet"]


def unet(
    channels: int,
    classes: int,
    conv: str = "standard",
    pool: str = "max",
    mean: float = 127.5,
    deviation: float = 64.0,
    filters: int = 16,
    depth: int = 3,
    stride: int = 1,
    upsampling: str = "bilinear",
    *,
    norm: str = "batch",
    backbone: str = "unet",
) -> keras.Model:
    """Build a U-Net.

    Unlike the original, convolutions are padded, so that the answer is as large as the image, and normalized; and the
    scores of every stage on the way up are added, as in :func:`pipelines.models.segmenters.fcn.fcn`. Without that the
    coarse stages, which alone see whole objects, learn next to nothing in the first thousands of steps.

    Args:
        channels: 1 or 3.
        classes: number of classes.
        conv: kind of the two convolutions of each stage.
        pool: kind of the poolings.
        mean: of the training pixels, 0 to 255.
        deviation: standard deviation of the training pixels.
        filters: of the first stage; each stage down has twice as many.
        depth: number of times that the way down halves the maps.
        stride: of the finest features that are used: 1, or 2 or 4, which makes large images cheaper; the U-Net's own
            way down then begins with a convolution of that stride.
        upsampling: what follows such a stride: "bilinear" leaves it to the saved model to read between the scores;
            "learned" adds, for every pixel, scores of its own by a transposed convolution, which finds borders that lie
            between the positions.
        norm: kind of the normalizations.
        backbone: name of a network from images to features, for the way down; it has those of ``stride``, and of twice
            that and so on.

    Returns:
        A model from float32 images (batch, height, width, channels), 0 to 255, with height and width multiples of
        ``stride * 2 ** depth``, to float32 logits (batch, height / stride, width / stride, classes), or with
        learned upsampling (batch, height, width, classes). With the defaults it has 0.49 million parameters.

    Raises:
        ConfigError: if the backbone or a kind does not fit.

    Example:
        >>> unet(1, 3)(keras.ops.zeros((1, 16, 24, 1))).shape == (1, 16, 24, 3)
        True

    Reference:
        Ronneberger, Fischer, Brox (2015), "U-Net: Convolutional Networks for Biomedical Image Segmentation"; Shi et al.
        (2016), "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural
        Network" (learned upsampling).
    """
    pixels = keras.Input((None, None, channels), name="pixels")
    found = find_backbone(backbone)
    needs = tuple(stride * 2**stage for stage in range(depth + 1))
    kinds = {"conv": conv, "pool": pool, "norm": norm}
    own = {name: value for name, value in (("filters", filters), ("stride", stride)) if name in found.options}
    fine = found.features(pixels, mean, deviation, needs=needs, padding="same", exact=True, **kinds, **own)
    x = fine[needs[-1]]
    logits = _scores(x, classes, "scores_bottom")
    for stage in reversed(range(depth)):
        up = keras.layers.Conv2DTranspose(
            filters * 2**stage, 2, strides=2, kernel_initializer="he_normal", name=f"up{stage + 1}"
        )
        x = keras.layers.Concatenate(name=f"join{stage + 1}")([fine[needs[stage]], up(x)])
        for number in (1, 2):
            x = block(x, conv, filters * 2**stage, norm, f"fine{stage + 1}_conv{number}")
        coarse = BilinearDoubling(dtype="float32", name=f"double{stage + 1}")(logits)
        own = _scores(x, classes, f"scores{stage + 1}")
        logits = keras.layers.Add(dtype="float32", name=f"add{stage + 1}")([coarse, own])
    if stride > 1 and upsampling == "learned":
        for doubling in range(round(math.log2(stride))):
            logits = BilinearDoubling(dtype="float32", name=f"double0_{doubling + 1}")(logits)
        own = keras.layers.Conv2DTranspose(classes, stride, strides=stride, name="scores0")(x)
        logits = keras.layers.Add(dtype="float32", name="add0")([logits, own])
    return keras.Model(pixels, logits, name="unet")


def _scores(x: keras.KerasTensor, classes: int, name: str) -> keras.KerasTensor:
    return keras.layers.Conv2D(classes, 1, dtype="float32", name=name)(x)
