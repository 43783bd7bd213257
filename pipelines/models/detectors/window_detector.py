"""The network of a detector: a window classifier with a box, written so that it takes images of any size.

All its convolutions are without padding, so that what it says of a window depends on that window alone; on a larger
image it gives the answers for all windows at once.
"""

from __future__ import annotations

import math

import keras

from layers import DilatedConv2D
from pipelines.models.blocks import PLAIN, convolution, normalized, pooling

__all__ = ["CONVOLUTIONS", "POOLINGS", "detector", "stage_margin", "window_for"]

CONVOLUTIONS = ("standard", "dilated", "tiled")
"""The kinds of convolution whose answer does not depend on where in the image the window lies."""

POOLINGS = ("max", "average", "l2")

_CONTEXT = 3
_FILTERS = 128
_PRIOR = 0.01


def stage_margin(stride: int, conv: str = "standard") -> tuple[int, int]:
    """Return (a, b): the windows that leave a map of n x n behind all stages have a side of `a n + b` pixels."""
    lost = 8 if conv == "dilated" else 4  # by the two convolutions of 3 x 3 of a stage
    scale, constant = 1, 0
    for _ in range(round(math.log2(stride))):
        scale, constant = 2 * scale, 2 * constant + lost
    return scale, constant


def window_for(size: tuple[float, float], stride: int, conv: str = "standard") -> tuple[int, int]:
    """Return the smallest window (height, width) of the network that holds an object.

    Args:
        size: (height, width) of the object, in pixels.
        stride: 4 or 8.
        conv: kind of convolution.

    Returns:
        Height and width in pixels, such that an odd number of positions is left behind the last pooling.

    Example:
        >>> window_for((40, 100), 4)
        (40, 104)
    """
    scale, constant = stage_margin(stride, conv)

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
) -> keras.Model:
    """Build a detector's network: stages of two 3 x 3 convolutions and a pooling, dilated context, two heads of 1 x 1.

    Args:
        window: (height, width) as :func:`window_for` gives it.
        channels: 1 or 3.
        classes: number of classes, without the background.
        stride: pixels between neighbouring windows, 4 or 8.
        conv: kind of the stages' convolutions: "standard", "dilated" or "tiled".
        pool: "max", "average" or "l2".
        mean: of the training pixels, 0 to 255.
        deviation: standard deviation of the training pixels.

    Returns:
        A model from float32 images (batch, height, width, channels), 0 to 255, at least as large as the window, to
        float32 (batch, rows, columns, classes + 4) for the windows at every `stride` pixels: a logit a class, and the
        logarithms of the distances from the window's centre to the object's left, top, right and bottom, in halves of
        the reference size.

    Example:
        >>> detector((40, 104), 1, 2)(keras.ops.zeros((1, 48, 104, 1))).shape == (1, 3, 1, 6)
        True

    Reference:
        Sermanet et al. (2014), "OverFeat"; Yu, Koltun (2016), "Multi-Scale Context Aggregation by Dilated
        Convolutions"; Wang et al. (2018), "Understanding Convolution for Semantic Segmentation" (rates without
        gridding); Tian et al. (2019), "FCOS" (distances).
    """
    pixels = keras.Input((None, None, channels), name="pixels")
    x = keras.layers.Rescaling(1.0 / deviation, -mean / deviation, name="standardise")(pixels)
    stages = round(math.log2(stride))
    for stage in range(1, stages + 1):
        filters = 16 * 2 ** (stage - 1)
        for number in (1, 2):
            # A tile's period must divide what a step of the window is in this stage; it does in all but the last.
            kind = conv if conv != "tiled" or stage < stages else "standard"
            x = normalized(x, convolution(kind, filters, 3, **PLAIN, name=f"stage{stage}_conv{number}"))
        x = pooling(pool, name=f"pool{stage}")(x)
    scale, constant = stage_margin(stride, conv)
    rates = zip(*(_rates(((side - constant) // scale - 1) // 2) for side in window), strict=True)
    for number, pair in enumerate(rates, start=1):
        # A rate of 0 stands for nothing left to see along that axis.
        kernel, dilation = tuple(3 if rate else 1 for rate in pair), tuple(max(rate, 1) for rate in pair)
        x = normalized(x, DilatedConv2D(_FILTERS, kernel, dilation_rate=dilation, **PLAIN, name=f"context{number}"))
    prior = keras.initializers.Constant(-math.log((1 - _PRIOR) / _PRIOR))
    heads = []
    for name, outputs, start in (("score", classes, prior), ("box", 4, "zeros")):
        head = normalized(x, keras.layers.Conv2D(_FILTERS, 1, **PLAIN, name=f"{name}_hidden"))
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
