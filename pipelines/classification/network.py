"""The network of a classifier, what it is trained for, and how its outputs become answers."""

from __future__ import annotations

import keras
import tensorflow as tf

from pipelines.classification.config import ClassificationConfig
from pipelines.images.preprocessing import ImageSpec
from pipelines.models.classifiers import classifier
from pipelines.training.loop import Loss, Metric

__all__ = ["build", "decode", "loss", "metrics"]


def build(
    config: ClassificationConfig, spec: ImageSpec, classes: int, mean: float = 0.0, deviation: float = 255.0
) -> keras.Model:
    """Build the network of a configuration, with the standardisation of its input inside.

    Args:
        config: the model, and its kinds of layers.
        spec: what the network sees.
        classes: number of classes.
        mean: of the training pixels, 0 to 255.
        deviation: standard deviation of the training pixels.

    Returns:
        A model from float32 images (batch, height, width, channels), 0 to 255, to logits (batch, classes).
    """
    return classifier(
        config.model,
        spec.shape,
        classes,
        config.conv,
        config.pool,
        mean,
        deviation,
        norm=config.norm,
        head=config.head,
    )


def loss(config: ClassificationConfig) -> Loss:
    """Return the cross-entropy, with the configured label smoothing."""
    smoothing = config.label_smoothing

    def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        logits = tf.cast(logits, tf.float32)
        if not smoothing:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        classes = logits.shape[-1]
        targets = tf.one_hot(labels, classes, 1.0 - smoothing + smoothing / classes, smoothing / classes)
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits)

    return cross_entropy


def metrics(config: ClassificationConfig) -> dict[str, Metric]:
    """Return the accuracy."""

    def right(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        chosen = tf.argmax(logits, axis=-1, output_type=labels.dtype)
        return tf.reduce_sum(tf.cast(tf.equal(chosen, labels), tf.float32))

    return {"accuracy": Metric(right, lambda total, count: float(total) / count)}


def decode(logits: tf.Tensor, classes: tuple[str, ...]) -> dict[str, tf.Tensor]:
    """Turn logits into the answer, in the graph.

    Args:
        logits: float32 of shape (batch, classes).
        classes: names.

    Returns:
        ``scores`` float32 (batch, classes), which sum to 1; ``class_ids`` int64 (batch,); ``class_names`` string
        (batch,).
    """
    scores = tf.nn.softmax(logits)
    class_ids = tf.argmax(scores, axis=-1)
    return {"scores": scores, "class_ids": class_ids, "class_names": tf.gather(tf.constant(classes), class_ids)}
