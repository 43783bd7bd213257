"""The network of a detector: a window classifier with a box, written so that it takes images of any size.

All its convolutions are without padding, so that what it says of a window depends on that window alone; on a larger
image it gives the answers for all windows at once.
"""

from __future__ import annotations

import math

import keras

from layers import DilatedConv2D
from pipelines.models.backbones import find_backbone
from pipelines.models.blocks import normalized, plain

__all__ = ["detector", "stage_margin", "window_for"]

_CONTEXT = 3
_FILTERS = 128
_PRIOR = 0.01


def stage_margin(
    stride: int,
    conv: str = "standard",
    pool: str = "max",
    norm: str = "batch",
    backbone: str = "window",
) -> tuple[int, int]:
    """Return (a, b): the windows that leave features of n x n places have a side of `a n + b` pixels.

    Raises:
        ConfigError: if the backbone has no features of this stride for which nothing is padded, or a kind does not fit.

    Example:
        >>> stage_margin(4), stage_margin(4, "dilated")
        ((4, 12), (4, 24))
    """
    field = find_backbone(backbone).receptive_field(stride, conv=conv, pool=pool, norm=norm)
    return stride, field - stride


def window_for(
    size: tuple[float, float],
    stride: int,
    conv: str = "standard",
    pool: str = "max",
    norm: str = "batch",
    backbone: str = "window",
) -> tuple[int, int]:
    """Return the smallest window (height, width) of the network that holds an object.

    Args:
        size: (height, width) of the object, in pixels.
        stride: 4 or 8.
        conv: kind of convolution.
        pool: kind of pooling.
        norm: kind of normalization.
        backbone: name of the network below.

    Returns:
        Height and width in pixels, such that an odd number of positions is left of the backbone's features.

    Raises:
        ConfigError: as of :func:`stage_margin`.

    Example:
        >>> window_for((40, 100), 4)
        (40, 104)
    """
    scale, constant = stage_margin(stride, conv, pool, norm, backbone)

    def side(wanted: float) -> int:
        positions = max(3, math.ceil((wanted - constant) / scale))
        return scale * (positions + (positions % 2 == 0)) + constant

    return side(size[0]), side(size[1])


def detector(
    window: tuple[int, int],
    channels: int,
    classes: int,
    stride: int = 4,
    conv: str = "standard",
    pool: str = "max",
    mean: float = 127.5,
    deviation: float = 64.0,
    *,
    norm: str = "batch",
    backbone: str = "window",
) -> keras.Model:
    """Build a detector's network: a backbone without padding, dilated context, two heads of 1 x 1.

    Args:
        window: (height, width) as :func:`window_for` gives it.
        channels: 1 or 3.
        classes: number of classes, without the background.
        stride: pixels between neighbouring windows, 4 or 8.
        conv: kind of the backbone's convolutions.
        pool: kind of its poolings.
        mean: of the training pixels, 0 to 255.
        deviation: standard deviation of the training pixels.
        norm: kind of the normalizations.
        backbone: name of a network from images to features; it must be there without padding, and exact.

    Returns:
        A model from float32 images (batch, height, width, channels), 0 to 255, at least as large as the window, to
        float32 (batch, rows, columns, classes + 4) for the windows at every `stride` pixels: a logit a class, and the
        logarithms of the distances from the window's centre to the object's left, top, right and bottom, in halves of
        the reference size.

    Raises:
        ConfigError: if the backbone or a kind does not fit: what is said of a window must depend on that window alone.

    Example:
        >>> detector((40, 104), 1, 2)(keras.ops.zeros((1, 48, 104, 1))).shape == (1, 3, 1, 6)
        True

    Reference:
        Sermanet et al. (2014), "OverFeat"; Yu, Koltun (2016), "Multi-Scale Context Aggregation by Dilated
        Convolutions"; Wang et al. (2018), "Understanding Convolution for Semantic Segmentation" (rates without
        gridding); Tian et al. (2019), "FCOS" (distances).
    """
    pixels = keras.Input((None, None, channels), name="pixels")
    kinds = {"conv": conv, "pool": pool, "norm": norm}
    found = find_backbone(backbone).features(
        pixels, mean, deviation, needs=(stride,), padding="valid", exact=True, **kinds
    )
    x = found[stride]
    scale, constant = stage_margin(stride, conv, pool, norm, backbone)
    rates = zip(*(_rates(((side - constant) // scale - 1) // 2) for side in window), strict=True)
    for number, pair in enumerate(rates, start=1):
        # A rate of 0 stands for nothing left to see along that axis.
        kernel, dilation = tuple(3 if rate else 1 for rate in pair), tuple(max(rate, 1) for rate in pair)
        layer = DilatedConv2D(_FILTERS, kernel, dilation_rate=dilation, **plain(norm), name=f"context{number}")
        x = normalized(x, layer, norm)
    prior = keras.initializers.Constant(-math.log((1 - _PRIOR) / _PRIOR))
    heads = []
    for name, outputs, start in (("score", classes, prior), ("box", 4, "zeros")):
        head = normalized(x, keras.layers.Conv2D(_FILTERS, 1, **plain(norm), name=f"{name}_hidden"), norm)
        heads.append(keras.layers.Conv2D(outputs, 1, bias_initializer=start, dtype="float32", name=name)(head))
    outputs = keras.layers.Concatenate(name="scores_and_boxes", dtype="float32")(heads)
    return keras.Model(pixels, outputs, name="detector")


def _rates(total: int) -> list[int]:
    """Return the dilation rates of the context's convolutions along an axis: they add up to `total`, and rise slowly.

    Example:
        >>> _rates(4), _rates(11), _rates(1)
        ([1, 1, 2], [1, 4, 6], [1, 0, 0])
    """
    if total <= _CONTEXT:
        return [1] * total + [0] * (_CONTEXT - total)
    middle = max(1, round((total - 1) / 2.5))
    return [1, middle, total - 1 - middle]
