"""Train a detector.

::

    from pipelines import detection

    trained = detection.train("digit-scenes", data="scenes")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.core.progress import Reporter
from pipelines.detection.task import Detection
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
    """Train a detector and export it as the next version of a saved model.

    Args:
        name: of the saved model; its directory under ``root`` is made, or gets another version.
        root: the folder of all saved models.
        reporter: where progress is shown; standard error by default.
        **options: the fields of ``DetectionConfig``. What is left out is chosen from the data.

    Returns:
        Where the saved model is, its card, and how training went.

    Raises:
        ConfigError: for an option that does not exist or does not fit.
        DataError: for data that cannot be used, naming the file.
    """
    return recipe.train(Detection(), name, root=root, reporter=reporter, **options)
