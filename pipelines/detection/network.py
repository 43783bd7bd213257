"""The network of a detector."""

from __future__ import annotations

import keras

from pipelines.detection.config import DetectionConfig
from pipelines.detection.sliding_window import ScanSpec
from pipelines.models.detectors.window_detector import detector

__all__ = ["build"]


def build(
    config: DetectionConfig, spec: ScanSpec, classes: int, mean: float = 127.5, deviation: float = 64.0
) -> keras.Model:
    """Build the network of a configuration; see :func:`pipelines.models.detectors.window_detector.detector`."""
    kinds = {"conv": config.conv, "pool": config.pool, "norm": config.norm, "backbone": config.backbone}
    return detector(spec.window, spec.channels, classes, spec.stride, mean=mean, deviation=deviation, **kinds)
