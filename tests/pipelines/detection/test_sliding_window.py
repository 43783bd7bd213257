"""The scan: where windows lie, that boxes come back to the image's own pixels, and what overlap does."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipelines.detection.sliding_window import ScanSpec, centres, decode_boxes, level, scan, suppress
from pipelines.images.boxes import overlaps
from pipelines.models.detectors.window_detector import detector, stage_margin, window_for

SPEC = ScanSpec(window=(24, 32), stride=4, channels=3, reference=(10.0, 20.0), scales=(1.0,))


@given(st.integers(1, 70), st.integers(1, 70))
def test_every_pixel_of_an_image_of_any_size_is_near_the_centre_of_a_window(height, width):
    image = tf.constant(np.random.default_rng(0).integers(0, 255, (height, width, 3)), tf.uint8)
    pixels = level(image, tf.constant(1.0), SPEC)
    positions = [(have - side) // SPEC.stride + 1 for have, side in zip(pixels.shape[:2], SPEC.window, strict=True)]
    assert positions == [-(-height // 4), -(-width // 4)]
    top, left = ((side - SPEC.stride) // 2 for side in SPEC.window)
    inner = pixels[top : top + height, left : left + width]
    assert np.array_equal(inner, image[: inner.shape[0], : inner.shape[1]])


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("conv", ["standard", "dilated", "tiled"])
def test_the_network_gives_one_answer_for_one_window(stride, conv):
    scale, constant = stage_margin(stride, conv)
    for positions in (3, 7, 13):
        window = (scale * 3 + constant, scale * positions + constant)
        model = detector(window, 1, 2, stride, conv)
        assert model.compute_output_shape((1, *window, 1)) == (1, 1, 1, 6)
        larger = (1, window[0] + stride, window[1] + 2 * stride - 1, 1)
        assert model.compute_output_shape(larger) == (1, 2, 2, 6)


@pytest.mark.parametrize("conv", ["standard", "dilated", "tiled"])
def test_all_windows_at_once_are_each_window_alone(conv):
    window = window_for((20, 30), 4, conv)
    model = detector(window, 1, 2, 4, conv)
    image = np.random.default_rng(1).uniform(0, 255, (1, window[0] + 12, window[1] + 8, 1)).astype("float32")
    dense = model(image).numpy()
    assert dense.shape == (1, 4, 3, 6)
    for i in range(4):
        for j in range(3):
            alone = model(image[:, 4 * i : 4 * i + window[0], 4 * j : 4 * j + window[1]]).numpy()
            np.testing.assert_allclose(alone[0, 0, 0], dense[0, i, j], atol=1e-4)


def test_windows_are_as_large_as_what_they_hold():
    for wanted in (1, 10, 24, 25, 40, 100):
        for stride in (4, 8):
            for side in window_for((wanted, wanted), stride):
                scale, constant = stage_margin(stride)
                assert side >= wanted or side == 3 * scale + constant
                assert ((side - constant) / scale) % 2 == 1
                assert side - wanted < 2 * scale or side == 3 * scale + constant


@given(st.floats(0.3, 2.0), st.integers(20, 90), st.integers(20, 90))
def test_boxes_come_back_in_pixels_of_the_image(scale, height, width):
    image = tf.zeros([height, width, 3], tf.uint8)

    def network(pixels):  # every window's object is as large as the reference, in the window's middle
        rows, columns = ((pixels.shape[axis + 1] - SPEC.window[axis]) // 4 + 1 for axis in (0, 1))
        logits = np.full((1, rows, columns, 1), -20.0, "float32")
        logits[0, rows // 2, columns // 2] = 20.0
        return tf.concat([logits, np.zeros((1, rows, columns, 4), "float32")], axis=-1)

    boxes, scores, class_ids = scan(image, network, SPEC, tf.constant([scale]), tf.constant(0.5))
    assert scores.shape == (1,)
    assert class_ids.numpy().tolist() == [0]
    small = np.maximum(np.round(np.float32([height, width]) * np.float32(scale)), 1)
    back = [height / small[0], width / small[1]]
    rows, columns = (int(-(-side // 4)) for side in small)
    y, x = (rows // 2 * 4 + 2) * back[0], (columns // 2 * 4 + 2) * back[1]
    half = [5 * back[0], 10 * back[1]]
    np.testing.assert_allclose(boxes[0], [x - half[1], y - half[0], x + half[1], y + half[0]], rtol=1e-4, atol=1e-3)


def test_a_pyramid_gives_the_answers_of_all_its_levels():
    image = tf.constant(np.random.default_rng(2).integers(0, 255, (50, 60, 3)), tf.uint8)
    model = detector(SPEC.window, 3, 2)
    threshold = tf.constant(0.0)

    def found(*scales):
        return scan(image, model, SPEC, tf.constant(scales), threshold)[1].numpy()

    both = np.sort(found(1.0, 0.5))
    np.testing.assert_allclose(both, np.sort(np.concatenate([found(1.0), found(0.5)])), rtol=1e-5)


def test_centres_and_distances():
    middle = centres(tf.constant(2), tf.constant(3), 4)
    assert middle.numpy().tolist() == [[[2, 2], [6, 2], [10, 2]], [[2, 6], [6, 6], [10, 6]]]
    raw = np.log([[1.0, 2.0, 3.0, 4.0]]).astype("float32")
    np.testing.assert_allclose(decode_boxes(raw, np.float32([[50, 40]]), (10.0, 20.0)), [[40, 30, 80, 60]], rtol=1e-6)


def slow_suppress(boxes, scores, class_ids, overlap):
    kept = []
    for index in np.argsort(-scores, kind="stable"):
        same = [k for k in kept if class_ids[k] == class_ids[index]]
        if all(overlaps(boxes[[index]], boxes[[k]])[0, 0] <= overlap for k in same):
            kept.append(index)
    return kept


@given(st.integers(0, 30), st.floats(0.1, 0.9), st.integers(0, 1000))
def test_suppression_keeps_the_best_of_boxes_that_overlap(count, overlap, seed):
    dice = np.random.default_rng(seed)
    corners = dice.uniform(0, 20, (count, 2))
    boxes = np.concatenate([corners, corners + dice.uniform(2, 12, (count, 2))], axis=1).astype("float32")
    scores = dice.permutation(count).astype("float32") / 100 + 0.1
    class_ids = dice.integers(0, 3, count).astype("int32")
    found = suppress(boxes, scores, class_ids, tf.constant(overlap, tf.float32), tf.constant(0.0), 50)
    kept = slow_suppress(boxes, scores, class_ids, overlap)
    for part, whole in zip(found, (boxes, scores, class_ids), strict=True):
        np.testing.assert_array_equal(part, whole[kept])


def test_the_soft_form_lowers_what_overlaps_instead_of_dropping_it():
    boxes = np.float32([[0, 0, 10, 10], [0, 0, 10, 8], [20, 20, 30, 30]])
    scores, classes = np.float32([0.9, 0.8, 0.7]), np.int32([0, 0, 0])
    _, hard, _ = suppress(boxes, scores, classes, tf.constant(0.5), tf.constant(0.0), 10)
    np.testing.assert_allclose(hard, [0.9, 0.7])
    _, soft, _ = suppress(boxes, scores, classes, tf.constant(0.5), tf.constant(0.5), 10)
    np.testing.assert_allclose(soft, [0.9, 0.7, 0.8 * np.exp(-(0.8**2) / (2 * 0.5))], rtol=1e-5)


def test_no_more_than_asked_for_are_kept():
    boxes = np.float32([[i * 20, 0, i * 20 + 10, 10] for i in range(9)])
    _, scores, _ = suppress(
        boxes, np.linspace(0.1, 0.9, 9, dtype="float32"), np.zeros(9, "int32"), tf.constant(0.5), tf.constant(0.0), 4
    )
    np.testing.assert_allclose(scores, [0.9, 0.8, 0.7, 0.6], rtol=1e-6)
