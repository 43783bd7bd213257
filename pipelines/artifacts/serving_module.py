"""A network with everything around it, from encoded bytes to named answers: what is exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from pipelines.artifacts.class_evidence import ClassEvidence, class_evidence, feature_maps
from pipelines.detection.sliding_window import ScanSpec, Thresholds, level, scan, suppress
from pipelines.images import preprocessing as images
from pipelines.images.masks import IGNORED
from pipelines.images.preprocessing import ImageSpec
from pipelines.segmentation.dense_prediction import LabelSpec, label, network_pixels, scores

__all__ = ["Decode", "ImageServing", "MaskServing", "ScanServing", "ServingModule"]

Decode = Callable[[tf.Tensor], dict[str, tf.Tensor]]


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

        self._network = lambda pixels: network(pixels)
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
