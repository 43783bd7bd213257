"""Images decoded once: what is measured of them, and who is named where one cannot be decoded."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.errors import DataError
from pipelines.core.progress import Reporter
from pipelines.data import Example, Split
from pipelines.training.cached_dataset import decode_each, mean_and_deviation


def test_mean_and_deviation_are_those_of_all_pixels_together():
    dice = np.random.default_rng(0)
    pictures = [dice.integers(0, 256, (3 + i % 5, 7, 3)).astype(np.uint8) for i in range(1100)]
    pixels = np.concatenate([picture.ravel() for picture in pictures[::2]])
    assert mean_and_deviation(pictures) == pytest.approx((pixels.mean(), pixels.std()), rel=1e-12)
    assert mean_and_deviation([np.full((4, 4, 1), 255, np.uint8)]) == (255.0, 1.0)


def test_pixels_are_added_up_image_by_image(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(np, "concatenate", None)
    assert mean_and_deviation([np.full((2, 2, 1), value, np.uint8) for value in (0, 200)]) == (100.0, 100.0)


def test_of_examples_that_cannot_be_decoded_the_first_is_named():
    png = tf.io.encode_png(np.zeros((2, 3, 1), np.uint8)).numpy()
    examples = [Example(f"photo{i}", data, 0) for i, data in enumerate((png, b"no image", b"nor this"))]

    def decode(example: Example[int]) -> tuple[int, ...]:
        return tuple(tf.io.decode_image(example.image).shape)

    quiet = Reporter(quiet=True)
    assert decode_each(Split("train", 1, lambda: iter(examples[:1])), decode, quiet) == [(2, 3, 1)]
    with pytest.raises(DataError, match="photo1: the image cannot be decoded"):
        decode_each(Split("train", 3, lambda: iter(examples)), decode, quiet)
