"""The training step that the benchmarks share: one step of our loop, callable on its own."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from pipelines.classification import network
from pipelines.classification.config import ClassificationConfig
from pipelines.training.optimizers import make_optimizer

__all__ = ["step_of"]


def step_of(model: keras.Model, config: ClassificationConfig) -> Callable[..., tf.Tensor]:
    """Make one compiled training step of a model: (images, labels, weights) to the loss."""
    optimizer = make_optimizer(config, 100_000)
    optimizer.build(model.trainable_variables)
    loss = network.loss(config)

    @tf.function
    def step(images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(labels, model(images, training=True)) * weights)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(value, [variable.value for variable in variables]), variables)
        return value

    return step
