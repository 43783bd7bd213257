"""The hooks of segmentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipelines.artifacts.model_card import ModelCard
from pipelines.artifacts.serving_module import ServingModule
from pipelines.data import Splits
from pipelines.data import segmentation as sources
from pipelines.models import SEGMENTERS
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.dense_prediction import LabelSpec
from pipelines.segmentation.loss import mask_loss, mask_metrics
from pipelines.segmentation.serving import MaskServing
from pipelines.training.loop import Loss, Metric

__all__ = ["build", "load", "loss", "metrics", "name", "rebuild", "serving"]


name = "segmentation"


def load(config: SegmentationConfig) -> Splits[np.ndarray]:
    """Load the images with masks that a configuration names."""
    return sources.load(config.data, config.data_dir, config.seed, config.test, config.ignore)


def build(
    config: SegmentationConfig, spec: LabelSpec, classes: int, mean: float = 127.5, deviation: float = 64.0
) -> keras.Model:
    """Build the network of a configuration; see :mod:`pipelines.models`."""
    own = {"fcn": ("head",), "unet": ("filters", "depth", "stride", "upsampling"), "aspp": ("image_pooling",)}
    further = {option: getattr(config, option) for option in own.get(config.model, ())}
    return SEGMENTERS[config.model](spec.channels, classes, config.conv, config.pool, mean, deviation, **further)


def loss(config: SegmentationConfig, spec: LabelSpec, weights: np.ndarray) -> Loss:
    """Return the loss; see :func:`pipelines.segmentation.loss.mask_loss`."""
    return mask_loss(config.loss, weights, spec.stride)


def metrics(config: SegmentationConfig, spec: LabelSpec, classes: int) -> dict[str, Metric]:
    """Return what is followed in training; see :func:`pipelines.segmentation.loss.mask_metrics`."""
    return mask_metrics(classes, spec.stride)


def rebuild(card: ModelCard) -> keras.Model:
    """Build the network of a saved model again; its weights are not those of the saved model yet."""
    config, spec = SegmentationConfig.parse(**card.training), LabelSpec.from_json(card.input)
    return build(config, spec, len(card.classes), **card.standardisation)


def serving(model: keras.Model, classes: Sequence[str], card: dict[str, Any]) -> Callable[[Path], ServingModule]:
    """Return what makes the graphs of a saved model, from the file of its labels.

    Args:
        model: the network.
        classes: names.
        card: holds ``input``, as on the card of a saved model.
    """
    return lambda labels: MaskServing(model, labels, LabelSpec.from_json(card["input"]))
