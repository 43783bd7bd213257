"""How good a saved detector is, measured through its own signature."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import DataError
from pipelines.core.progress import Reporter
from pipelines.core.tensorflow_errors import undecodable
from pipelines.data import Split
from pipelines.detection.evaluation.report import Answered, report
from pipelines.images.boxes import Detected, Objects
from pipelines.reporting.report import Report

__all__ = ["answers", "evaluate", "records"]

WEAK = 0.02
"""The smallest score of what is measured: a curve of precision and recall ends where detections do."""


def evaluate(
    served: ServedModel,
    split: Split[Objects],
    reporter: Reporter | None = None,
    protocol: str = "coco",
    **options: float | tuple[float, ...],
) -> Report:
    """Measure a saved model on a split, through its own signature, from the encoded bytes on.

    Args:
        served: the model.
        split: its class ids are indices into the model's classes.
        reporter: where progress is shown.
        protocol: "coco", or "uiuc" for the figures at equal error as well.
        **options: optional inputs of the signature, such as ``scales`` or ``overlap_threshold``.

    Returns:
        Average precision by several definitions, the best threshold, kinds of errors, with pictures.

    Raises:
        DataError: if the split is empty, or an image cannot be decoded.
    """
    if not split.size:
        raise DataError(f"the {split.name} part holds no image")
    card = served.card
    title = f"{card.name}/{card.version} on the {split.name} images"
    with (reporter or Reporter()).meter(f"Analysing {split.name} images", split.size) as meter:

        def answered() -> Iterator[Answered]:
            for example in split.examples():
                found = answers(served, [example.image], [example.id], score_threshold=WEAK, **options)[0]
                yield Answered(example.id, example.image, example.label, found)
                meter.advance()

        return report(title, answered(), card.classes, protocol)


def answers(
    served: ServedModel, images: list[bytes], names: list[str], **options: float | tuple[float, ...]
) -> list[Detected]:
    """Return what a saved model finds in encoded images.

    Raises:
        DataError: naming the first image that cannot be decoded.
    """
    try:
        return records(served(images, **options))
    except tf.errors.InvalidArgumentError as error:
        if len(images) == 1:
            raise DataError(f"{names[0]}: {undecodable(error)}") from None
        pairs = zip(images, names, strict=True)
        return [found for image, name in pairs for found in answers(served, [image], [name], **options)]


def records(outputs: dict[str, np.ndarray]) -> list[Detected]:
    """Turn the arrays of a signature, filled up to the same length, into one record an image."""
    parts = zip(*(outputs[key] for key in ("boxes", "scores", "class_ids", "num_detections")), strict=True)
    return [Detected(boxes[:n], scores[:n], class_ids[:n].astype(np.int32)) for boxes, scores, class_ids, n in parts]
