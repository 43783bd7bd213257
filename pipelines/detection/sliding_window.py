"""A detector looking over an image: pyramid, all windows at once, boxes, suppression; all of it in the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import tensorflow as tf

from pipelines.images import preprocessing

__all__ = ["ScanSpec", "Thresholds", "best_windows", "centres", "decode_boxes", "level", "scan", "suppress"]

_CANDIDATES = 1000
_LARGEST = 6.0  # of a logarithm: some 400 times the reference size


@dataclass(frozen=True)
class ScanSpec:
    """How a detector looks at an image.

    Args:
        window: (height, width) of what the network judges, in pixels of its own.
        stride: pixels between neighbouring windows.
        channels: 1 (grey) or 3 (RGB).
        reference: (height, width) in which boxes are measured, in pixels of the network.
        scales: what images are scaled by, one a level of the pyramid.
        clip: whether boxes end where the image does; else they go on around what is hidden.
    """

    window: tuple[int, int]
    stride: int
    channels: int
    reference: tuple[float, float]
    scales: tuple[float, ...]
    clip: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> ScanSpec:
        """Return what :meth:`to_json` gave, whatever else the record holds."""
        kept: dict[str, Any] = {}
        for field in fields(cls):
            value = record[field.name]
            kept[field.name] = tuple(value) if isinstance(value, list) else value
        return cls(**kept)


@dataclass(frozen=True)
class Thresholds:
    """What a detection must pass; the defaults of a saved model's optional inputs.

    Args:
        score: smallest score, 0 to 1.
        overlap: largest intersection over union of two boxes of a class.
        softness: 0 drops boxes that overlap more (hard); sigma > 0 lowers their scores instead (soft).
        count: at most so many an image.
    """

    score: float = 0.3
    overlap: float = 0.5
    softness: float = 0.0
    count: int = 100


def level(image: tf.Tensor, scale: tf.Tensor, spec: ScanSpec) -> tf.Tensor:
    """Bring an image to one level of the pyramid, with the margin that windows at its border reach into.

    Args:
        image: uint8 of shape (H, W, 3).
        scale: scalar float32.
        spec: how the detector looks.

    Returns:
        uint8 of shape (height, width, channels). Window number `j` of an axis is centred `(j + 0.5) * stride` pixels
        into the scaled image. Beyond the border its last row or column goes on.
    """
    scaled = preprocessing.prepare_size(image, preprocessing.scaled_size(image, scale), spec.channels)
    return _with_margin(scaled, spec)


def _with_margin(image: tf.Tensor, spec: ScanSpec) -> tf.Tensor:
    for axis, side in enumerate(spec.window):
        size, before = tf.shape(image)[axis], (side - spec.stride) // 2
        positions = (size + spec.stride - 1) // spec.stride
        rows = tf.range(spec.stride * (positions - 1) + side) - before
        image = tf.gather(image, tf.clip_by_value(rows, 0, size - 1), axis=axis)
    return image


def centres(rows: tf.Tensor, columns: tf.Tensor, stride: int) -> tf.Tensor:
    """Return the centres (x, y) of all windows, float32 of shape (rows, columns, 2), in pixels of the level."""
    y, x = (tf.cast(tf.range(count), tf.float32) * stride + stride / 2 for count in (rows, columns))
    return tf.stack(tf.meshgrid(x, y), axis=-1)


def decode_boxes(raw: tf.Tensor, centre: tf.Tensor, reference: tuple[float, float]) -> tf.Tensor:
    """Turn the network's numbers into boxes.

    Args:
        raw: float32 of shape (..., 4), logarithms of the distances in halves of the reference size.
        centre: (x, y) of the windows, of shape (..., 2).
        reference: (height, width).

    Returns:
        xyxy, of shape (..., 4), in pixels of the level.
    """
    half = tf.constant([reference[1], reference[0]] * 2, tf.float32) / 2
    distances = tf.exp(tf.clip_by_value(raw, -_LARGEST, _LARGEST)) * half
    return tf.concat([centre - distances[..., :2], centre + distances[..., 2:]], axis=-1)


def scan(
    image: tf.Tensor, network: Callable[[tf.Tensor], tf.Tensor], spec: ScanSpec, scales: tf.Tensor, score: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Look at every window of every level.

    Args:
        image: uint8 of shape (H, W, 3).
        network: as of :func:`pipelines.models.detectors.window_detector.detector`.
        spec: how the detector looks.
        scales: float32 of shape (levels,).
        score: scalar float32, the smallest score that is kept.

    Returns:
        Boxes float32 (n, 4) xyxy in pixels of the image, scores float32 (n,), class_ids int32 (n,): the 1,000 best of
        each level at most, in no particular order.
    """

    def one(number: tf.Tensor, *found: tf.Tensor) -> tuple[tf.Tensor, ...]:
        scale = scales[number]
        outputs = network(tf.cast(level(image, scale, spec), tf.float32)[None])[0]
        # The image was rounded to whole pixels when it was scaled.
        size = tf.cast(tf.shape(image)[:2], tf.float32)
        back = size / tf.maximum(tf.round(size * scale), 1.0)
        part = best_windows(outputs, tf.zeros([2]), back, spec, score)
        return (number + 1, *(tf.concat(pair, axis=0) for pair in zip(found, part, strict=True)))

    start = (tf.constant(0), tf.zeros([0, 4]), tf.zeros([0]), tf.zeros([0], tf.int32))
    shapes = (tf.TensorShape([]), tf.TensorShape([None, 4]), tf.TensorShape([None]), tf.TensorShape([None]))
    _, boxes, scores, class_ids = tf.while_loop(
        lambda number, *_: number < tf.size(scales), one, start, shapes, parallel_iterations=1
    )
    return boxes, scores, class_ids


