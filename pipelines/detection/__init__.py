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
    from pipelines.detection.evaluator import evaluate
    from pipelines.detection.task import rebuild
    from pipelines.detection.trainer import Trained, train

__all__ = ["Trained", "evaluate", "rebuild", "train"]

__getattr__ = lazily(
    __name__,
    {
        "Trained": "pipelines.detection.trainer",
        "evaluate": "pipelines.detection.evaluator",
        "rebuild": "pipelines.detection.task",
        "train": "pipelines.detection.trainer",
    },
)
