"""Dilated networks: a short front end, then convolutions whose holes widen, so that each position sees far."""

from __future__ import annotations

import keras

from layers import DilatedConv2D
from pipelines.models.backbones import find_backbone
from pipelines.models.blocks import normalized, plain

__all__ = ["ASPP_RATES", "CONTEXT_RATES", "aspp", "dilated"]

CONTEXT_RATES = (1, 1, 2, 4, 8, 16, 1)
"""Of the context module, as published: what one rate leaves out the smaller ones before it have seen."""
ASPP_RATES = (3, 6, 12)
"""Of the pyramid's branches, in positions of a stride of 4; the original has 6, 12 and 18 in those of 16."""

_FILTERS = 96
_STRIDE = 4


def dilated(
    channels: int,
    classes: int,
    conv: str = "standard",
    pool: str = "max",
    mean: float = 127.5,
    deviation: float = 64.0,
    *,
    norm: str = "batch",
    backbone: str = "front",
) -> keras.Model:
    """Build a front end of stride 4 and the context module: seven convolutions of 3 x 3, dilated as CONTEXT_RATES say.

    Args:
        channels: 1 or 3.
        classes: number of classes.
        conv: kind of the front end's convolutions.
        pool: kind of its poolings.
        mean: of the training pixels, 0 to 255.
        deviation: standard deviation of the training pixels.
        norm: kind of the normalizations.
        backbone: name of the front end: a network from images to features of stride 4.

    Returns:
        A model from float32 images (batch, height, width, channels), 0 to 255, with height and width multiples of 4, to
        float32 logits (batch, height / 4, width / 4, classes).

    Raises:
        ConfigError: if the backbone or a kind does not fit.

    Example:
        >>> dilated(3, 5)(keras.ops.zeros((1, 32, 64, 3))).shape == (1, 8, 16, 5)
        True

    Reference:
        Yu, Koltun (2016), "Multi-Scale Context Aggregation by Dilated Convolutions".
    """
    pixels, x = _front(backbone, channels, mean, deviation, conv=conv, pool=pool, norm=norm)
    for number, rate in enumerate(CONTEXT_RATES, start=1):
        layer = DilatedConv2D(_FILTERS, 3, padding="same", dilation_rate=rate, **plain(norm), name=f"context{number}")
        x = normalized(x, layer, norm)
    return keras.Model(pixels, _scores(x, classes), name="dilated")


def aspp(
    channels: int,
    classes: int,
    conv: str = "standard",
    pool: str = "max",
    mean: float = 127.5,
    deviation: float = 64.0,
    image_pooling: bool = False,
    *,
    norm: str = "batch",
    backbone: str = "front",
) -> keras.Model:
    """Build a front end of stride 4 and a pyramid: the same map through holes of several widths, side by side.

    The original's branch of the whole image's mean is left out unless asked for: with it no piece of an image can be
    answered alone.

    Args:
        channels: 1 or 3.
        classes: number of classes.
        conv: kind of the front end's convolutions.
        pool: kind of its poolings.
        mean: of the training pixels, 0 to 255.
        deviation: standard deviation of the training pixels.
        image_pooling: add the mean over the whole image as a branch.
        norm: kind of the normalizations.
        backbone: name of the front end: a network from images to features of stride 4.

    Returns:
        A model as of :func:`dilated`.

    Raises:
        ConfigError: as of :func:`dilated`.

    Example:
        >>> aspp(3, 5)(keras.ops.zeros((1, 32, 64, 3))).shape == (1, 8, 16, 5)
        True

    Reference:
        Chen, Papandreou, Schroff, Adam (2017), "Rethinking Atrous Convolution for Semantic Image Segmentation".
    """
    pixels, x = _front(backbone, channels, mean, deviation, conv=conv, pool=pool, norm=norm)
    # Rates that rise slowly before the pyramid's wide ones, so that no position between their taps goes unseen.
    for number, rate in enumerate((1, 2), start=1):
        layer = DilatedConv2D(_FILTERS, 3, padding="same", dilation_rate=rate, **plain(norm), name=f"deep{number}")
        x = normalized(x, layer, norm)
    branches = [normalized(x, keras.layers.Conv2D(_FILTERS // 2, 1, **plain(norm), name="branch1"), norm)]
    for rate in ASPP_RATES:
        layer = DilatedConv2D(
            _FILTERS // 2, 3, padding="same", dilation_rate=rate, **plain(norm), name=f"branch_rate{rate}"
        )
        branches.append(normalized(x, layer, norm))
    if image_pooling:
        mean_map = keras.layers.GlobalAveragePooling2D(keepdims=True, name="image_mean")(x)
        mean_map = normalized(mean_map, keras.layers.Conv2D(_FILTERS // 2, 1, **plain(norm), name="branch_image"), norm)
        # The mean is the same everywhere; added to a map it is spread over all of its positions.
        branches[0] = keras.layers.Add(name="with_image")([branches[0], mean_map])
    x = keras.layers.Concatenate(name="pyramid")(branches)
    x = normalized(x, keras.layers.Conv2D(_FILTERS, 1, **plain(norm), name="joined"), norm)
    return keras.Model(pixels, _scores(x, classes), name="aspp")


def _front(
    backbone: str, channels: int, mean: float, deviation: float, **kinds: str
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    pixels = keras.Input((None, None, channels), name="pixels")
    found = find_backbone(backbone).features(
        pixels, mean, deviation, needs=(_STRIDE,), padding="same", exact=True, **kinds
    )
    return pixels, found[_STRIDE]


def _scores(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    return keras.layers.Conv2D(classes, 1, dtype="float32", name="scores")(x)
