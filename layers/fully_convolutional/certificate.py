"""The check that the dense scan of a window classifier equals per-window inference, and how much faster it is."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..core.geometry import positive_int
from .window_classifier import Pair, WindowClassifier, pair, scan_size

__all__ = ["EXACT", "Certificate", "certify", "compare"]

EXACT = 1e-4
"""The largest difference, as a share of the largest output, that rounding alone explains."""

Evaluate = Callable[[np.ndarray], list[np.ndarray]]

_BATCH = 256  # crops at once: more are hardly faster, and windows may be large
_ROUNDS = 3  # timings of either way, by turns


@dataclass(frozen=True)
class Certificate:
    """How far a dense evaluation is from the classifier on crops, and how much faster.

    Args:
        difference: largest absolute difference of any output.
        magnitude: largest absolute output of the classifier on the crops.
        compared: windows that were compared.
        size: (rows, columns) of all windows.
        stride: (height, width), pixels between windows.
        window: (height, width) in pixels.
        dense_seconds: for the image in one dense evaluation.
        crop_seconds: for all windows in batches of crops; where only a sample was compared, the time of those scaled
            to all.
    """

    difference: float
    magnitude: float
    compared: int
    size: Pair
    stride: Pair
    window: Pair
    dense_seconds: float
    crop_seconds: float

    @property
    def relative_difference(self) -> float:
        """The largest difference over the largest magnitude; 0 where all is 0."""
        return self.difference / self.magnitude if self.magnitude else self.difference

    @property
    def sampled(self) -> bool:
        """Whether only a sample of the windows was compared, and the speed-up extrapolated from it."""
        return self.compared < self.size[0] * self.size[1]

    @property
    def speed_up(self) -> float:
        """How many times faster the dense evaluation is than the crops."""
        return self.crop_seconds / self.dense_seconds

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Return the pixels of the window that an output belongs to: (x1, y1, x2, y2), the last two excluded.

        Raises:
            IndexError: if there is no such output.
        """
        if not (0 <= row < self.size[0] and 0 <= column < self.size[1]):
            raise IndexError(f"There are {self.size} outputs, (rows, columns). Received: ({row}, {column}).")
        top, left = row * self.stride[0], column * self.stride[1]
        return left, top, left + self.window[1], top + self.window[0]

    def __str__(self) -> str:
        """Say it in words."""
        height, width = self.window
        total = self.size[0] * self.size[1]
        source = f"extrapolated from {self.compared}" if self.sampled else "all of them"
        return (
            f"largest difference  {self.difference:.3g}, {self.relative_difference:.3g} of the largest output\n"
            f"windows compared    {self.compared} of {total}\n"
            f"output [i, j]       the window of height {height} and width {width} from pixel "
            f"({self.stride[0]} i, {self.stride[1]} j) on\n"
            f"speed-up            {self.speed_up:.1f}: {self.dense_seconds:.4g} s for the image, "
            f"{self.crop_seconds:.4g} s for its crops ({source})"
        )


def certify(
    model: keras.Model,
    dense: keras.Model,
    image: Any,
    stride: int | Pair | None = None,
    samples: int = 1024,
    seed: int = 0,
) -> Certificate:
    """Compare a dense evaluation of an image with the classifier on its crops.

    Both run as compiled graphs, and are timed by turns after a warm-up.

    Args:
        model: the classifier.
        dense: what `convolutionalize(model, stride)` gave.
        image: array `(H, W, channels)`, of what values the classifier takes.
        stride: as for `convolutionalize`.
        samples: int >= 1; where there are more windows, the four corners and others by chance are compared.
        seed: of the choice.

    Returns:
        The certificate.

    Raises:
        ValueError: if the image has not three axes or is smaller than a window, or `dense` gives
            outputs of another size.

    Example:
        >>> import keras, numpy as np
        >>> from layers.fully_convolutional.convolutionalize import certify, convolutionalize
        >>> from keras import layers
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()])
        >>> found = certify(model, convolutionalize(model), np.eye(12, dtype="float32")[..., None])
        >>> found.size, found.compared, found.box(4, 0), found.difference < 1e-5
        ((5, 5), 25, (0, 4, 8, 12), True)
    """
    classifier = WindowClassifier.read(model)
    shift = classifier.stride if stride is None else pair(stride, "stride")
    whole, alone = (lambda x: _run(dense, x)), (lambda x: _run(model, x))
    return compare(whole, alone, np.asarray(image), classifier.window, shift, samples, seed)


