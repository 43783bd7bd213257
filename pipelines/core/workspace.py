"""The folders that are written to: saved models and records of training in the working directory, a cache elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["CACHE", "RUNS", "SAVED_MODELS", "cache", "runs", "saved_models"]

SAVED_MODELS = "CNNAPP_SAVED_MODELS"
"""The environment variable that names another folder of saved models. Other processes inherit it."""
RUNS = "CNNAPP_RUNS"
"""The environment variable that names another folder for records of training."""
CACHE = "CNNAPP_CACHE"
"""The environment variable that names another folder for what can be found out again."""


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


def cache() -> Path:
    """Return the folder for what is kept to save time: the user's cache folder of cnnapp by default.

    It need not exist, and whatever lies in it may be deleted at any time.
    """
    from platformdirs import user_cache_path

    return _named(CACHE, str(user_cache_path("cnnapp", appauthor=False)))


def _named(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or default).expanduser()
