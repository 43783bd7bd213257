"""The stages of the window detector: nothing is padded, so that what is said of a window depends on it alone."""

from __future__ import annotations

import math

import keras

from pipelines.core.errors import ConfigError
from pipelines.models.backbones.backbone import Backbone, Features
from pipelines.models.blocks import block, pooling, standardised
from pipelines.models.names import named_kind

__all__ = ["WINDOW", "window"]

_DEEPEST = 8


def window(
    pixels: keras.KerasTensor,
    mean: float,
    deviation: float,
    *,
    conv: str = "standard",
    pool: str = "max",
    norm: str = "batch",
    padding: str = "valid",
    deepest: int | None = None,
    filters: int = 16,
) -> Features:
    """Build stages of two 3 x 3 convolutions and a pooling.

    Args:
        pixels: images, 0 to 255.
        mean: of the training pixels.
        deviation: their standard deviation.
        conv: kind of the convolutions.
        pool: kind of the poolings.
        norm: kind of the normalization behind each convolution.
        padding: "valid" or "same".
        deepest: the stride behind the last pooling; None for 8.
        filters: of the first stage; each stage on has twice as many.

    Returns:
        What each pooling gives, by its stride.

    Reference:
        Sermanet et al. (2014), "OverFeat".
    """
    stages = round(math.log2(deepest or _DEEPEST))
    x = standardised(pixels, mean, deviation)
    found = {}
    for stage in range(1, stages + 1):
        for number in (1, 2):
            kind = _in_stage(conv, stage, stages) if padding == "valid" else conv
            x = block(x, kind, filters * 2 ** (stage - 1), norm, f"stage{stage}_conv{number}", padding)
        x = pooling(pool, same=padding == "same", name=f"pool{stage}")(x)
        found[2**stage] = x
    return found


def _in_stage(conv: str, stage: int, stages: int) -> str:
    """Return the kind of convolution of a stage.

    A tile's period must divide what a step of the window is in this stage; for tiles of 2 it does in all but the last.
    """
    tile = named_kind("conv", conv).arguments.get("tile_shape")
    if tile is None:
        return conv
    if 2**stages % (2 * tile):
        raise ConfigError(
            f"conv {conv!r} does not fit backbone 'window': a period of {tile} positions divides no step of a window; "
            "choose tiles of 2, or 4 with a stride of 8"
        )
    return conv if 2**stages % (tile * 2**stage) == 0 else "standard"


WINDOW = Backbone(
    name="window", function=window, strides=(2, 4, 8, 16, 32), padding=("same", "valid"), exact=True, smallest=8
)
