"""Scaling a piece gives the values of the scaled whole, and those are TensorFlow's."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.images.exact_resize import reach, resample
from profiles import examples

sizes = st.tuples(st.integers(1, 60), st.integers(1, 60))


def scale(pixels, size, scaled, offset=(0, 0), start=(0, 0), count=None):
    numbers = (tf.constant(values, tf.int32) for values in (size, scaled, offset, start, count or scaled))
    return resample(tf.constant(pixels), *numbers).numpy()


@given(size=sizes, scaled=sizes)
@settings(deadline=None, max_examples=examples(60))
def test_the_whole_is_what_tensorflow_makes_of_it(size, scaled):
    pixels = np.random.default_rng(0).uniform(0, 255, (2, *size, 3)).astype("float32")
    expected = tf.image.resize(pixels, scaled, antialias=True)
    np.testing.assert_allclose(scale(pixels, size, scaled), expected, atol=0.02)


@given(size=sizes, scaled=sizes, data=st.data())
@settings(deadline=None, max_examples=examples(60))
def test_a_piece_has_exactly_the_values_of_the_whole(size, scaled, data):
    pixels = np.random.default_rng(0).uniform(0, 255, (1, *size, 1)).astype("float32")
    whole = scale(pixels, size, scaled)
    start = [data.draw(st.integers(0, side - 1)) for side in scaled]
    count = [data.draw(st.integers(1, side - first)) for side, first in zip(scaled, start, strict=True)]
    reads = []
    for side, small, first, length in zip(size, scaled, start, count, strict=True):
        ratio = small / side
        begin, end = int(first / ratio) - reach(ratio), int(np.ceil((first + length) / ratio)) + reach(ratio)
        reads.append((max(begin, 0), min(end, side)))
    piece = pixels[:, slice(*reads[0]), slice(*reads[1])]
    found = scale(piece, size, scaled, [read[0] for read in reads], start, count)
    expected = whole[:, start[0] : start[0] + count[0], start[1] : start[1] + count[1]]
    np.testing.assert_array_equal(found, expected)
