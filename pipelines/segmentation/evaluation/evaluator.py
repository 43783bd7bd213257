"""How good a saved segmentation network is, measured through its own signature."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import DataError
from pipelines.core.progress import Reporter
from pipelines.core.tensorflow_errors import undecodable
from pipelines.data import Split
from pipelines.reporting.report import Report
from pipelines.segmentation.evaluation.report import AnsweredMask, report

__all__ = ["evaluate"]


def evaluate(served: ServedModel, split: Split[np.ndarray], reporter: Reporter | None = None) -> Report:
    """Measure a saved model on a split, through its own signature, from the encoded bytes on.

    Args:
        served: the model.
        split: its class ids are indices into the model's classes.
        reporter: where progress is shown.

    Returns:
        Mean intersection over union and more, with pictures.

    Raises:
        DataError: if the split is empty, or an image cannot be decoded.
    """
    if not split.size:
        raise DataError(f"the {split.name} part holds no image")
    card = served.card
    title = f"{card.name}/{card.version} on the {split.name} images"
    with (reporter or Reporter()).meter(f"Analysing {split.name} images", split.size) as meter:

        def answered() -> Iterator[AnsweredMask]:
            for example in split.examples():
                try:
                    found = served([example.image])
                except tf.errors.InvalidArgumentError as error:
                    raise DataError(f"{example.id}: {undecodable(error)}") from None
                yield AnsweredMask(
                    example.id, example.image, example.label, found["class_map"][0], found["confidence"][0]
                )
                meter.advance()

        return report(title, answered(), card.classes)
