"""The graphs of a saved regression model."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from pipelines.artifacts.serving_module import ServingModule
from pipelines.images import preprocessing
from pipelines.images.preprocessing import ImageSpec

__all__ = ["NumberServing"]


class NumberServing(ServingModule):
    """Answer with ``values``, float32 of shape (batch,)."""

    evidence = ""

    def __init__(self, model: keras.Model, labels: Path, spec: ImageSpec) -> None:
        super().__init__(model, labels)
        self._spec = spec

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answer for encoded images."""
        return self._values(preprocessing.prepare_batch(image_bytes, self._spec))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve_pixels(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answer for decoded images."""
        return self._values(preprocessing.prepare(images, self._spec))

    def _seen(self, image: tf.Tensor) -> tf.Tensor:
        pixels = tf.cast(preprocessing.prepare(image, self._spec), tf.float32)[None]
        return tf.ensure_shape(pixels, [1, *self._spec.shape])

    def _values(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        shaped = tf.ensure_shape(tf.cast(pixels, tf.float32), [None, *self._spec.shape])
        return {"values": self._network(shaped)[:, 0]}
