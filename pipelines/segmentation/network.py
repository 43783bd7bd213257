"""The network of a segmentation model, and what it is trained for."""

from __future__ import annotations

import keras
import numpy as np

from pipelines.models.segmenters import find_segmenter, own_options
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.dense_prediction import LabelSpec
from pipelines.segmentation.loss import median_frequency_weights

__all__ = ["build", "class_weights"]


def build(
    config: SegmentationConfig, spec: LabelSpec, classes: int, mean: float = 127.5, deviation: float = 64.0
) -> keras.Model:
    """Build the network of a configuration; see :mod:`pipelines.models`."""
    segmenter = find_segmenter(config.model)
    further = {option: getattr(config, option) for option in own_options(segmenter)}
    if config.backbone is not None:
        further["backbone"] = config.backbone
    kinds = {"conv": config.conv, "pool": config.pool, "norm": config.norm}
    return segmenter(spec.channels, classes, mean=mean, deviation=deviation, **kinds, **further)


def class_weights(config: SegmentationConfig, masks: list[np.ndarray], classes: int) -> np.ndarray:
    """Return the weights of classes in the loss, as the configuration asks for: float of shape (classes,)."""
    weights = median_frequency_weights(masks, classes)
    ways: dict[str, np.ndarray] = {"median": weights, "auto": np.sqrt(weights), "none": np.ones_like(weights)}
    return ways[config.class_weights]
