"""What a task is: the same hooks in the same order, whatever is looked for in the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import keras

from pipelines.data import Splits
from pipelines.reporting.report import Report
from pipelines.training.config import TrainingConfig
from pipelines.training.loop import Loss, Metric

__all__ = ["Task"]


class Task(Protocol):
    """The hooks of a task; a module with functions of these names is one."""

    name: str
    """"classification", "detection" or "segmentation"."""

    load: Callable[[Any], Splits]
    """From the configuration to training, validation and test examples."""

    build: Callable[[TrainingConfig, Any, int], keras.Model]
    """From the configuration, what the network sees, and the number of classes to an untrained network."""

    loss: Callable[..., Loss]
    """From the configuration, and what the network sees, to a function of targets and outputs: one loss an example."""

    metrics: Callable[..., dict[str, Metric]]
    """Likewise to the figures that are followed in training; the first chooses the best epoch."""

    evaluate: Callable[..., Report]
    """Figures, tables and pictures of a saved model on a split."""
