"""The folders that are written to: saved models and records of training, in the working directory or elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["RUNS", "SAVED_MODELS", "runs", "saved_models"]

SAVED_MODELS = "CNNAPP_SAVED_MODELS"
"""The environment variable that names another folder of saved models. Other processes inherit it."""
RUNS = "CNNAPP_RUNS"
"""The environment variable that names another folder for records of training."""


def saved_models() -> Path:
    """Return the folder that saved models are written to: ``saved_models`` of the working directory by default.

    It need not exist: the first model makes it.
    """
    return _named(SAVED_MODELS, "saved_models")


def runs() -> Path:
    """Return the folder that records and checkpoints of training are written to: ``runs`` here by default.

    It need not exist: the first training makes it.
    """
    return _named(RUNS, "runs")


def _named(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or default).expanduser()
