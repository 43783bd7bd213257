"""The graphs of a saved detector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from pipelines.artifacts.serving_module import ServingModule
from pipelines.detection.sliding_window import ScanSpec, Thresholds, level, scan, suppress
from pipelines.images import preprocessing as images

__all__ = ["ScanServing"]

_OPTIONS = [
    tf.TensorSpec([], tf.float32, name="score_threshold"),
    tf.TensorSpec([], tf.float32, name="overlap_threshold"),
    tf.TensorSpec([], tf.float32, name="soft_nms_sigma"),
    tf.TensorSpec([None], tf.float32, name="scales"),
]


class ScanServing(ServingModule):
    """Find objects in images of any sizes, by looking at every window of every level of a pyramid.

    Besides the images, the signatures take ``score_threshold``, ``overlap_threshold`` and ``soft_nms_sigma`` (scalars)
    and ``scales`` (float32 of any length). They have defaults, which TensorFlow Serving fills in, as do the functions
    ``serve_bytes`` and ``serve_pixels`` of the loaded model. ``windows`` gives the network's own outputs for its own
    pixels, a window or more of them, which is how it can be shown that all windows at once are each window alone.

    Args:
        model: as of :func:`pipelines.models.detectors.window_detector.detector`.
        labels: a file with the names of the classes, one a line.
        spec: how the detector looks.
        thresholds: the defaults of the optional inputs.
        classes: names.
        scale: of the level that explanations and feature maps are of: the one that the network was trained at.
    """

    warmup_batches = (1, 2)
    evidence = "score of the class in every window"

    def __init__(
        self,
        model: keras.Model,
        labels: Path,
        spec: ScanSpec,
        thresholds: Thresholds,
        classes: tuple[str, ...],
        scale: float = 1.0,
    ) -> None:
        super().__init__(model, labels)
        self._spec, self._count, self._classes, self._scale = spec, thresholds.count, classes, scale
        # A signature's defaults are those of its Python function, which is therefore made for each model.
        score, overlap = tf.constant(thresholds.score), tf.constant(thresholds.overlap)
        softness, scales = tf.constant(thresholds.softness), tf.constant(spec.scales)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes"), *_OPTIONS])
        def serve_bytes(
            image_bytes: tf.Tensor,
            score_threshold: tf.Tensor = score,
            overlap_threshold: tf.Tensor = overlap,
            soft_nms_sigma: tf.Tensor = softness,
            scales: tf.Tensor = scales,
        ) -> dict[str, tf.Tensor]:
            options = (score_threshold, overlap_threshold, soft_nms_sigma, scales)
            return self._answers(image_bytes, lambda data: self._answer(images.decode(data), *options))

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images"), *_OPTIONS])
        def serve_pixels(
            images: tf.Tensor,
            score_threshold: tf.Tensor = score,
            overlap_threshold: tf.Tensor = overlap,
            soft_nms_sigma: tf.Tensor = softness,
            scales: tf.Tensor = scales,
        ) -> dict[str, tf.Tensor]:
            options = (score_threshold, overlap_threshold, soft_nms_sigma, scales)
            return self._answers(images, lambda image: self._answer(image, *options))

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, spec.channels], tf.float32, name="pixels")])
        def windows(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"outputs": self._network(pixels)}

        self.serve_bytes, self.serve_pixels, self.windows = serve_bytes, serve_pixels, windows

    def signatures(self) -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
        """Return the graphs by the names they are served under."""
        return super().signatures() | {"score_map": self.score_map, "windows": self.windows}

    @tf.function(
        input_signature=[
            tf.TensorSpec([], tf.string, name="image_bytes"),
            tf.TensorSpec([], tf.float32, name="scale"),
        ]
    )
    def score_map(self, image_bytes: tf.Tensor, scale: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the scores of all windows of one level: float32 of shape (rows, columns, classes).

        Window (i, j) is centred ``(j + 0.5, i + 0.5) * stride / scale`` pixels (x, y) into the image.
        """
        pixels = level(images.decode(image_bytes), scale, self._spec)
        return {"scores": tf.sigmoid(self._network(tf.cast(pixels, tf.float32)[None])[0, ..., :-4])}

    def _seen(self, image: tf.Tensor) -> tf.Tensor:
        return tf.cast(level(image, tf.constant(self._scale), self._spec), tf.float32)[None]

    def _evidence(self, image: tf.Tensor, class_id: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = tf.sigmoid(self._network(self._seen(image))[0, ..., :-4])
        largest = tf.reduce_max(scores, axis=[0, 1])
        chosen = tf.where(class_id < 0, tf.argmax(largest), class_id)
        size = tf.cast(tf.shape(scores)[:2], tf.float32) * self._spec.stride / self._scale
        return {
            "evidence": tf.gather(scores, chosen, axis=-1),
            "region": tf.stack([0.0, 0.0, size[1], size[0]]),
            "class_id": chosen,
            "score": largest[chosen],
        }

    def _answers(self, inputs: tf.Tensor, answer: Callable[[tf.Tensor], tuple[tf.Tensor, ...]]) -> dict[str, tf.Tensor]:
        count = self._count
        shapes = (
            tf.TensorSpec([count, 4], tf.float32),
            tf.TensorSpec([count], tf.float32),
            tf.TensorSpec([count], tf.int64),
            tf.TensorSpec([], tf.int32),
        )
        boxes, scores, class_ids, found = tf.map_fn(answer, inputs, fn_output_signature=shapes)
        names = tf.gather(tf.constant([*self._classes, ""]), tf.where(scores > 0, class_ids, len(self._classes)))
        return {
            "boxes": boxes,
            "scores": scores,
            "class_ids": class_ids,
            "class_names": names,
            "num_detections": found,
        }

    def _answer(
        self, image: tf.Tensor, score: tf.Tensor, overlap: tf.Tensor, softness: tf.Tensor, scales: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        boxes, scores, class_ids = scan(image, self._network, self._spec, scales, score)
        boxes, scores, class_ids = suppress(boxes, scores, class_ids, overlap, softness, self._count)
        kept = scores >= score  # the soft form lowers scores
        boxes, scores, class_ids = (tf.boolean_mask(part, kept) for part in (boxes, scores, class_ids))
        if self._spec.clip:
            right, bottom = (tf.cast(tf.shape(image)[axis], tf.float32) for axis in (1, 0))
            boxes = tf.clip_by_value(boxes, 0.0, tf.stack([right, bottom, right, bottom]))
        found = tf.size(scores)
        missing = self._count - found
        return (
            tf.ensure_shape(tf.pad(boxes, [[0, missing], [0, 0]]), [self._count, 4]),
            tf.ensure_shape(tf.pad(scores, [[0, missing]]), [self._count]),
            tf.ensure_shape(tf.cast(tf.pad(class_ids, [[0, missing]]), tf.int64), [self._count]),
            found,
        )
