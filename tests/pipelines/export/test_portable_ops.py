"""What stands for an operation gives what the operation gives, where pixels are rounded behind it to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipelines.export.portable_ops import ensure_shape, floor_divide, in_order, pad, suppress, triangle_resize

sides = st.integers(1, 60)
number = tf.TensorSpec([], tf.float32)
suppressed = tf.function(
    suppress,
    input_signature=[
        tf.TensorSpec([None, 4]),
        tf.TensorSpec([None]),
        tf.TensorSpec([], tf.int32),
        number,
        number,
        number,
    ],
    autograph=False,
)


@given(sides, sides, sides, sides, st.sampled_from([1, 3]), st.sampled_from([np.uint8, np.float32]))
def test_a_resize_is_equal_to_the_bit(height: int, width: int, rows: int, columns: int, channels: int, kind: type):
    dice = np.random.default_rng(height * width)
    image = dice.integers(0, 256, (1, height, width, channels)).astype(kind)
    size = tf.constant([rows, columns])
    scale = tf.cast(size, tf.float32) / tf.constant([height, width], tf.float32)
    expected = tf.raw_ops.ScaleAndTranslate(
        images=image, size=size, scale=scale, translation=tf.zeros([2]), kernel_type="triangle", antialias=True
    )
    found = triangle_resize(tf.constant(image), size, scale, tf.zeros([2]))
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_grey_is_equal_to_the_bit():
    colours = np.random.default_rng(0).integers(0, 256, (200_000, 3)).astype(np.float32)
    expected = tf.image.rgb_to_grayscale(colours[None])[0]
    found = in_order(tf.constant(colours), tf.constant([[0.2989], [0.5870], [0.1140]]))
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


@given(st.integers(-1000, 1000), st.integers(-50, 50).filter(bool))
def test_whole_numbers_are_divided_downwards(numerator: int, denominator: int):
    assert int(floor_divide(tf.constant(numerator), tf.constant(denominator))) == numerator // denominator


@given(st.integers(0, 2**31), st.integers(1, 40), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.2, 0.6]))
def test_suppression_keeps_the_same_boxes(seed: int, count: int, overlap: float, sigma: float):
    dice = np.random.default_rng(seed)
    corners = dice.uniform(0, 20, (count, 2, 2)).astype(np.float32)
    boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1)
    boxes[: count // 4] = boxes[: count // 4, [2, 3, 0, 1]]  # corners may come in any order
    scores = dice.permutation(count).astype(np.float32) / count
    overlap = 1.0 if sigma else overlap
    options = {"max_output_size": 12, "iou_threshold": overlap, "score_threshold": 0.1, "soft_nms_sigma": sigma}
    expected = tf.image.non_max_suppression_with_scores(boxes, scores, **options)
    found = suppressed(boxes, scores, 12, overlap, 0.1, sigma)
    np.testing.assert_array_equal(found[0].numpy(), expected[0].numpy())
    np.testing.assert_allclose(found[1].numpy(), expected[1].numpy(), atol=1e-6)
    assert int(found[2]) == len(expected[0])


def test_suppression_of_nothing_is_nothing():
    kept, scores, count = suppress(tf.zeros([0, 4]), tf.zeros([0]), tf.constant(5), 0.5, 0.0, 0.0)
    assert (kept.shape[0], scores.shape[0], int(count)) == (0, 0, 0)


def test_boxes_without_area_suppress_nothing():
    boxes = tf.constant([[1.0, 1, 1, 5], [1, 1, 1, 5], [0, 0, 4, 4]])
    assert suppress(boxes, tf.constant([0.9, 0.8, 0.7]), tf.constant(5), 0.0, 0.0, 0.0)[0].numpy().tolist() == [0, 1, 2]


@pytest.mark.parametrize("margins", [[[0, 1], [0, 0]], [[2, 0], [1, 3]]])
def test_margins_are_zeros(margins: list[list[int]]):
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3) + 200
    found = pad(tf.constant(pixels), tf.constant(margins), tf.TensorShape([None, 3 + sum(margins[1])]))
    assert found.dtype == tf.uint8
    np.testing.assert_array_equal(found.numpy(), np.pad(pixels, margins))


@pytest.mark.parametrize("shape", [None, [None, 3], [None, None], [2, 3]])
def test_a_shape_is_said_where_it_can_be(shape: list[int | None] | None):
    traced = tf.function(
        lambda values: ensure_shape(values, tf.TensorShape(shape)), input_signature=[tf.TensorSpec(None)]
    ).get_concrete_function()
    np.testing.assert_array_equal(traced(tf.ones([2, 3])).numpy(), np.ones([2, 3]))
    known = shape is not None and shape.count(None) < 2
    assert traced.structured_outputs.shape.as_list() == shape if known else traced.structured_outputs.shape.rank is None
