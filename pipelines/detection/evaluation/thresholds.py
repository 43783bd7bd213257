"""The thresholds that a detector is saved with, chosen on validation images."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from pipelines.core.progress import Reporter
from pipelines.data import Split
from pipelines.detection.evaluation.average_precision import precision_recall, voc_area
from pipelines.detection.evaluation.evaluator import WEAK
from pipelines.detection.evaluation.metrics import best_point
from pipelines.detection.sliding_window import ScanSpec, Thresholds, scan, suppress
from pipelines.images import preprocessing
from pipelines.images.boxes import Detected, Objects

__all__ = ["APART", "OVERLAPS", "choose_thresholds"]

OVERLAPS = (0.3, 0.4, 0.5, 0.6)
APART = 0.3
"""The overlap from which on the weaker of two boxes is dropped, and what it is chosen from where images tell."""


def choose_thresholds(
    model: keras.Model, spec: ScanSpec, split: Split[Objects], overlaps: Sequence[float], reporter: Reporter
) -> Thresholds:
    """Choose on validation images: the overlap of the best average precision, and the score where precision and recall
    are best with it.
    """
    defaults = Thresholds()

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def look(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        network = lambda pixels: model(pixels, training=False)  # noqa: E731
        return scan(preprocessing.decode(data), network, spec, tf.constant(spec.scales), tf.constant(WEAK))

    @tf.function(reduce_retracing=True)
    def kept(boxes: tf.Tensor, scores: tf.Tensor, class_ids: tf.Tensor, overlap: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return suppress(boxes, scores, class_ids, overlap, tf.constant(defaults.softness), defaults.count)

    truths: list[Objects] = []
    found: dict[float, list[Detected]] = {overlap: [] for overlap in overlaps}
    with reporter.meter("Choosing the minimum confidence", split.size) as meter:
        for example in split.examples():
            truths.append(example.label)
            seen = look(example.image)
            for overlap, images_ in found.items():
                images_.append(Detected(*(part.numpy() for part in kept(*seen, tf.constant(overlap)))))
            meter.advance()
    curves = {overlap: precision_recall(truths, images_) for overlap, images_ in found.items()}
    # Among equals, the one nearest to the usual choice.
    overlap = max(curves, key=lambda one: (round(voc_area(curves[one]) or 0.0, 4), -abs(one - defaults.overlap)))
    best = best_point(curves[overlap]).threshold
    return Thresholds(score=defaults.score if best is None else round(best, 3), overlap=overlap)
