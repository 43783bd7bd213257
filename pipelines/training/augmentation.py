"""Random changes to training images: a pure function of the images and a seed, in the graph, a whole batch at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf

__all__ = ["POLICIES", "Policy", "augment"]


@dataclass(frozen=True)
class Policy:
    """How far a training image may be changed; each amount is drawn anew for every image and step.

    Args:
        flip: mirror left to right, every second time.
        shift: largest displacement, as a share of the side.
        rotate: largest rotation, in degrees.
        zoom: largest change of scale; 0.1 is from 0.9 to 1.1 times.
        light: largest change of brightness (as a share of 255) and of contrast (as a factor's distance from 1).
        erase: side of a square that is replaced by grey, as a share of the shorter side; 0 erases nothing.

    Reference:
        erasing: DeVries, Taylor (2017), "Improved Regularization of Convolutional Neural Networks with Cutout".
    """

    flip: bool = False
    shift: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    light: float = 0.0
    erase: float = 0.0


POLICIES: dict[str, Policy] = {
    "none": Policy(),
    "light": Policy(shift=0.04),
    "strong": Policy(shift=0.12, rotate=15.0, zoom=0.2, light=0.2, erase=0.4),
}
"""The policies by name. ``flip`` is decided by what the images show."""


def augment(images: tf.Tensor, seed: tf.Tensor, policy: Policy) -> tf.Tensor:
    """Change a batch of training images at random.

    Args:
        images: uint8 of shape (batch, height, width, channels), 0 to 255.
        seed: int32 of shape (2,); the same seed gives the same changes.
        policy: how far.

    Returns:
        float32 of the same shape, 0 to 255.
    """
    flips, moves, lights, erasures = (tf.random.experimental.stateless_fold_in(seed, part) for part in range(4))
    out = tf.cast(images, tf.float32)
    if policy.shift or policy.rotate or policy.zoom:
        out = _move(out, moves, policy)
    if policy.flip:
        mirrored = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], flips) < 0.5
        out = tf.where(mirrored, tf.reverse(out, [2]), out)
    if policy.light:
        out = _relight(out, lights, policy.light)
    if policy.erase:
        out = _erase(out, erasures, policy.erase)
    return out


def _move(images: tf.Tensor, seed: tf.Tensor, policy: Policy) -> tf.Tensor:
    """Shift, rotate and zoom about the centre; what comes in from outside continues the border's pixels."""
    shape = tf.shape(images)
    height, width = tf.cast(shape[1], tf.float32), tf.cast(shape[2], tf.float32)
    draws = tf.random.stateless_uniform([4, shape[0]], seed, -1.0, 1.0)
    angle = draws[0] * math.radians(policy.rotate)
    scale = 1.0 / (1.0 + draws[1] * policy.zoom)
    cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
    x, y = (width - 1.0) / 2.0, (height - 1.0) / 2.0
    from_x = x - (x * cos - y * sin) + draws[2] * policy.shift * width
    from_y = y - (x * sin + y * cos) + draws[3] * policy.shift * height
    zero = tf.zeros_like(cos)
    transforms = tf.stack([cos, -sin, from_x, sin, cos, from_y, zero, zero], axis=1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def _relight(images: tf.Tensor, seed: tf.Tensor, amount: float) -> tf.Tensor:
    draws = tf.random.stateless_uniform([2, tf.shape(images)[0], 1, 1, 1], seed, -amount, amount)
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return tf.clip_by_value((images - mean) * (1.0 + draws[0]) + mean + 255.0 * draws[1], 0.0, 255.0)


def _erase(images: tf.Tensor, seed: tf.Tensor, share: float) -> tf.Tensor:
    shape = tf.shape(images)
    side = share * tf.cast(tf.minimum(shape[1], shape[2]), tf.float32)
    centres = tf.random.stateless_uniform([2, shape[0], 1, 1, 1], seed)
    rows = tf.reshape(tf.range(shape[1]), [1, -1, 1, 1])
    columns = tf.reshape(tf.range(shape[2]), [1, 1, -1, 1])

    def inside(positions: tf.Tensor, centre: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        return tf.abs(tf.cast(positions, tf.float32) + 0.5 - centre * tf.cast(size, tf.float32)) < side / 2.0

    square = tf.logical_and(inside(rows, centres[0], shape[1]), inside(columns, centres[1], shape[2]))
    return tf.where(square, 127.5, images)
