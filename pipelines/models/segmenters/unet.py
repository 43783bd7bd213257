"""U-Net: down to coarse maps that see far, and up again with the fine maps of the way down beside them."""

from __future__ import annotations

import math

import keras

from pipelines.models.blocks import PLAIN, BilinearDoubling, convolution, normalized, pooling

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
) -> keras.Model:
    """Build a U-Net.

    Unlike the original, convolutions are padded, so that the answer is as large as the image, and normalized; and the
    scores of every stage on the way up are added, as in :func:`pipelines.models.segmenters.fcn.fcn`. Without that the
    coarse stages, which alone see whole objects, learn next to nothing in the first thousands of steps.

    Args:
        channels: 1 or 3.
        classes: number of classes.
        conv: kind of the two convolutions of each stage.
        pool: kind of the poolings: "max", "average" or "l2".
        mean: of the training pixels, 0 to 255.
        deviation: standard deviation of the training pixels.
        filters: of the first stage; each stage down has twice as many.
        depth: number of poolings.
        stride: 1, or 2 or 4 for a first convolution with that stride, which makes large images cheaper.
        upsampling: what follows such a stride: "bilinear" leaves it to the saved model to read between the scores;
            "learned" adds, for every pixel, scores of its own by a transposed convolution, which finds borders that lie
            between the positions.

    Returns:
        A model from float32 images (batch, height, width, channels), 0 to 255, with height and width multiples of
        ``stride * 2 ** depth``, to float32 logits (batch, height / stride, width / stride, classes), or with
        learned upsampling (batch, height, width, classes). With the defaults it has 0.49 million parameters.

    Example:
        >>> unet(1, 3)(keras.ops.zeros((1, 16, 24, 1))).shape == (1, 16, 24, 3)
        True

    Reference:
        Ronneberger, Fischer, Brox (2015), "U-Net: Convolutional Networks for Biomedical Image Segmentation"; Shi et al.
        (2016), "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural
        Network" (learned upsampling).
    """
    pixels = keras.Input((None, None, channels), name="pixels")
    x = keras.layers.Rescaling(1.0 / deviation, -mean / deviation, name="standardise")(pixels)
    if stride > 1:
        layer = keras.layers.Conv2D(filters, 2 * stride, strides=stride, padding="same", **PLAIN, name="first_conv")
        x = normalized(x, layer)
    fine = []
    for stage in range(depth):
        x = _stage(x, conv, filters * 2**stage, f"down{stage + 1}")
        fine.append(x)
        x = pooling(pool, name=f"pool{stage + 1}")(x)
    x = _stage(x, conv, filters * 2**depth, "bottom")
    logits = _scores(x, classes, "scores_bottom")
    for stage in reversed(range(depth)):
        up = keras.layers.Conv2DTranspose(
            filters * 2**stage, 2, strides=2, kernel_initializer="he_normal", name=f"up{stage + 1}"
        )
        x = keras.layers.Concatenate(name=f"join{stage + 1}")([fine[stage], up(x)])
        x = _stage(x, conv, filters * 2**stage, f"fine{stage + 1}")
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


def _stage(x: keras.KerasTensor, conv: str, filters: int, name: str) -> keras.KerasTensor:
    for number in (1, 2):
        x = normalized(x, convolution(conv, filters, 3, padding="same", **PLAIN, name=f"{name}_conv{number}"))
    return x
