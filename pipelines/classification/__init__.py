"""Classification: one class for an image.

::

    from pipelines import classification

    trained = classification.train("digits", data="digits", model="convnet")

Importing this package imports neither TensorFlow nor Keras; the first use of one of its names does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.core.lazy import lazily

if TYPE_CHECKING:
    from pipelines.classification.evaluator import evaluate
    from pipelines.classification.task import Classification
    from pipelines.classification.trainer import Trained, train

__all__ = ["Classification", "Trained", "evaluate", "train"]

__getattr__ = lazily(
    __name__,
    {
        "Classification": "pipelines.classification.task",
        "Trained": "pipelines.classification.trainer",
        "evaluate": "pipelines.classification.evaluator",
        "train": "pipelines.classification.trainer",
    },
)
