"""Train a classifier.

::

    from pipelines import classification

    trained = classification.train("digits", data="digits", model="convnet")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.classification.task import Classification
from pipelines.core.progress import Reporter
from pipelines.training import recipe
from pipelines.training.session import Trained

__all__ = ["Trained", "train"]


def train(
    name: str,
    *,
    root: Path | str = "saved_models",
    reporter: Reporter | None = None,
    **options: Any,
) -> Trained:
    """Train a classifier and export it as the next version of a saved model.

    Args:
        name: of the saved model; its directory under ``root`` is made, or gets another version.
        root: the folder of all saved models.
        reporter: where progress is shown; standard error by default.
        **options: the fields of ``ClassificationConfig``, such as ``data``, ``model``, ``conv``, ``pool``, ``epochs``.
            What is left out is chosen from the data.

    Returns:
        Where the saved model is, its card, and how training went.

    Raises:
        ConfigError: for an option that does not exist or does not fit.
        DataError: for data that cannot be used, naming the file.

    Example:
        trained = train("digits", data="digits", model="convnet")
        print(trained.path, trained.card.metrics["test"]["accuracy"])
    """
    return recipe.train(Classification(), name, root=root, reporter=reporter, **options)
