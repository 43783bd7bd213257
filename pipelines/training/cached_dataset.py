"""Images as the network sees them, decoded once and kept: in memory, or on disk where they are too many."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from pipelines.core.errors import DataError
from pipelines.core.progress import Reporter
from pipelines.core.tensorflow_errors import undecodable
from pipelines.data.splits import Example, Label, Split
from pipelines.images import preprocessing as images
from pipelines.images.preprocessing import ImageSpec
from pipelines.storage import room

__all__ = [
    "EpochOrder",
    "Pixels",
    "decode_each",
    "decode_split",
    "in_order",
    "mean_and_deviation",
    "preparer",
    "shuffled",
]

_MEMORY_BYTES = 4 << 30
_CHUNK = 256
_MEASURED = 500

Decoded = TypeVar("Decoded")


class Pixels:
    """The images of a split, ready for the network.

    Args:
        images: uint8 of shape (n, height, width, channels), 0 to 255.
        labels: int32 of shape (n,).
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)


class EpochOrder:
    """Which examples training shows when: each epoch in an order of its own, a pure function of the seed.

    Args:
        count: of examples.
        seed: of the order.

    Example:
        >>> order = EpochOrder(5, seed=0)
        >>> sorted(order.running(number) for number in range(5))
        [0, 1, 2, 3, 4]
        >>> len(order.batch(step=0, size=2))
        2
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed, self._lock = count, seed, threading.Lock()
        self._of_epoch = functools.lru_cache(maxsize=2)(self._draw)

    def _draw(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, epoch]).permutation(self._count)

    def _of(self, epoch: int) -> np.ndarray:
        with self._lock:
            return self._of_epoch(epoch)

    def running(self, number: int) -> int:
        """Return the position of the example that comes as this number, from 0, over all epochs."""
        epoch, at = divmod(number, self._count)
        return int(self._of(epoch)[at])

    def running_batch(self, step: int, size: int) -> list[int]:
        """Return the positions of a step's examples, where epochs follow each other within batches."""
        return [self.running(number) for number in range(step * size, (step + 1) * size)]

    def batch(self, step: int, size: int) -> np.ndarray:
        """Return the positions of a step's examples, where those that fill no whole batch are left out of an epoch."""
        epoch, at = divmod(step, self._count // size)
        return self._of(epoch)[at * size : (at + 1) * size]


def preparer(spec: ImageSpec) -> Callable[[list[Example[int]]], np.ndarray]:
    """Make the function that decodes and prepares examples: the graph of the saved model, compiled once.

    Args:
        spec: what the network sees.

    Returns:
        From examples to uint8 of shape (n, height, width, channels). It raises a ``DataError`` that names the example
        whose bytes are no image.
    """
    prepare = tf.function(
        lambda image_bytes: images.prepare_batch(image_bytes, spec),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )

    def run(examples: list[Example[int]]) -> np.ndarray:
        try:
            pixels: np.ndarray = prepare([example.image for example in examples]).numpy()
        except tf.errors.InvalidArgumentError as error:
            # The error of a batch does not say which image is at fault; one at a time, it does.
            if len(examples) == 1:
                raise DataError(f"{examples[0].id}: {undecodable(error)}") from None
            return np.concatenate([run([example]) for example in examples])
        return pixels

    return run


def decode_each(split: Split[Label], decode: Callable[[Example[Label]], Decoded], reporter: Reporter) -> list[Decoded]:
    """Decode the images of a split one after the other, for they may differ in size.

    Args:
        split: the examples.
        decode: runs the TensorFlow operations that read an example.
        reporter: where progress is shown.

    Returns:
        What was made of each example, in order.

    Raises:
        DataError: naming the first image that cannot be decoded.
    """
    decoded = []
    with reporter.meter(f"reading {split.name} images", split.size) as meter:
        for example in split.examples():
            try:
                decoded.append(decode(example))
            except tf.errors.InvalidArgumentError as error:
                raise DataError(f"{example.id}: {undecodable(error)}") from None
            meter.advance()
    return decoded


def mean_and_deviation(pictures: Sequence[np.ndarray]) -> tuple[float, float]:
    """Measure the pixels of at most about 1,000 images of a set, evenly taken from it, one image at a time.

    Args:
        pictures: uint8 arrays of any shapes.

    Returns:
        Mean and standard deviation of all their pixels together, 0 to 255; the deviation is at least 1.

    Example:
        >>> mean_and_deviation([np.array([[0, 0]], np.uint8), np.array([[200, 200]], np.uint8)])
        (100.0, 100.0)
    """
    count, total, squares = 0, 0.0, 0.0
    for picture in pictures[:: max(1, len(pictures) // _MEASURED)]:
        values = picture.astype(np.float64).ravel()
        count += values.size
        total += float(values.sum())
        squares += float(values @ values)
    mean = total / count
    return mean, max(math.sqrt(max(squares / count - mean**2, 0.0)), 1.0)


def decode_split(split: Split[int], spec: ImageSpec, reporter: Reporter) -> Pixels:
    """Decode all images of a split.

    Args:
        split: the examples.
        spec: what the network sees.
        reporter: where progress is shown.

    Returns:
        The pixels and labels, in the order of the split; in a temporary file that is deleted with the process, where
        they need more than 4 GiB.

    Raises:
        ConfigError: if the file for them has no room.
        DataError: naming the first image that cannot be decoded.
    """
    shape = (split.size, *spec.shape)
    count = int(np.prod(shape, dtype=np.int64))
    if count > _MEMORY_BYTES:
        store: np.ndarray = np.memmap(room.scratch_file(count), np.uint8, "r+", shape=shape)  # which keeps it open
    else:
        store = np.empty(shape, np.uint8)
    labels = np.empty(split.size, np.int32)
    prepare = preparer(spec)
    done = 0
    with reporter.meter(f"reading {split.name} images", split.size) as meter:
        for chunk in _chunks(split.examples(), _CHUNK):
            store[done : done + len(chunk)] = prepare(chunk)
            labels[done : done + len(chunk)] = [example.label for example in chunk]
            done += len(chunk)
            meter.advance(len(chunk))
    return Pixels(store, labels)


def _chunks(examples: Iterator[Example[int]], size: int) -> Iterator[list[Example[int]]]:
    chunk: list[Example[int]] = []
    for example in examples:
        chunk.append(example)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _fetch(pixels: Pixels, choose: Callable[[int], np.ndarray], spec_shape: tuple[int, ...], size: int | None) -> Any:
    """Make the dataset function from a number to the images and labels that it chooses."""

    def read(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = choose(int(number))
        return pixels.images[chosen], pixels.labels[chosen]

    def fetch(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found, labels = tf.numpy_function(read, [number], (tf.uint8, tf.int32), stateful=False)
        return tf.ensure_shape(found, (size, *spec_shape)), tf.ensure_shape(labels, (size,))

    return fetch


def shuffled(
    pixels: Pixels,
    batch_size: int,
    seed: int,
    change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    weights: np.ndarray,
    start: int = 0,
) -> tf.data.Dataset:
    """Give training batches without end, each epoch in an order of its own.

    Batch number ``step`` is a pure function of (seed, step): a run that starts at a step sees what an uninterrupted one
    would have seen. Images that do not fill an epoch's last batch are left out of that epoch.

    Args:
        pixels: the training images.
        batch_size: at most ``len(pixels)``.
        seed: seed of the order and of the changes.
        change: from (uint8 images, seed of shape (2,)) to float images, such as an augmentation.
        weights: float32 of shape (classes,): weight of an example by its label.
        start: number of the first step.

    Returns:
        Batches (images float32, labels int32, weights float32).
    """
    order = EpochOrder(len(pixels), seed)

    def choose(step: int) -> np.ndarray:
        return order.batch(step, batch_size)

    fetch = _fetch(pixels, choose, pixels.images.shape[1:], batch_size)
    by_label = tf.constant(weights, tf.float32)

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        found, labels = fetch(step)
        step_seed = tf.stack([tf.constant(seed, tf.int32), tf.cast(step, tf.int32)])
        return change(found, step_seed), labels, tf.gather(by_label, labels)

    numbers = tf.data.Dataset.range(start, tf.int64.max)
    return numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def in_order(pixels: Pixels, batch_size: int) -> tf.data.Dataset:
    """Give all images once, in order.

    Args:
        pixels: the images.
        batch_size: of all batches but the last, which may be smaller.

    Returns:
        Batches (images float32, labels int32, weights float32 of one).
    """

    def choose(number: int) -> np.ndarray:
        return np.arange(number * batch_size, min(len(pixels), (number + 1) * batch_size))

    fetch = _fetch(pixels, choose, pixels.images.shape[1:], None)

    def batch(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        found, labels = fetch(number)
        return tf.cast(found, tf.float32), labels, tf.ones_like(labels, tf.float32)

    count = -(-len(pixels) // batch_size)
    return tf.data.Dataset.range(count).map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
