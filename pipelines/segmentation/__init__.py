"""Segmentation: the class of every pixel of an image of any size.

::

    from pipelines import segmentation

    trained = segmentation.train("digit-segmentation", data="scenes")

Importing this package imports neither TensorFlow nor Keras; the first use of one of its names does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.core.lazy import lazily

if TYPE_CHECKING:
    from pipelines.segmentation.evaluation.evaluator import evaluate
    from pipelines.segmentation.task import Segmentation
    from pipelines.segmentation.trainer import Trained, train

__all__ = ["Segmentation", "Trained", "evaluate", "train"]

__getattr__ = lazily(
    __name__,
    {
        "Segmentation": "pipelines.segmentation.task",
        "Trained": "pipelines.segmentation.trainer",
        "evaluate": "pipelines.segmentation.evaluation.evaluator",
        "train": "pipelines.segmentation.trainer",
    },
)