def compare(
    dense: Evaluate,
    classifier: Evaluate,
    image: np.ndarray,
    window: Pair,
    shift: Pair,
    samples: int = 1024,
    seed: int = 0,
) -> Certificate:
    """Compare a dense evaluation of an image with crops of it, whatever evaluates them.

    Args:
        dense: from images `(1, H, W, channels)` to arrays `(1, rows, columns, features)`.
        classifier: from windows `(batch, height, width, channels)` to as many arrays of as many features each.
        image: `(H, W, channels)`, of what values the classifier takes.
        window: (height, width) in pixels.
        shift: (height, width), pixels between windows.
        samples: as for `certify`.
        seed: likewise.

    Returns:
        The certificate.

    Raises:
        ValueError: as of `certify`.
    """
    samples = positive_int(samples, "samples")
    size = scan_size(window, shift, image.shape[:2]) if image.ndim == 3 else (0, 0)
    if 0 in size:
        raise ValueError(
            f"`image` must have the axes (height, width, channels), and be no smaller than the window of {window}. "
            f"Received: an array of shape {image.shape}."
        )
    places = _sample(size, samples, seed)
    tops, lefts = np.unravel_index(places, size)
    crops = [
        image[top : top + window[0], left : left + window[1]]
        for top, left in zip(tops * shift[0], lefts * shift[1], strict=True)
    ]
    batch = min(_BATCH, len(crops))
    # The last batch is filled up, so that all have the shape that was compiled.
    batches = [
        np.stack([crops[i % len(crops)] for i in range(first, first + batch)]) for first in range(0, len(crops), batch)
    ]

    def by_crops() -> list[np.ndarray]:
        parts = [classifier(part) for part in batches]
        return [np.concatenate(arrays)[: len(crops)] for arrays in zip(*parts, strict=True)]

    maps, expected = dense(image[None]), by_crops()
    if any(y.shape[1:3] != size for y in maps):
        made = shift[0] if shift[0] == shift[1] else shift
        raise ValueError(
            f"`dense` must give {size} outputs for this image and stride; was it made with stride={made}? "
            f"Received: {[y.shape[1:3] for y in maps]}."
        )
    actual = [y[0].reshape(-1, y.shape[-1])[places] for y in maps]
    pairs = [(a.astype("float64"), e.reshape(a.shape).astype("float64")) for a, e in zip(actual, expected, strict=True)]
    dense_seconds, crop_seconds = _seconds([lambda: dense(image[None]), by_crops])
    return Certificate(
        difference=float(np.max([np.abs(a - e).max() for a, e in pairs])),  # NaN where any is
        magnitude=float(np.max([np.abs(e).max() for _, e in pairs])),
        compared=len(crops),
        size=size,
        stride=shift,
        window=window,
        dense_seconds=dense_seconds,
        crop_seconds=crop_seconds * math.prod(size) / (batch * len(batches)),
    )


def _sample(size: Pair, samples: int, seed: int) -> np.ndarray:
    """Return the numbers of the windows to compare, in order."""
    rows, columns = size
    total = rows * columns
    if total <= samples:
        return np.arange(total)
    corners = np.unique([0, columns - 1, total - columns, total - 1])[:samples]
    others = np.setdiff1d(np.arange(total), corners)
    chosen = np.random.default_rng(seed).choice(others, samples - len(corners), replace=False)
    return np.sort(np.concatenate([corners, chosen]))


def _run(model: keras.Model, x: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(y) for y in keras.tree.flatten(model.predict_on_batch(x))]


def _seconds(functions: Sequence[Callable[[], Any]]) -> list[float]:
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(_ROUNDS):
        for function, seconds in zip(functions, times, strict=True):
            started = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - started)
    return [statistics.median(seconds) for seconds in times]
