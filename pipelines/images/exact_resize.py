"""Bring a piece of an image to another scale, to the very values that the whole image would have there."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["reach", "resample"]


def reach(scale: float) -> int:
    """Return how many pixels beyond a place of an image its scaled values may depend on.

    Example:
        >>> reach(1.0), reach(0.25), reach(2.0)
        (2, 5, 2)
    """
    return int(max(1.0, 1.0 / scale)) + 1


def resample(
    piece: tf.Tensor, size: tf.Tensor, scaled: tf.Tensor, offset: tf.Tensor, start: tf.Tensor, count: tf.Tensor
) -> tf.Tensor:
    """Scale a piece of images, bilinear with anti-aliasing, as ``tf.image.resize`` scales the whole.

    That operation places its samples in float32, which pieces and the whole would round differently. Here places are
    float64 and weights the same for both, so that the values are, too.

    Args:
        piece: float32 of shape (batch, h, w, channels).
        size: int32 of shape (2,), as all that follow: height and width of the whole image.
        scaled: height and width of the whole scaled image.
        offset: row and column of the image that the piece begins with.
        start: row and column of the scaled image that are wanted first.
        count: how many of its rows and columns are wanted.

    Returns:
        float32 of shape (batch, rows, columns, channels). The piece must reach as far around as :func:`reach` says,
        or to the border of the image.
    """
    for axis in (1, 2):
        at = axis - 1
        piece = _along(piece, axis, size[at], scaled[at], offset[at], start[at], count[at])
    return piece


def _along(
    piece: tf.Tensor,
    axis: int,
    size: tf.Tensor,
    scaled: tf.Tensor,
    offset: tf.Tensor,
    start: tf.Tensor,
    count: tf.Tensor,
) -> tf.Tensor:
    full = tf.cast(size, tf.float64)
    factor = full / tf.cast(scaled, tf.float64)
    radius = tf.maximum(factor, 1.0)
    centre = (tf.cast(start + tf.range(count), tf.float64) + 0.5) * factor - 0.5
    lowest = tf.math.ceil(centre - radius)
    taps = tf.cast(tf.floor(2.0 * radius), tf.int32) + 1

    def weight(tap: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        index = lowest + tf.cast(tap, tf.float64)
        inside = tf.logical_and(index >= 0.0, index < full)
        share = tf.maximum(1.0 - tf.abs(index - centre) / radius, 0.0)
        return tf.cast(index, tf.int32), tf.where(inside, share, tf.zeros_like(share))

    total = tf.while_loop(
        lambda tap, _: tap < taps, lambda tap, sums: (tap + 1, sums + weight(tap)[1]), [0, tf.zeros_like(centre)]
    )[1]
    shape = [1, -1, 1, 1] if axis == 1 else [1, 1, -1, 1]
    last = tf.shape(piece)[axis] - 1

    def add(tap: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        index, share = weight(tap)
        rows = tf.gather(piece, tf.clip_by_value(index - offset, 0, last), axis=axis)
        return tap + 1, sums + rows * tf.reshape(tf.cast(share / total, tf.float32), shape)

    empty = tf.zeros_like(tf.gather(piece, tf.zeros_like(tf.range(count)), axis=axis))
    return tf.while_loop(lambda tap, _: tap < taps, add, [0, empty])[1]
