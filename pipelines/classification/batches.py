"""What a classifier is trained on: batches of augmented images, weighed by class."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from pipelines.classification.config import ClassificationConfig
from pipelines.training import augmentation
from pipelines.training.cached_dataset import EpochOrder, Pixels, in_order, shuffled
from pipelines.training.loop import Plan

__all__ = ["class_weights", "plan"]

_UNBALANCED = 1.5


def plan(config: ClassificationConfig, classes: int, train_pixels: Pixels, validation_pixels: Pixels) -> Plan:
    """Plan a run: the batches, augmented and weighed, and how often to go through them.

    Args:
        config: with nothing left open, as :func:`choose` returns it.
        classes: number of classes.
        train_pixels: the training images.
        validation_pixels: the validation images.

    Returns:
        What :func:`pipelines.training.loop.fit` goes through.
    """
    assert config.batch_size is not None
    assert config.epochs is not None
    policy = dataclasses.replace(augmentation.POLICIES[config.augment], flip=bool(config.flip))

    def change(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return augmentation.augment(images, seed, policy)

    weights = class_weights(train_pixels.labels, classes, config.class_weights)
    return Plan(
        train=functools.partial(shuffled, train_pixels, config.batch_size, config.seed, change, weights),
        validation=in_order(validation_pixels, 256),
        steps_per_epoch=len(train_pixels) // config.batch_size,
        batch_size=config.batch_size,
        epochs=config.epochs,
        shown=functools.partial(EpochOrder(len(train_pixels), config.seed).batch, size=config.batch_size),
    )


def class_weights(labels: np.ndarray, classes: int, how: str) -> np.ndarray:
    """Weigh classes so that rare ones count as much as common ones.

    Args:
        labels: int32 of shape (n,).
        classes: number of classes.
        how: "balanced": n / (classes * images of the class); "none": all 1; "auto": balanced where the largest class
            has at least 1.5 times the images of the smallest.

    Returns:
        float32 of shape (classes,), whose mean over the images is 1.
    """
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    if how == "none" or (how == "auto" and counts.max() < _UNBALANCED * counts.min()):
        return np.ones(classes, np.float32)
    return (len(labels) / (classes * counts)).astype(np.float32)
