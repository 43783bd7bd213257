"""A network with everything around it, from encoded bytes to named answers: what is exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from pipelines.artifacts.class_evidence import feature_maps
from pipelines.images import preprocessing as images

__all__ = ["ServingModule"]


class ServingModule(tf.Module):
    """What the modules of all tasks share; they add the graphs ``serve_bytes`` and ``serve_pixels``.

    ``features`` gives the maps of every layer for one image, ``explain`` where in it the evidence for a class is (for
    the answer's, where no ``class_id`` is given), and ``labels`` the names of classes.

    Args:
        model: from float32 images (batch, height, width, channels), 0 to 255, to the task's outputs.
        labels: a file with the names of the classes, one a line.
    """

    serve_bytes: Callable[..., dict[str, tf.Tensor]]
    serve_pixels: Callable[..., dict[str, tf.Tensor]]
    evidence: str
    """What ``explain`` gives, in words; empty where it gives nothing."""
    warmup_batches: tuple[int, ...] = (1, 8, 32)
    """Sizes of the batches that TensorFlow Serving replays before it takes the model into service."""

    def __init__(self, model: keras.Model, labels: Path) -> None:
        super().__init__(name="cnnapp")
        maps = feature_maps(model)

        # One function for all signatures, so that the graph is written once. Held by another and not as an attribute:
        # TensorFlow would find the weights there too, and save them twice.
        @tf.function(input_signature=[tf.TensorSpec(model.input_shape, tf.float32)], autograph=False)
        def network(pixels: tf.Tensor) -> tf.Tensor:
            return model(pixels, training=False)

        @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="image_bytes")])
        def features(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            assert maps is not None
            found = maps(self._seen(images.decode(image_bytes)), training=False)
            return {name: tf.cast(tensor[0], tf.float32) for name, tensor in found.items()}

        names = tf.constant([*labels.read_text(encoding="utf-8").splitlines(), ""])
        # A signature's default is that of its Python function, which is therefore made here.
        none = tf.constant(-1, tf.int64)

        @tf.function(
            input_signature=[
                tf.TensorSpec([], tf.string, name="image_bytes"),
                tf.TensorSpec([], tf.int64, name="class_id"),
            ]
        )
        def explain(image_bytes: tf.Tensor, class_id: tf.Tensor = none) -> dict[str, tf.Tensor]:
            count = tf.size(names, out_type=tf.int64) - 1
            known = tf.debugging.assert_less(class_id, count, "class_id: expected a class of this model, or -1")
            with tf.control_dependencies([known]):
                class_id = tf.identity(class_id)
            found = self._evidence(images.decode(image_bytes), class_id)
            return {**found, "class_name": names[found["class_id"]]}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="class_ids")])
        def class_names(class_ids: tf.Tensor) -> dict[str, tf.Tensor]:
            count = tf.size(names, out_type=tf.int64) - 1
            known = tf.logical_and(class_ids >= 0, class_ids < count)
            return {"class_names": tf.gather(names, tf.where(known, class_ids, count))}

        self._network: Callable[[tf.Tensor], tf.Tensor] = lambda pixels: network(pixels)
        self.class_names = class_names
        # A network without maps has none to show.
        self._looks = {} if maps is None else {"features": features}
        if self.evidence:
            self._looks["explain"] = explain
        self.weights = [variable.value for variable in model.weights]
        self.labels = tf.saved_model.Asset(str(labels))

    def signatures(self) -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
        """Return the graphs by the names they are served under."""
        return {
            "serving_default": self.serve_bytes,
            "pixels": self.serve_pixels,
            "labels": self.class_names,
            **self._looks,
        }

    def _seen(self, image: tf.Tensor) -> tf.Tensor:
        """Return what the network is shown of an image (H, W, 3): float32 of shape (1, height, width, channels)."""
        raise NotImplementedError

    def _evidence(self, image: tf.Tensor, class_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return ``evidence`` (rows, columns), ``region`` (4,), ``class_id`` and ``score`` for an image (H, W, 3)."""
        raise NotImplementedError
