"""The graphs of a saved segmentation network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from pipelines.artifacts.serving_module import ServingModule
from pipelines.images import preprocessing as images
from pipelines.images.masks import IGNORED
from pipelines.segmentation.dense_prediction import LabelSpec, label, network_pixels, scores

__all__ = ["MaskServing"]


class MaskServing(ServingModule):
    """Say the class of every pixel of images of any sizes.

    ``class_map`` is uint8 and ``confidence`` float32, both of shape (batch, H, W); where images of a batch are of
    several sizes, H and W are the largest, what lies beyond an image is 255 and 0, and ``sizes`` (batch, 2) tells.
    ``probabilities`` gives those of all classes, and ``logits`` the network's own outputs for its own pixels, which is
    what pieces of an image too large for memory are answered by.

    Args:
        model: as of :mod:`pipelines.models`, from pixels to logits at every ``stride`` pixels.
        labels: a file with the names of the classes, one a line.
        spec: how the network looks at an image.
    """

    warmup_batches = (1, 2)
    evidence = "probability of the class at every pixel"

    def __init__(self, model: keras.Model, labels: Path, spec: LabelSpec) -> None:
        super().__init__(model, labels)
        self._spec = spec

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, spec.channels], tf.float32, name="pixels")])
        def logits(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"outputs": self._network(pixels)}

        self.logits = logits

    def signatures(self) -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
        """Return the graphs by the names they are served under."""
        return super().signatures() | {"probabilities": self.probabilities, "logits": self.logits}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answer for encoded images of any sizes."""
        return self._answers(image_bytes)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve_pixels(self, images_: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answer for decoded RGB images of one size."""
        class_map, confidence = label(scores(images_, self._network, self._spec))
        sizes = tf.repeat(tf.shape(images_)[None, 1:3], tf.shape(images_)[0], axis=0)
        return {"class_map": class_map, "confidence": confidence, "sizes": sizes}

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="image_bytes")])
    def probabilities(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the probabilities of all classes of one image: float32 of shape (H, W, classes)."""
        return {"probabilities": scores(images.decode(image_bytes)[None], self._network, self._spec)[0]}

    def _seen(self, image: tf.Tensor) -> tf.Tensor:
        return network_pixels(image[None], self._spec)

    def _evidence(self, image: tf.Tensor, class_id: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = scores(image[None], self._network, self._spec)[0]
        shares = tf.reduce_mean(probabilities, axis=[0, 1])
        chosen = tf.where(class_id < 0, tf.argmax(shares), class_id)
        size = tf.cast(tf.shape(image), tf.float32)
        return {
            "evidence": tf.gather(probabilities, chosen, axis=-1),
            "region": tf.stack([0.0, 0.0, size[1], size[0]]),
            "class_id": chosen,
            "score": shares[chosen],
        }

    def _answers(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        def answer(one: tf.Tensor) -> tuple[tf.Tensor, ...]:
            class_map, confidence = label(scores(images.decode(one)[None], self._network, self._spec)[0])
            rows = (tf.RaggedTensor.from_tensor(part) for part in (class_map, confidence))
            return (*rows, tf.shape(class_map))

        kinds = (
            tf.RaggedTensorSpec([None, None], tf.uint8, ragged_rank=1),
            tf.RaggedTensorSpec([None, None], tf.float32, ragged_rank=1),
            tf.TensorSpec([2], tf.int32),
        )
        # One after the other: the maps of a single image may fill the memory.
        class_maps, confidences, sizes = tf.map_fn(
            answer, image_bytes, fn_output_signature=kinds, parallel_iterations=1
        )
        beyond = tf.constant(IGNORED, tf.uint8)
        return {
            "class_map": class_maps.to_tensor(beyond),
            "confidence": confidences.to_tensor(0.0),
            "sizes": sizes,
        }
