"""What a detector is trained for and followed by: scores that tell how well the box fits, and boxes that fit."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pipelines.detection.sliding_window import ScanSpec, decode_boxes
from pipelines.training.loop import Loss, Metric

__all__ = ["detection_loss", "detection_metrics", "fit_of"]

_BINS = 512
_BOX_WEIGHT = 2.0
_FOCUS = 2.0

Targets = tuple[tf.Tensor, tf.Tensor]


def fit_of(found: tf.Tensor, true: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Compare boxes that contain the same point.

    Args:
        found: xyxy of shape (..., 4).
        true: likewise.

    Returns:
        Intersection over union, 0 to 1, and the generalized one, -1 to 1, both of shape (...).

    Reference:
        Rezatofighi et al. (2019), "Generalized Intersection over Union".
    """
    shared = _area(tf.maximum(found[..., :2], true[..., :2]), tf.minimum(found[..., 2:], true[..., 2:]))
    around = _area(tf.minimum(found[..., :2], true[..., :2]), tf.maximum(found[..., 2:], true[..., 2:]))
    union = _area(found[..., :2], found[..., 2:]) + _area(true[..., :2], true[..., 2:]) - shared
    overlap = shared / tf.maximum(union, 1e-6)
    return overlap, overlap - (around - union) / tf.maximum(around, 1e-6)


def _area(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(tf.maximum(high - low, 0.0), axis=-1)


def _boxes(distances: tf.Tensor) -> tf.Tensor:
    """Return boxes around a centre at (0, 0)."""
    return distances * tf.constant([-1.0, -1.0, 1.0, 1.0])


def detection_loss(spec: ScanSpec) -> Loss:
    """Return the loss of a crop.

    Scores: cross-entropy with the overlap of the window's own box as the target for its class and 0 for all others,
    weighted by how far the score is off, so that the many easy windows of background count little. Boxes: one minus the
    generalized overlap. Both are sums over a crop, per object window of the batch's average crop.

    Args:
        spec: how the detector looks.

    Returns:
        From ((labels, distances), outputs) to float32 of shape (batch,).

    Reference:
        Li et al. (2020), "Generalized Focal Loss"; Lin et al. (2017), "Focal Loss for Dense Object Detection".
    """

    def loss(targets: Targets, outputs: tf.Tensor) -> tf.Tensor:
        labels, distances = targets
        outputs = tf.cast(outputs, tf.float32)
        logits, raw = outputs[..., :-4], outputs[..., -4:]
        positive = tf.cast(labels > 0, tf.float32)
        overlap, general = fit_of(decode_boxes(raw, tf.zeros([2]), spec.reference), _boxes(distances))
        wanted = tf.stop_gradient(overlap)[..., None] * tf.one_hot(labels - 1, logits.shape[-1])
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits)
        focus = tf.abs(wanted - tf.sigmoid(logits)) ** _FOCUS
        counted = tf.cast(labels >= 0, tf.float32)[..., None]
        scores = tf.reduce_sum(entropy * focus * counted, axis=(1, 2, 3))
        boxes = tf.reduce_sum((1.0 - general) * positive, axis=(1, 2))
        objects = tf.reduce_sum(positive) / tf.cast(tf.shape(labels)[0], tf.float32)
        return (scores + _BOX_WEIGHT * boxes) / tf.maximum(objects, 1.0)

    return loss


def detection_metrics(spec: ScanSpec) -> dict[str, Metric]:
    """Return what is followed in training: the average precision of windows, and how well the boxes of objects fit.

    The precision is that of single windows, before suppression, with the fit of its box counted as the share of a
    right answer that a window gives; it needs no matching, and so adds up over batches.
    """

    def histogram(targets: Targets, outputs: tf.Tensor) -> tf.Tensor:
        labels, distances = targets
        outputs = tf.cast(outputs, tf.float32)
        scores = tf.sigmoid(outputs[..., :-4])
        overlap, _ = fit_of(decode_boxes(outputs[..., -4:], tf.zeros([2]), spec.reference), _boxes(distances))
        right = tf.one_hot(labels - 1, scores.shape[-1])
        counted = tf.cast(labels >= 0, tf.float32)[..., None] * tf.ones_like(right)
        # Scores crowd near 0; bins of equal width in the logarithm tell them apart.
        place = tf.clip_by_value(-tf.math.log(tf.maximum(scores, 1e-6)) / 13.82, 0.0, 1.0)
        bins = tf.reshape(tf.cast(place * (_BINS - 1), tf.int32), [-1])
        parts = [right * overlap[..., None], right, (1.0 - right) * counted]
        return tf.stack([tf.math.unsorted_segment_sum(tf.reshape(part, [-1]), bins, _BINS) for part in parts])

    def precision(total: np.ndarray, count: float) -> float:
        fit, right, wrong = np.cumsum(total, axis=1)
        if not right[-1]:
            return 0.0
        shares = fit / np.maximum(right + wrong, 1e-9)
        return float((np.diff(right, prepend=0.0) * shares).sum() / right[-1])

    def fit(total: np.ndarray, count: float) -> float:
        return float(total[0].sum() / max(total[1].sum(), 1.0))

    return {"precision": Metric(histogram, precision), "fit": Metric(histogram, fit)}