def best_windows(
    outputs: tf.Tensor, first: tf.Tensor, back: tf.Tensor, spec: ScanSpec, score: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the boxes of the best windows of a level, or of a part of it.

    Args:
        outputs: of the network, of shape (rows, columns, classes + 4).
        first: float32 of shape (2,): row and column, in pixels of the level, that the part begins with.
        back: float32 of shape (2,): pixels of the image for one of the level, along rows and columns.
        spec: how the detector looks.
        score: scalar float32, the smallest score that is kept.

    Returns:
        Boxes float32 (n, 4) xyxy in pixels of the image, scores float32 (n,), class_ids int32 (n,): 1,000 at most.
    """
    rows, columns = tf.unstack(tf.shape(outputs)[:2])
    middles = centres(rows, columns, spec.stride) + first[::-1]
    boxes = decode_boxes(outputs[..., -4:], middles, spec.reference)
    scores = tf.sigmoid(outputs[..., :-4])
    classes = scores.shape[-1]
    best, index = tf.math.top_k(tf.reshape(scores, [-1]), tf.minimum(_CANDIDATES, tf.size(scores)))
    index = tf.boolean_mask(index, best >= score)
    chosen = tf.gather(tf.reshape(boxes, [-1, 4]), index // classes) * tf.stack([back[1], back[0]] * 2)
    return chosen, tf.boolean_mask(best, best >= score), index % classes


def suppress(
    boxes: tf.Tensor, scores: tf.Tensor, class_ids: tf.Tensor, overlap: tf.Tensor, softness: tf.Tensor, count: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Keep the best of boxes of a class that overlap.

    Args:
        boxes: float32 of shape (n, 4), xyxy.
        scores: float32 of shape (n,).
        class_ids: int32 of shape (n,); boxes of different classes do not suppress each other.
        overlap: scalar, largest intersection over union that two kept boxes may have.
        softness: scalar; 0 for the hard form, else the sigma by which scores fall with the overlap.
        count: at most so many are kept.

    Returns:
        Boxes, scores and class ids of those kept, the highest score first.

    Reference:
        Bodla et al. (2017), "Soft-NMS: Improving Object Detection With One Line of Code".
    """
    # Each class in a place of its own, so that one pass serves all of them.
    span = 2.0 * tf.reduce_max(tf.concat([tf.abs(tf.reshape(boxes, [-1])), [1.0]], axis=0)) + 2.0
    apart = boxes + (tf.cast(class_ids, tf.float32) * span)[:, None]
    order, kept = tf.image.non_max_suppression_with_scores(
        apart,
        scores,
        count,
        # The soft form never drops a box for its overlap alone.
        iou_threshold=tf.where(softness > 0, 1.0, overlap),
        score_threshold=0.0,
        soft_nms_sigma=softness,
    )
    return tf.gather(boxes, order), kept, tf.gather(class_ids, order)
