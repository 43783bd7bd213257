"""A backbone from outside the packages: one file, one row."""

from __future__ import annotations

import keras

from pipelines.models.backbones import BACKBONES
from pipelines.models.backbones.backbone import Backbone, Features


def outside(
    pixels: keras.KerasTensor, mean: float, deviation: float, *, padding: str = "same", width: int = 8
) -> Features:
    """Three convolutions, each of which halves the image, with neither poolings nor normalization."""
    x = keras.layers.Rescaling(1 / deviation, -mean / deviation, name="standardise")(pixels)
    found = {}
    for stride in (2, 4, 8):
        x = keras.layers.Conv2D(width, 3, 2, padding=padding, activation="relu", name=f"halved_{stride}")(x)
        found[stride] = x
    return found


OUTSIDE = Backbone(name="outside", function=outside, strides=(2, 4, 8), padding=("same", "valid"), exact=True)

BACKBONES["outside"] = "outside_backbone:OUTSIDE"
