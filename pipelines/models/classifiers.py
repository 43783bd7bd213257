"""A classifier: any backbone, and a head that tells classes from its last features."""

from __future__ import annotations

from typing import Any

import keras

from pipelines.models.backbones import find_backbone
from pipelines.models.names import named_kind

__all__ = ["classifier"]


def classifier(
    backbone: str,
    input_shape: tuple[int, int, int],
    classes: int,
    conv: str = "standard",
    pool: str | None = None,
    mean: float = 0.0,
    deviation: float = 255.0,
    *,
    norm: str | None = None,
    head: str | None = None,
    **options: Any,
) -> keras.Model:
    """Build a classifier.

    Args:
        backbone: name of a network from images to features.
        input_shape: (height, width, channels).
        classes: number of classes.
        conv: kind of convolution; what it is plugged in for is the backbone's choice.
        pool: kind of pooling; None for the backbone's own.
        mean: of the training pixels, 0 to 255.
        deviation: standard deviation of the training pixels.
        norm: kind of normalization; None for the backbone's own.
        head: what makes one vector of the last features, as in :data:`layers.kinds.HEADS`; None for the backbone's own.
        **options: the backbone's own.

    Returns:
        A model from float32 images (batch, height, width, channels), 0 to 255, to logits (batch, classes).

    Raises:
        ConfigError: if there is no such backbone or kind, or one does not fit.

    Example:
        >>> classifier("convnet", (28, 28, 1), 10).count_params()
        288554
        >>> classifier("lenet5", (32, 32, 1), 10, head="average").output_shape
        (None, 10)
    """
    found = find_backbone(backbone)
    pixels = keras.Input(input_shape, name="pixels")
    features = found.features(pixels, mean, deviation, conv=conv, pool=pool, norm=norm, **options)
    x = _as_vector(features[max(features)], head or found.head)
    if found.top is not None:
        x = found.top(x)
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(pixels, logits, name=f"{backbone}_classifier")


def _as_vector(x: keras.KerasTensor, head: str) -> keras.KerasTensor:
    kind = named_kind("head", head)
    x = kind.make(name="flatten" if head == "flatten" else "global_pool")(x)
    return keras.layers.Flatten(name="flatten")(x) if len(x.shape) > 2 else x
