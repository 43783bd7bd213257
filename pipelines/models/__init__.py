"""The networks by name. A model is a plain function from an input shape to a ``keras.Model`` that gives logits."""

from __future__ import annotations

from collections.abc import Callable

import keras

from pipelines.models.backbones import convnet, lenet5
from pipelines.models.segmenters import dilated_context, fcn, unet

__all__ = ["CLASSIFIERS", "SEGMENTERS", "build_classifier", "default_pool", "default_size"]

CLASSIFIERS: dict[str, Callable[..., keras.Model]] = {"convnet": convnet.convnet, "lenet5": lenet5.lenet5}
SEGMENTERS: dict[str, Callable[..., keras.Model]] = {
    "unet": unet.unet,
    "fcn": fcn.fcn,
    "dilated": dilated_context.dilated,
    "aspp": dilated_context.aspp,
}
_MODULES = {"convnet": convnet, "lenet5": lenet5}


def build_classifier(model: str, input_shape: tuple[int, int, int], classes: int, conv: str, pool: str) -> keras.Model:
    """Build a classifier by name; arguments as of the function of that name."""
    return CLASSIFIERS[model](input_shape, classes, conv=conv, pool=pool)


def default_pool(model: str) -> str:
    """Return the pooling that a model is meant for."""
    return str(_MODULES[model].POOL)


def default_size(model: str, native: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) a model sees by default, given the images' own."""
    size: tuple[int, int] = _MODULES[model].default_size(native)
    return size
