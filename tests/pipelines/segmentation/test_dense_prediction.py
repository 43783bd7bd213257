"""The path from an image to the class of every pixel: any size is answered, and scores are read between positions."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.segmentation.dense_prediction import LabelSpec, filled, interpolate, label, scores
from profiles import examples

sides = st.integers(1, 40)


@given(rows=st.integers(1, 7), columns=st.integers(1, 7), stride=st.sampled_from([1, 2, 3, 4, 8]))
@settings(deadline=None, max_examples=examples(40))
def test_scores_between_positions_are_those_of_an_enlargement(rows, columns, stride):
    maps = np.random.default_rng(rows * 8 + columns).normal(size=(2, rows, columns, 3)).astype("float32")
    size = (rows * stride, columns * stride)
    found = interpolate(maps, tf.constant(size), tf.constant([1 / stride] * 2, tf.float64))
    np.testing.assert_allclose(found, tf.image.resize(maps, size), atol=1e-5)


@given(height=sides, width=sides, multiple=st.sampled_from([1, 4, 8, 32]))
@settings(deadline=None, max_examples=examples(40))
def test_an_image_is_filled_up_by_its_last_row_and_column(height, width, multiple):
    pixels = np.random.default_rng(height).integers(0, 255, (height, width, 3)).astype("uint8")
    found = filled(tf.constant(pixels), multiple).numpy()
    for side, own in ((found.shape[0], height), (found.shape[1], width)):
        assert side % multiple == 0
        assert own <= side < own + multiple
    np.testing.assert_array_equal(found[:height, :width], pixels)
    assert (found[height:] == found[height - 1]).all()
    assert (found[:, width:] == found[:, width - 1 : width]).all()


def brightness(stride: int):
    """A network of two classes that says how bright the mean of each square of pixels is."""

    def network(pixels):
        mean = tf.nn.avg_pool2d(pixels, stride, stride, "VALID")[..., :1]
        return tf.concat([tf.zeros_like(mean), mean - 100.0], axis=-1)

    return network


@given(height=sides, width=sides, stride=st.sampled_from([1, 2, 4]), scale=st.sampled_from([1.0, 0.5, 0.37, 1.7]))
@settings(deadline=None, max_examples=examples(40))
def test_every_pixel_of_any_size_has_probabilities(height, width, stride, scale):
    image = np.zeros((height, width, 3), np.uint8)
    spec = LabelSpec(scale, 1, 8, stride)
    found = scores(tf.constant(image)[None], brightness(stride), spec)[0].numpy()
    assert found.shape == (height, width, 2)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
    class_map, confidence = label(tf.constant(found))
    assert (class_map.numpy() == 0).all()
    assert confidence.numpy().min() > 0.99


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
def test_a_border_between_two_classes_stays_where_it_is(scale):
    image = np.zeros((32, 48, 3), np.uint8)
    image[:, 20:] = 200
    found = scores(tf.constant(image)[None], brightness(2), LabelSpec(scale, 1, 4, 2))[0]
    class_map = label(found)[0].numpy()
    assert (class_map == class_map[:1]).all()
    assert abs(int((class_map[0] == 0).sum()) - 20) <= 2


def test_a_record_survives_json():
    spec = LabelSpec(0.5, 3, 8, 2)
    assert LabelSpec.from_json(spec.to_json() | {"more": 1}) == spec
