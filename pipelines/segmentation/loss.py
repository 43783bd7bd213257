"""What a segmentation network is trained for and followed by: the classes of pixels, those to be ignored left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipelines.images.masks import IGNORED
from pipelines.segmentation.dense_prediction import interpolate
from pipelines.training.loop import Loss, Metric

__all__ = ["TERMS", "mask_loss", "mask_metrics", "median_frequency_weights"]

TERMS = ("cross_entropy", "focal", "dice")

_FOCUS = 2.0
_HEAVIEST = 10.0


def median_frequency_weights(masks: Sequence[np.ndarray], classes: int) -> np.ndarray:
    """Weigh classes by the median of all frequencies over their own.

    A class's frequency is its share of the pixels of those images that it occurs in.

    Args:
        masks: uint8 of shape (height, width); 255 is ignored.
        classes: number of classes.

    Returns:
        float32 of shape (classes,), at most 10; 1 for a class without a pixel.

    Example:
        >>> median_frequency_weights([np.array([[0, 0, 0, 1]], np.uint8)], 3).tolist()
        [0.6666666865348816, 2.0, 1.0]

    Reference:
        Eigen, Fergus (2015), "Predicting Depth, Surface Normals and Semantic Labels".
    """
    counts = np.stack([np.bincount(mask.ravel(), minlength=256)[:256] for mask in masks]).astype(float)
    own = counts[:, :classes].sum(0)
    around = ((counts[:, :classes] > 0) * (counts.sum(1) - counts[:, IGNORED])[:, None]).sum(0)
    seen = own > 0
    frequency = np.divide(own, around, out=np.ones(classes), where=seen)
    middle = float(np.median(frequency[seen])) if seen.any() else 1.0
    return np.where(seen, np.minimum(middle / frequency, _HEAVIEST), 1.0).astype(np.float32)


def mask_loss(terms: Sequence[str], weights: np.ndarray, stride: int) -> Loss:
    """Return the loss of a crop: the sum of its terms.

    cross_entropy is the mean over the pixels, each weighted by its class; focal likewise, with pixels that are answered
    well weighted down; dice is one minus the mean over the crop's classes of twice the overlap over the sum.

    Args:
        terms: of "cross_entropy", "focal" and "dice".
        weights: float32 of shape (classes,).
        stride: pixels between positions of the logits, which are read between them as in the saved model.

    Returns:
        From (mask uint8 (batch, height, width), logits) to float32 of shape (batch,).

    Reference:
        Lin et al. (2017), "Focal Loss for Dense Object Detection"; Milletari, Navab, Ahmadi (2016), "V-Net".
    """

    def loss(mask: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        logs = tf.nn.log_softmax(_logits_of(mask, outputs, stride))
        counted = tf.cast(mask != IGNORED, tf.float32)
        # Of a pixel to be ignored no class is true: 255 is none.
        true = tf.one_hot(mask, len(weights))
        total = tf.zeros(tf.shape(mask)[:1])
        if "cross_entropy" in terms or "focal" in terms:
            entropy = -tf.reduce_sum(true * logs, axis=-1)
            share = tf.reduce_sum(true * weights, axis=-1)
            pixels = tf.maximum(tf.reduce_sum(share, axis=(1, 2)), 1.0)
            if "cross_entropy" in terms:
                total += tf.reduce_sum(entropy * share, axis=(1, 2)) / pixels
            if "focal" in terms:
                hard = (1.0 - tf.exp(-entropy)) ** _FOCUS
                total += tf.reduce_sum(entropy * hard * share, axis=(1, 2)) / pixels
        if "dice" in terms:
            total += _dice(tf.exp(logs), true, counted)
        return total

    return loss


def _logits_of(mask: tf.Tensor, outputs: tf.Tensor, stride: int) -> tf.Tensor:
    outputs = tf.cast(outputs, tf.float32)
    if stride == 1:
        return outputs
    return interpolate(outputs, tf.shape(mask)[1:3], tf.constant([1.0 / stride] * 2, tf.float64))


def _dice(found: tf.Tensor, true: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    found *= counted[..., None]
    both = tf.reduce_sum(true * found, axis=(1, 2))
    sizes = tf.reduce_sum(true, axis=(1, 2)), tf.reduce_sum(found, axis=(1, 2))
    present = tf.cast(sizes[0] > 0, tf.float32)
    shares = (2.0 * both + 1.0) / (sizes[0] + sizes[1] + 1.0)
    return 1.0 - tf.reduce_sum(shares * present, axis=1) / tf.maximum(tf.reduce_sum(present, axis=1), 1.0)


def mask_metrics(classes: int, stride: int) -> dict[str, Metric]:
    """Return what is followed in training: the mean over classes of intersection over union, and the accuracy."""

    def confusion(mask: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        found = tf.argmax(_logits_of(mask, outputs, stride), axis=-1, output_type=tf.int32)
        counted = mask != IGNORED
        pairs = tf.boolean_mask(tf.cast(mask, tf.int32) * classes + found, counted)
        table = tf.math.bincount(pairs, minlength=classes**2, maxlength=classes**2, dtype=tf.float32)
        return tf.reshape(table, [classes, classes])

    def mean_iou(table: np.ndarray, count: float) -> float:
        right = np.diag(table)
        either = table.sum(0) + table.sum(1) - right
        return float((right[either > 0] / either[either > 0]).mean()) if (either > 0).any() else 0.0

    def accuracy(table: np.ndarray, count: float) -> float:
        return float(np.diag(table).sum() / max(table.sum(), 1.0))

    return {"mean_iou": Metric(confusion, mean_iou), "accuracy": Metric(confusion, accuracy)}
