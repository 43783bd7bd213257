"""What the training runs of all tasks begin and end with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from pipelines.artifacts.model_card import ModelCard
from pipelines.core.progress import duration
from pipelines.training.config import TrainingConfig
from pipelines.training.loop import History

__all__ = ["Trained", "ended", "settings"]


@dataclass(frozen=True)
class Trained:
    """What came out of a training run.

    Args:
        path: the directory of the saved model.
        card: what it says of itself; its metrics hold the figures of validation and test.
        history: how training went.
    """

    path: Path
    card: ModelCard
    history: History


@contextmanager
def settings(config: TrainingConfig) -> Iterator[None]:
    """Set what Keras keeps globally, the seed and the precision, and give the precision back afterwards."""
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def ended(history: History) -> str:
    """Say in a line how long a run took, how it ended, and which epoch was kept."""
    how = {"finished": "", "early": ", stopped early", "interrupted": ", interrupted"}[history.stopped]
    return f"trained in {duration(history.seconds)}{how}; best epoch: {history.best_epoch}"
