"""The hooks of detection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from pipelines.artifacts.model_card import ModelCard
from pipelines.artifacts.serving_module import ServingModule
from pipelines.data import Splits
from pipelines.data import detection as sources
from pipelines.detection.config import DetectionConfig
from pipelines.detection.loss import detection_loss, detection_metrics
from pipelines.detection.serving import ScanServing
from pipelines.detection.sliding_window import ScanSpec, Thresholds
from pipelines.images.boxes import Objects
from pipelines.models.detectors.window_detector import detector
from pipelines.training.loop import Loss, Metric

__all__ = ["build", "load", "loss", "metrics", "name", "rebuild", "serving"]


name = "detection"


def load(config: DetectionConfig) -> Splits[Objects]:
    """Load the images with boxes that a configuration names."""
    return sources.load(config.data, config.data_dir, config.seed, config.test)


def build(
    config: DetectionConfig, spec: ScanSpec, classes: int, mean: float = 127.5, deviation: float = 64.0
) -> keras.Model:
    """Build the network of a configuration; see :func:`pipelines.models.detectors.window_detector.detector`."""
    return detector(spec.window, spec.channels, classes, spec.stride, config.conv, config.pool, mean, deviation)


def loss(config: DetectionConfig, spec: ScanSpec) -> Loss:
    """Return the loss; see :func:`pipelines.detection.loss.detection_loss`."""
    return detection_loss(spec)


def metrics(config: DetectionConfig, spec: ScanSpec) -> dict[str, Metric]:
    """Return what is followed in training; see :func:`pipelines.detection.loss.detection_metrics`."""
    return detection_metrics(spec)


def rebuild(card: ModelCard) -> keras.Model:
    """Build the network of a saved model again; its weights are not those of the saved model yet."""
    config, spec = DetectionConfig.parse(**card.training), ScanSpec.from_json(card.input)
    return build(config, spec, len(card.classes), **card.standardisation)


def serving(model: keras.Model, classes: Sequence[str], card: dict[str, Any]) -> Callable[[Path], ServingModule]:
    """Return what makes the graphs of a saved model, from the file of its labels.

    Args:
        model: the network.
        classes: names.
        card: holds ``input`` and ``training``, as on the card of a saved model.
    """
    options = card["input"]["options"]
    thresholds = Thresholds(
        score=float(options["score_threshold"]),
        overlap=float(options["overlap_threshold"]),
        softness=float(options["soft_nms_sigma"]),
    )
    spec, scale = ScanSpec.from_json(card["input"]), float(card["training"]["scale"])
    return lambda labels: ScanServing(model, labels, spec, thresholds, tuple(classes), scale)
