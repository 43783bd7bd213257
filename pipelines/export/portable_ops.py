"""Operations that other formats lack, or compute otherwise, in plain ones that every format has and computes alike.

Each stands for one operation of TensorFlow, takes its inputs and gives its outputs. Where the original adds up in a
certain order, so does the stand-in: pixels are rounded to whole levels behind it, and a sum that is off in its last bit
may be rounded the other way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["OUTPUTS", "ensure_shape", "floor_divide", "in_order", "pad", "stand_in", "suppress", "triangle_resize"]

OUTPUTS = {
    "EnsureShape": ("output",),
    "FloorDiv": ("z",),
    "MatMul": ("product",),
    "NonMaxSuppressionV5": ("selected_indices", "selected_scores", "valid_outputs"),
    "Pad": ("output",),
    "ScaleAndTranslate": ("resized_images",),
}
"""What the operations that are replaced call their outputs, in order."""

_GREY = "rgb_to_grayscale/Tensordot/MatMul"
_PARTS = 1 << 27
_SHARES = [int(np.float32(share) * np.float32(_PARTS)) for share in (0.2989, 0.5870, 0.1140)]
"""Red, green and blue in a grey, as float32 has them, in whole parts."""


def stand_in(node: Any, shape: tf.TensorShape) -> Any | None:
    """Return what stands for an operation, traced for it; None where it may stay.

    Args:
        node: a ``NodeDef``.
        shape: what is known of the shape of its first output.

    Returns:
        A concrete function, or None.
    """
    kind = tf.as_dtype(node.attr["T"].type) if "T" in node.attr else None
    number, count = tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.int32)
    if node.op == "ScaleAndTranslate" and node.attr["kernel_type"].s == b"triangle" and node.attr["antialias"].b:
        size, place = tf.TensorSpec([2], tf.int32), tf.TensorSpec([2], tf.float32)
        # Pixels are scaled as RGB, before they turn to grey. Behind a loop nothing else would tell converters so.
        return _traced(triangle_resize, tf.TensorSpec([None, None, None, 3], kind), size, place, place)
    if node.op == "NonMaxSuppressionV5" and kind == tf.float32:
        boxes, scores = tf.TensorSpec([None, 4], tf.float32), tf.TensorSpec([None], tf.float32)
        return _traced(suppress, boxes, scores, count, number, number, number)
    if node.op == "MatMul" and node.name.endswith(_GREY):
        return _traced(in_order, tf.TensorSpec([None, 3], tf.float32), tf.TensorSpec([3, 1], tf.float32))
    if node.op == "FloorDiv" and kind in (tf.int32, tf.int64):
        return _traced(floor_divide, tf.TensorSpec(None, kind), tf.TensorSpec(None, kind))
    if node.op == "EnsureShape":
        wanted = tf.TensorShape(node.attr["shape"].shape)
        return _traced(lambda values: ensure_shape(values, wanted), tf.TensorSpec(None, kind))
    if node.op == "Pad" and kind == tf.uint8 and shape.rank is not None:
        values, margins = tf.TensorSpec([None] * shape.rank, kind), tf.TensorSpec([shape.rank, 2], tf.int32)
        return _traced(lambda values, margins: pad(values, margins, shape), values, margins)
    return None


def _traced(function: Callable[..., Any], *signature: tf.TensorSpec) -> Any:
    return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()


def triangle_resize(images: tf.Tensor, size: tf.Tensor, scale: tf.Tensor, translation: tf.Tensor) -> tf.Tensor:
    """Stand for ``ScaleAndTranslate`` as ``tf.image.resize`` calls it: bilinear with anti-aliasing, to the bit.

    Args:
        images: of shape (batch, H, W, channels), of any kind of number.
        size: int32 of shape (2,): height and width that are wanted.
        scale: float32 of shape (2,): those by the images' own.
        translation: zeros, of shape (2,).

    Returns:
        float32 of shape (batch, height, width, channels).

    Example:
        >>> image = tf.reshape(tf.range(4.0), [1, 2, 2, 1])
        >>> triangle_resize(image, tf.constant([1, 1]), tf.constant([0.5, 0.5]), tf.zeros([2])).numpy().ravel()
        array([1.5], dtype=float32)
    """
    images = tf.cast(images, tf.float32)
    for axis in (1, 2):
        images = _resize_along(images, axis, size[axis - 1], 1.0 / scale[axis - 1])
    return images


def _resize_along(images: tf.Tensor, axis: int, count: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    last = tf.shape(images)[axis] - 1
    radius = tf.maximum(factor, 1.0)
    centre = (tf.cast(tf.range(count), tf.float32) + 0.5) * factor
    lowest = tf.clip_by_value(tf.cast(tf.math.ceil(centre - radius - 0.5), tf.int32), 0, last)
    highest = tf.clip_by_value(tf.cast(tf.math.floor(centre + radius - 0.5), tf.int32), 0, last)
    taps = tf.range(tf.reduce_max(highest - lowest) + 1)
    rows = lowest[:, None] + taps
    # With a change of shape between them, no runtime makes one division of a division and a product.
    distance = tf.abs((tf.cast(rows, tf.float32) + 0.5 - centre[:, None]) * tf.expand_dims(1.0 / radius, 0))
    weights = tf.where(rows <= highest[:, None], tf.maximum(1.0 - distance, 0.0), 0.0)
    # A running sum adds up from the first to the last, a sum in whatever order is fastest.
    weights *= tf.expand_dims(1.0 / tf.cumsum(weights, axis=1)[:, -1], 1)
    rows = tf.minimum(rows, last)
    shape = [1, -1, 1, 1] if axis == 1 else [1, 1, -1, 1]

    def add(tap: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        taken = tf.gather(images, tf.gather(rows, tap, axis=1), axis=axis)
        return tap + 1, sums + taken * tf.reshape(tf.gather(weights, tap, axis=1), shape)

    start = tf.zeros_like(tf.gather(images, tf.zeros_like(lowest), axis=axis))
    return tf.while_loop(lambda tap, _: tap < tf.size(taps), add, [0, start])[1]


def suppress(
    boxes: tf.Tensor, scores: tf.Tensor, count: tf.Tensor, overlap: tf.Tensor, least: tf.Tensor, sigma: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Stand for ``NonMaxSuppressionV5``, in its hard and in its soft form, which other formats do not have.

    Args:
        boxes: float32 of shape (n, 4), opposite corners.
        scores: float32 of shape (n,).
        count: scalar int32, at most so many are kept.
        overlap: scalar, largest intersection over union that two kept boxes may have.
        least: scalar; a score must be larger.
        sigma: scalar; above 0, scores fall with the overlap by this width.

    Returns:
        Which boxes are kept, the best first, int32 (m,); their scores, float32 (m,); how many, scalar int32.

    Example:
        >>> boxes = tf.constant([[0.0, 0, 9, 9], [0, 0, 9, 8], [20, 0, 29, 9]])
        >>> suppress(boxes, tf.constant([0.5, 0.9, 0.7]), 10, 0.5, 0.0, 0.0)[0].numpy()
        array([1, 2], dtype=int32)

    Reference:
        Bodla et al. (2017), "Soft-NMS: Improving Object Detection With One Line of Code".
    """
    low, high = tf.minimum(boxes[:, :2], boxes[:, 2:]), tf.maximum(boxes[:, :2], boxes[:, 2:])
    area = tf.reduce_prod(high - low, axis=1)
    slope = tf.where(sigma > 0.0, -0.5 / tf.where(sigma > 0.0, sigma, 1.0), 0.0)
    numbers = tf.range(tf.size(scores))

    def more(kept: tf.Tensor, _: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
        return tf.logical_and(tf.size(kept) < count, tf.reduce_any(left > least))

    def step(kept: tf.Tensor, found: tf.Tensor, left: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        best = tf.argmax(left, output_type=tf.int32)
        sides = tf.maximum(tf.minimum(high, high[best]) - tf.maximum(low, low[best]), 0.0)
        shared = tf.reduce_prod(sides, axis=1)
        solid = tf.logical_and(area > 0.0, area[best] > 0.0)
        union = tf.where(solid, area + area[best] - shared, 1.0)
        similar = tf.where(solid, shared / union, 0.0)
        weights = tf.exp(slope * similar * similar) * tf.cast(similar <= overlap, tf.float32)
        rest = tf.where(tf.equal(numbers, best), least, left * weights)
        return tf.concat([kept, best[None]], 0), tf.concat([found, left[best][None]], 0), rest

    unknown = tf.TensorShape([None])
    start = (tf.zeros([0], tf.int32), tf.zeros([0]), scores)
    kept, found, _ = tf.while_loop(more, step, start, (unknown, unknown, unknown))
    return kept, found, tf.size(kept)


def in_order(rows: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
    """Stand for the product that turns colours to grey: added up from red to blue, with every step rounded.

    Args:
        rows: float32 of shape (n, 3).
        column: float32 of shape (3, 1): the shares of the colours, which are those of ``tf.image.rgb_to_grayscale``.

    Returns:
        float32 of shape (n, 1).

    Example:
        >>> in_order(tf.constant([[255.0, 0.0, 0.0]]), tf.zeros([3, 1])).numpy().round(2)
        array([[76.22]], dtype=float32)
    """
    del column
    # The shares are fractions of whole numbers that are made when it runs: stored as they are, they would be weights
    # for a converter, which may store weights in fewer bits.
    one = tf.cast(tf.shape(rows)[0] >= 0, tf.int32)
    shares = [tf.cast(one * whole, tf.float32) / tf.cast(one * _PARTS, tf.float32) for whole in _SHARES]
    red, green, blue = (rows[:, place : place + 1] * share for place, share in enumerate(shares))
    return red + green + blue


def floor_divide(numerator: tf.Tensor, denominator: tf.Tensor) -> tf.Tensor:
    """Stand for ``FloorDiv`` of whole numbers, which elsewhere is rounded towards zero.

    Args:
        numerator: int32 or int64, of any shape.
        denominator: likewise.

    Returns:
        Likewise.

    Example:
        >>> int(floor_divide(tf.constant(-7), tf.constant(2)))
        -4
    """
    quotient = numerator // denominator
    rest = numerator - quotient * denominator
    towards_zero = tf.logical_and(tf.not_equal(rest, 0), tf.not_equal(rest < 0, denominator < 0))
    return quotient - tf.cast(towards_zero, quotient.dtype)


def ensure_shape(values: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    """Stand for ``EnsureShape``, where a shape that is known but for one dimension can be said by a reshape.

    Args:
        values: of any shape.
        shape: theirs, known in part.

    Returns:
        The values.
    """
    if shape.rank is None or sum(side is None for side in shape) > 1:
        return tf.identity(values)
    return tf.reshape(values, [-1 if side is None else side for side in shape])


def pad(values: tf.Tensor, margins: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    """Stand for ``Pad`` of pixels, which other formats do for larger numbers alone.

    Args:
        values: uint8 of any shape.
        margins: int32 of shape (rank, 2): how many zeros come before and behind, along each axis.
        shape: what is known of the shape of the result.

    Returns:
        uint8 of that shape.
    """
    return ensure_shape(tf.cast(tf.pad(tf.cast(values, tf.int32), margins), tf.uint8), shape)
