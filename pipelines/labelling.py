"""A segmentation network over an image: scaling, filling up, scores between positions, classes; all in the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import tensorflow as tf

from pipelines import images

__all__ = ["LabelSpec", "filled", "interpolate", "label", "scores"]


@dataclass(frozen=True)
class LabelSpec:
    """How a segmentation network looks at an image.

    Args:
        scale: what images are scaled by for the network.
        channels: 1 (grey) or 3 (RGB).
        multiple: the network takes heights and widths that are multiples of this.
        stride: pixels of the network between neighbouring positions of its output.
    """

    scale: float
    channels: int
    multiple: int
    stride: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> LabelSpec:
        """Return what :meth:`to_json` gave, whatever else the record holds."""
        return cls(**{field.name: record[field.name] for field in fields(cls)})


def filled(pixels: tf.Tensor, multiple: int) -> tf.Tensor:
    """Fill an image up to a multiple, at the right and the bottom, where its last column and row go on.

    Args:
        pixels: of shape (height, width, channels).
        multiple: see :class:`LabelSpec`.

    Returns:
        Of shape (multiple of rows, multiple of columns, channels).
    """
    for axis in (0, 1):
        size = tf.shape(pixels)[axis]
        rows = tf.range(-(-size // multiple) * multiple)
        pixels = tf.gather(pixels, tf.minimum(rows, size - 1), axis=axis)
    return pixels


def interpolate(maps: tf.Tensor, size: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """Read maps between their positions, linearly along both axes.

    Args:
        maps: float32 of shape (..., rows, columns, channels).
        size: int32 of shape (2,): how many rows and columns are wanted.
        steps: float32 of shape (2,): positions of the maps from one wanted row, or column, to the next. The first one
            lies half a step behind the maps' border, as pixels do.

    Returns:
        float32 of shape (..., height, width, channels). Beyond the middle of the outermost positions their value goes
        on.
    """
    for axis, dimension in ((-3, 0), (-2, 1)):
        last = tf.cast(tf.shape(maps)[axis] - 1, tf.float32)
        place = (tf.cast(tf.range(size[dimension]), tf.float32) + 0.5) * steps[dimension] - 0.5
        place = tf.clip_by_value(place, 0.0, last)
        before = tf.floor(place)
        share = (place - before)[:, None] if axis == -2 else (place - before)[:, None, None]
        first = tf.gather(maps, tf.cast(before, tf.int32), axis=axis)
        second = tf.gather(maps, tf.cast(tf.minimum(before + 1.0, last), tf.int32), axis=axis)
        maps = first + share * (second - first)
    return maps


def scores(image: tf.Tensor, network: Callable[[tf.Tensor], tf.Tensor], spec: LabelSpec) -> tf.Tensor:
    """Return the probabilities of all classes at every pixel of an image.

    Args:
        image: uint8 of shape (H, W, 3).
        network: from float32 images (batch, height, width, channels) to logits (batch, rows, columns, classes).
        spec: how it looks.

    Returns:
        float32 of shape (H, W, classes): the softmax of what the logits are between the network's positions.
    """
    size = tf.shape(image)[:2]
    scaled = images.scaled_size(image, tf.constant(spec.scale))
    pixels = filled(images.prepare_size(image, scaled, spec.channels), spec.multiple)
    logits = network(tf.cast(pixels, tf.float32)[None])[0]
    steps = tf.cast(scaled, tf.float32) / tf.cast(size, tf.float32) / spec.stride
    return tf.nn.softmax(interpolate(logits, size, steps))


def label(probabilities: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the class of every pixel, uint8, and its probability, float32, both of shape (H, W)."""
    return tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8), tf.reduce_max(probabilities, axis=-1)
