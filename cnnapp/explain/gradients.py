"""Derivatives with respect to the pixels that a network is shown: what has an influence on what."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["ONE_AT_A_TIME", "log_odds", "of", "of_unit", "through_unit"]

ONE_AT_A_TIME = threading.Lock()
"""Held wherever derivatives are taken: two threads at once in oneDNN's derivative of a convolution end the process."""


def of(model: Any, pixels: np.ndarray, value: Callable[[Any], tf.Tensor]) -> tuple[Any, np.ndarray]:
    """Return how much each pixel changes a number that a network gives.

    Args:
        model: from images (batch, height, width, channels) to any outputs.
        pixels: float32 of shape (height, width, channels).
        value: from the outputs for a batch of this image to a scalar.

    Returns:
        The outputs; and float32 of shape (height, width), the length of the derivative over the channels.
    """
    shown = tf.constant(pixels[None])
    with ONE_AT_A_TIME:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(shown)
            outputs = model(shown, training=False)
            number = value(outputs)
        return outputs, _length(tape.gradient(number, shown))


def of_unit(maps: Any, layer: str, pixels: np.ndarray, position: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return what a unit gives, and how much each pixel changes the length of that.

    Args:
        maps: as of :func:`pipelines.artifacts.class_evidence.feature_maps`.
        layer: its name.
        pixels: float32 of shape (height, width, channels).
        position: row and column of the unit.

    Returns:
        float32 of shape (channels,), and float32 of shape (height, width).
    """
    import keras

    row, column = position

    def length(outputs: tf.Tensor) -> tf.Tensor:
        unit = outputs[0, row, column]
        # The derivative of a length at 0 is none; a unit that is silent is changed by nothing nearby.
        size = tf.maximum(tf.norm(tf.stop_gradient(unit)), 1e-12)
        return tf.reduce_sum(unit * tf.stop_gradient(unit) / size)

    outputs, influence = of(keras.Model(maps.input, maps.output[layer]), pixels, length)
    return outputs[0, row, column].numpy(), influence


def through_unit(
    both: Any, pixels: np.ndarray, position: tuple[int, int], class_id: int | None
) -> tuple[np.ndarray, int, np.ndarray]:
    """Return how much each pixel changes the log odds of a class through one unit of a layer alone.

    Args:
        both: from images to the maps of the layer (batch, rows, columns, channels) and the logits (batch, classes).
        pixels: float32 of shape (height, width, channels).
        position: row and column of the unit.
        class_id: the class; the one with the largest logit by default.

    Returns:
        float32 of shape (classes,), the probabilities; the class; float32 of shape (height, width).
    """
    shown = tf.constant(pixels[None])
    row, column = position
    with ONE_AT_A_TIME:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(shown)
            maps, logits = both(shown, training=False)
            chosen = int(tf.argmax(logits[0])) if class_id is None else class_id
            odds = log_odds(logits[0], chosen)
            with tape.stop_recording():
                weights = tape.gradient(odds, maps)[0, row, column]
            reached = tf.reduce_sum(weights * maps[0, row, column])
        return tf.nn.softmax(logits[0]).numpy(), chosen, _length(tape.gradient(reached, shown))


def log_odds(logits: tf.Tensor, class_id: int) -> tf.Tensor:
    """Return the logarithm of the probability of a class over that of all others: it does not saturate as they do.

    Args:
        logits: float32 of shape (classes,).
        class_id: index of the class.

    Example:
        >>> float(log_odds(tf.constant([0.0, 3.0]), 1))
        3.0
    """
    others = tf.boolean_mask(logits, tf.range(logits.shape[0]) != class_id)
    return logits[class_id] - tf.reduce_logsumexp(others)


def _length(gradient: tf.Tensor) -> np.ndarray:
    lengths: np.ndarray = tf.norm(gradient[0], axis=-1).numpy()
    return lengths
