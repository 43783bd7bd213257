"""What a task is: the same hooks in the same order, whatever is looked for in the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import keras
import tensorflow as tf

from pipelines.artifact import ServedModel
from pipelines.config import TrainingConfig
from pipelines.data import Split, Splits
from pipelines.evaluation import Report
from pipelines.training import Loss, Metric

__all__ = ["Task"]


class Task(Protocol):
    """The hooks of a task; a module with functions of these names is one."""

    name: str
    """"classification", "detection" or "segmentation"."""

    load: Callable[[Any], Splits]
    """From the configuration to training, validation and test examples."""

    build: Callable[[TrainingConfig, Any, int], keras.Model]
    """From the configuration, what the network sees, and the number of classes to an untrained network."""

    loss: Callable[[Any], Loss]
    """From the configuration to a function of targets and outputs: one loss an example."""

    metrics: Callable[[Any], dict[str, Metric]]
    """From the configuration to the figures that are followed in training; the first chooses the best epoch."""

    decode: Callable[[tf.Tensor, tuple[str, ...]], dict[str, tf.Tensor]]
    """In the graph, from outputs to the named tensors of the signature."""

    evaluate: Callable[[ServedModel, Split], Report]
    """Figures, tables and pictures of a saved model on a split."""
