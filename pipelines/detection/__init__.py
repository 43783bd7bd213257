"""Detection: boxes around objects, found by looking at every window of an image.

::

    from pipelines import detection

    trained = detection.train("digit-scenes", data="scenes")

Importing this package imports neither TensorFlow nor Keras; the first use of one of its names does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.core.lazy import lazily

if TYPE_CHECKING:
    from pipelines.detection.evaluation.evaluator import evaluate
    from pipelines.detection.task import Detection
    from pipelines.detection.trainer import Trained, train

__all__ = ["Detection", "Trained", "evaluate", "train"]

__getattr__ = lazily(
    __name__,
    {
        "Detection": "pipelines.detection.task",
        "Trained": "pipelines.detection.trainer",
        "evaluate": "pipelines.detection.evaluation.evaluator",
        "train": "pipelines.detection.trainer",
    },
)
