"""The graphs of a saved classifier."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from pipelines.artifacts.class_evidence import ClassEvidence, class_evidence
from pipelines.artifacts.serving_module import ServingModule
from pipelines.images import preprocessing as images
from pipelines.images.preprocessing import ImageSpec

__all__ = ["Decode", "ImageServing"]

Decode = Callable[[tf.Tensor], dict[str, tf.Tensor]]


class ImageServing(ServingModule):
    """Answer for whole images that are brought to one size.

    Args:
        model: as of :class:`ServingModule`.
        labels: likewise.
        spec: what the network sees.
        decode: the task's last step, from outputs to named tensors.
    """

    def __init__(self, model: keras.Model, labels: Path, spec: ImageSpec, decode: Decode) -> None:
        found = class_evidence(model)
        self.evidence = f"{found.how} of {found.layer}" if found else ""
        super().__init__(model, labels)
        self._spec, self._decode = spec, decode
        # Not the record itself: TensorFlow would look into it for weights.
        self._explained: Callable[[], ClassEvidence | None] = lambda: found

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answer for encoded images of any sizes."""
        return self._answer(images.prepare_batch(image_bytes, self._spec))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve_pixels(self, images_: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answer for decoded RGB images of one size."""
        return self._answer(images.prepare(images_, self._spec))

    def _seen(self, image: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.cast(images.prepare(image, self._spec), tf.float32)[None], [1, *self._spec.shape])

    def _evidence(self, image: tf.Tensor, class_id: tf.Tensor) -> dict[str, tf.Tensor]:
        explained = self._explained()
        assert explained is not None
        maps, logits = explained.run(self._seen(image), class_id[None])
        scores = tf.nn.softmax(logits[0])
        chosen = tf.where(class_id < 0, tf.argmax(scores), class_id)
        first, step = images.view(tf.shape(image)[:2], self._spec)
        rows, columns = explained.grids
        begin = first + step * tf.constant([rows.start, columns.start])
        end = first + step * tf.constant([rows.stop, columns.stop])
        region = tf.stack([begin[1], begin[0], end[1], end[0]])
        return {"evidence": maps[0], "region": region, "class_id": chosen, "score": scores[chosen]}

    def _answer(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.ensure_shape(pixels, [None, *self._spec.shape])
        # TensorFlow's convolution gives a wrong shape for a batch of nothing; it is answered as one image, then cut.
        count = tf.shape(pixels)[0]
        pixels = tf.pad(pixels, [[0, tf.cast(tf.equal(count, 0), tf.int32)], [0, 0], [0, 0], [0, 0]])
        answer = self._decode(self._network(tf.cast(pixels, tf.float32)))
        return {name: tensor[:count] for name, tensor in answer.items()}
