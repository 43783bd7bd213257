"""What a segmentation network is trained on: crops of images and of their masks, changed together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pipelines.core.progress import Reporter
from pipelines.data.splits import Example, Split
from pipelines.images import preprocessing
from pipelines.images.exact_resize import resample
from pipelines.images.masks import IGNORED
from pipelines.training.cached_dataset import EpochOrder, decode_each
from pipelines.training.random_views import bend, draw_matrix, draw_shifts, place, relight, sample

__all__ = ["MaskCropSpec", "MaskScene", "decode_masks", "mask_crops", "whole"]


@dataclass(frozen=True, eq=False)
class MaskScene:
    """A training image as the network sees it: uint8 of shape (height, width, channels), its mask (height, width)."""

    pixels: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class MaskCropSpec:
    """What crops are drawn.

    Args:
        size: height and width, in pixels.
        channels: 1 (grey) or 3 (RGB).
        zoom: scales are drawn between 1 / zoom and zoom.
        aspect: and height against width between 1 / aspect and aspect.
        flip: mirror left to right, every second time.
        turn: turn by multiples of 90 degrees and mirror, for what has no upright.
        light: largest change of brightness (as a share of 255), of contrast and of each colour (as factors).
        elastic: standard deviation of smooth shifts, in pixels.
    """

    size: tuple[int, int]
    channels: int
    zoom: float = 1.25
    aspect: float = 1.1
    flip: bool = False
    turn: bool = False
    light: float = 0.2
    elastic: float = 0.0


def decode_masks(split: Split[np.ndarray], scale: float, channels: int, reporter: Reporter) -> list[MaskScene]:
    """Decode all images of a split and scale them with their masks.

    Images are decoded, scaled and turned to grey by the functions of the saved model, and the result is rounded once,
    to 8 bits; the saved model does not round what it has scaled. Of masks the nearest pixel is taken.

    Args:
        split: the examples.
        scale: what images are scaled by for the network.
        channels: 1 (grey) or 3 (RGB).
        reporter: where progress is shown.

    Returns:
        A scene an example, in order.

    Raises:
        DataError: naming the first image that cannot be decoded.
    """

    @tf.function(
        input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([None, None], tf.uint8)], reduce_retracing=True
    )
    def prepare(data: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = preprocessing.decode(data)
        full = tf.shape(image)[:2]
        size = preprocessing.scaled(full, scale)
        pixels = tf.cast(image, tf.float32)
        if scale != 1.0:
            nothing = tf.zeros([2], tf.int32)
            pixels = resample(pixels[None], full, size, nothing, nothing, size)[0]
        pixels = preprocessing.grey(pixels, rounded=False) if channels == 1 else pixels
        small = tf.image.resize(mask[..., None], size, method="nearest")[..., 0]
        return tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), tf.uint8), small

    def decode(example: Example[np.ndarray]) -> MaskScene:
        pixels, mask = prepare(example.image, example.label)
        return MaskScene(pixels.numpy(), mask.numpy())

    return decode_each(split, decode, reporter)


def mask_crops(
    scenes: list[MaskScene], spec: MaskCropSpec, batch_size: int, seed: int, *, start: int = 0
) -> tf.data.Dataset:
    """Give batches of crops with their masks, without end and in random order.

    Batch number ``step`` is a pure function of (seed, step), so that a run can go on from any step.

    Args:
        scenes: the images.
        spec: what crops are drawn.
        batch_size: crops a batch.
        seed: of order, places and colours.
        start: number of the first step.

    Returns:
        Batches (pixels float32 (batch, height, width, channels) 0 to 255, mask uint8 (batch, height, width) with 255
        beyond the image, weights float32 (batch,) of one).
    """
    order = EpochOrder(len(scenes), seed)

    def draw(number: np.ndarray) -> tuple[np.ndarray, ...]:
        scene = scenes[order.running(int(number))]
        dice = np.random.default_rng([seed, 1, int(number)])
        matrix = draw_matrix(dice, zoom=spec.zoom, aspect=spec.aspect, flip=spec.flip, turn=spec.turn)
        sides = np.array(scene.mask.shape[::-1])
        half = np.abs(matrix) @ np.array(spec.size[::-1]) / 2
        spare = np.abs(sides / 2 - half)  # a crop that is larger than the image moves around it, to be seen whole
        middle = sides / 2 + spare * dice.uniform(-1, 1, 2)
        view = place(matrix, middle, spec.size)
        return scene.pixels, scene.mask[..., None], view.astype(np.float32)

    def example(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        pixels, mask, view = tf.numpy_function(draw, [number], (tf.uint8, tf.uint8, tf.float32), stateful=False)
        crop = sample(tf.ensure_shape(pixels, (None, None, spec.channels)), view, spec.size)
        truth = sample(tf.ensure_shape(mask, (None, None, 1)), view, spec.size, outside=float(IGNORED))
        key = tf.stack([tf.constant(seed, tf.int64), number])
        if spec.elastic:
            shifts = draw_shifts(key, spec.elastic)
            crop, truth = bend(crop, shifts), bend(truth, shifts, outside=float(IGNORED))
        crop = relight(crop, key, spec.light)
        return crop, tf.cast(truth[..., 0], tf.uint8), tf.constant(1.0)

    numbers = tf.data.Dataset.range(start * batch_size, tf.int64.max)
    drawn = numbers.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return drawn.batch(batch_size, drop_remainder=True).prefetch(2)


def whole(scenes: list[MaskScene], multiple: int, batch_size: int) -> tf.data.Dataset:
    """Give all images once, whole and in order, filled up to one size; what is filled in is ignored.

    Args:
        scenes: the images.
        multiple: height and width are multiples of this.
        batch_size: images a batch.

    Returns:
        Batches as of :func:`mask_crops`.
    """
    height, width = (-(-max(scene.mask.shape[axis] for scene in scenes) // multiple) * multiple for axis in (0, 1))

    def examples() -> Iterator[tuple[np.ndarray, np.ndarray, np.float32]]:
        for scene in scenes:
            after = [(0, height - scene.mask.shape[0]), (0, width - scene.mask.shape[1])]
            pixels = np.pad(scene.pixels, [*after, (0, 0)], mode="edge").astype(np.float32)
            yield pixels, np.pad(scene.mask, after, constant_values=IGNORED), np.float32(1)

    channels = scenes[0].pixels.shape[2]
    signature = (
        tf.TensorSpec((height, width, channels), tf.float32),
        tf.TensorSpec((height, width), tf.uint8),
        tf.TensorSpec((), tf.float32),
    )
    return tf.data.Dataset.from_generator(examples, output_signature=signature).batch(batch_size).prefetch(2)
