"""A segmentation network over an image: scaling, filling up, scores between positions, classes; all in the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import tensorflow as tf

from pipelines.images import preprocessing
from pipelines.images.exact_resize import resample

__all__ = [
    "LabelSpec",
    "filled",
    "interpolate",
    "label",
    "logits_at",
    "network_pixels",
    "piece_scores",
    "scores",
]


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
    """Fill images up to a multiple, at the right and the bottom, where their last column and row go on.

    Args:
        pixels: of shape (..., height, width, channels).
        multiple: see :class:`LabelSpec`.

    Returns:
        Of shape (..., multiple of rows, multiple of columns, channels).
    """
    if multiple == 1:
        return pixels
    for axis in (-3, -2):
        size = tf.shape(pixels)[axis]
        rows = tf.range(-(-size // multiple) * multiple)
        pixels = tf.gather(pixels, tf.minimum(rows, size - 1), axis=axis)
    return pixels


def interpolate(
    maps: tf.Tensor, size: tf.Tensor, steps: tf.Tensor, first: tf.Tensor | None = None, origin: tf.Tensor | None = None
) -> tf.Tensor:
    """Read maps between their positions, linearly along both axes.

    Args:
        maps: float32 of shape (..., rows, columns, channels).
        size: int32 of shape (2,): how many rows and columns are wanted.
        steps: float64 of shape (2,): positions of the maps from one wanted row, or column, to the next. The first one
            lies half a step behind the maps' border, as pixels do.
        first: int32 of shape (2,): of the wanted rows and columns, the numbers of the first; 0 by default.
        origin: int32 of shape (2,): where the maps are a piece of larger ones, the row and column of those that the
            piece begins with; 0 by default.

    Returns:
        float32 of shape (..., height, width, channels). Beyond the middle of the outermost positions their value goes
        on.
    """
    for axis, dimension in ((-3, 0), (-2, 1)):
        last = tf.shape(maps)[axis] - 1
        begin = 0 if first is None else first[dimension]
        wanted = tf.cast(begin + tf.range(size[dimension]), tf.float64)
        place = (wanted + 0.5) * tf.cast(steps[dimension], tf.float64) - 0.5
        # In whole positions of the larger maps and what is left, so that pieces read with the same shares.
        before = tf.floor(tf.maximum(place, 0.0))
        share = tf.cast(tf.maximum(place, 0.0) - before, tf.float32)
        share = share[:, None] if axis == -2 else share[:, None, None]
        row = tf.cast(before, tf.int32) - (0 if origin is None else origin[dimension])
        lower = tf.gather(maps, tf.minimum(row, last), axis=axis)
        upper = tf.gather(maps, tf.minimum(row + 1, last), axis=axis)
        maps = lower + share * (upper - lower)
    return maps


def scores(image: tf.Tensor, network: Callable[[tf.Tensor], tf.Tensor], spec: LabelSpec) -> tf.Tensor:
    """Return the probabilities of all classes at every pixel of images of one size.

    Args:
        image: uint8 of shape (batch, H, W, 3).
        network: from float32 images (batch, height, width, channels) to logits (batch, rows, columns, classes).
        spec: how it looks.

    Returns:
        float32 of shape (batch, H, W, classes): the softmax of what the logits are between the network's positions.
    """
    size = tf.shape(image)[1:3]
    nothing = tf.zeros([2], tf.int32)
    return piece_scores(
        image, size, nothing, nothing, preprocessing.scaled(size, spec.scale), nothing, size, network, spec
    )


def network_pixels(image: tf.Tensor, spec: LabelSpec) -> tf.Tensor:
    """Return what a network is shown of whole images.

    Args:
        image: uint8 of shape (batch, H, W, 3).
        spec: how it looks.

    Returns:
        float32 of shape (batch, height, width, channels), 0 to 255.
    """
    size, nothing = tf.shape(image)[1:3], tf.zeros([2], tf.int32)
    return _network_pixels(image, size, nothing, nothing, preprocessing.scaled(size, spec.scale), spec)


def _network_pixels(
    piece: tf.Tensor, size: tf.Tensor, offset: tf.Tensor, start: tf.Tensor, window: tf.Tensor, spec: LabelSpec
) -> tf.Tensor:
    pixels = tf.cast(piece, tf.float32)
    if spec.scale != 1.0:
        pixels = resample(pixels, size, preprocessing.scaled(size, spec.scale), offset, start, window)
    pixels = preprocessing.grey(pixels, rounded=spec.scale == 1.0) if spec.channels == 1 else pixels
    return filled(pixels, spec.multiple)


def piece_scores(
    piece: tf.Tensor,
    size: tf.Tensor,
    offset: tf.Tensor,
    start: tf.Tensor,
    window: tf.Tensor,
    first: tf.Tensor,
    count: tf.Tensor,
    network: Callable[[tf.Tensor], tf.Tensor],
    spec: LabelSpec,
) -> tf.Tensor:
    """Return the probabilities in a part of an image, from a piece that holds all that they depend on.

    Args:
        piece: uint8 of shape (batch, h, w, 3), of the upright image.
        size: int32 of shape (2,), as all that follow: height and width of the whole image.
        offset: row and column of the image that the piece begins with.
        start: row and column of the scaled image that the network's window begins with, multiples of the network's.
        window: height and width of that window, which ends at a multiple or at the border of the scaled image.
        first: row and column of the image that the wanted part begins with.
        count: how many rows and columns are wanted.
        network: as of :func:`scores`.
        spec: how it looks.

    Returns:
        float32 of shape (batch, rows, columns, classes).
    """
    logits = network(_network_pixels(piece, size, offset, start, window, spec))
    return tf.nn.softmax(logits_at(logits, size, start, first, count, spec))


def logits_at(
    logits: tf.Tensor, size: tf.Tensor, start: tf.Tensor, first: tf.Tensor, count: tf.Tensor, spec: LabelSpec
) -> tf.Tensor:
    """Return the logits at pixels of an image, from those at the network's positions.

    Args:
        logits: float32 of shape (batch, rows, columns, classes), what a network gives for a window of the scaled image.
        size: as of :func:`piece_scores`, as all that follow.
        start: likewise.
        first: likewise.
        count: likewise.
        spec: how the network looks.

    Returns:
        float32 of shape (batch, rows, columns, classes).
    """
    if spec.scale == 1.0 and spec.stride == 1:
        at = first - start
        return logits[:, at[0] : at[0] + count[0], at[1] : at[1] + count[1]]
    whole = tf.cast(preprocessing.scaled(size, spec.scale), tf.float64)
    steps = whole / tf.cast(size, tf.float64) / float(spec.stride)
    return interpolate(logits, count, steps, first, start // spec.stride)


def label(probabilities: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the class of every pixel, uint8, and its probability, float32, both of shape (..., H, W)."""
    return tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8), tf.reduce_max(probabilities, axis=-1)
