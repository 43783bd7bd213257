"""The loss of masks: pixels to be ignored do not count, classes weigh what they should."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.images.masks import IGNORED
from pipelines.segmentation.loss import mask_loss, mask_metrics, median_frequency_weights
from profiles import examples

CLASSES = 4


def drawn(seed: int, stride: int = 1):
    dice = np.random.default_rng(seed)
    mask = dice.integers(0, CLASSES, (3, 8, 12)).astype("uint8")
    mask[dice.random(mask.shape) < 0.2] = IGNORED
    logits = dice.normal(size=(3, 8 // stride, 12 // stride, CLASSES)).astype("float32") * 3
    return tf.constant(mask), tf.constant(logits)


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=examples(20))
def test_cross_entropy_is_that_of_keras_over_the_pixels_that_count(seed):
    mask, logits = drawn(seed)
    found = mask_loss(["cross_entropy"], np.ones(CLASSES, np.float32), 1)(mask, logits)
    for one, own, outputs in zip(found, mask.numpy(), logits.numpy(), strict=True):
        kept = own != IGNORED
        expected = keras.losses.sparse_categorical_crossentropy(own[kept], outputs[kept], from_logits=True)
        np.testing.assert_allclose(one, np.mean(expected), rtol=1e-5)


@pytest.mark.parametrize("terms", [["cross_entropy"], ["focal"], ["dice"], ["cross_entropy", "dice"]])
@pytest.mark.parametrize("stride", [1, 2])
def test_ignored_pixels_change_nothing(terms, stride):
    mask, logits = drawn(1, stride)
    loss = mask_loss(terms, np.array([1, 2, 3, 4], np.float32), stride)
    if stride == 1:
        changed = tf.where((mask == IGNORED)[..., None], tf.constant([9.0, 0.0, -5.0, 0.0]), logits)
        np.testing.assert_allclose(loss(mask, changed), loss(mask, logits), rtol=1e-5)
    nothing = tf.fill(mask.shape, np.uint8(IGNORED))
    np.testing.assert_allclose(loss(nothing, logits), [1.0 if "dice" in terms else 0.0] * 3)


@pytest.mark.parametrize("term", ["cross_entropy", "focal", "dice"])
def test_a_right_answer_costs_nothing_and_sums_add_up(term):
    mask, logits = drawn(2)
    weights = np.ones(CLASSES, np.float32)
    sure = 50.0 * tf.one_hot(mask, CLASSES)
    np.testing.assert_allclose(mask_loss([term], weights, 1)(mask, sure), 0.0, atol=1e-4)
    both = mask_loss([term, "focal"], weights, 1)(mask, logits) if term != "focal" else None
    if both is not None:
        parts = [mask_loss([one], weights, 1)(mask, logits) for one in (term, "focal")]
        np.testing.assert_allclose(both, parts[0] + parts[1], rtol=1e-5)


def test_focal_loss_is_by_hand():
    mask = tf.constant([[[0, 1]]], tf.uint8)
    logits = tf.constant([[[[2.0, 0.0], [2.0, 0.0]]]])
    p = 1 / (1 + np.exp(-2.0))
    expected = (-np.log(p) * (1 - p) ** 2 - np.log(1 - p) * p**2) / 2
    np.testing.assert_allclose(mask_loss(["focal"], np.ones(2, np.float32), 1)(mask, logits), [expected], rtol=1e-5)


def test_a_rare_class_weighs_no_more_than_a_limit():
    masks = [np.zeros((100, 100), np.uint8), np.ones((100, 100), np.uint8)]
    masks[0][0, 0] = 2
    rare, common = median_frequency_weights(masks, 3)[[2, 1]]
    masks[0][:10, :10] = 2
    assert common < rare == median_frequency_weights(masks, 3)[2] < 100


def test_weights_are_the_median_frequency_over_each():
    first = np.array([[0, 0, 0, 1]], np.uint8)
    second = np.array([[0, 0, IGNORED, IGNORED]], np.uint8)
    # Class 0: 5 of the 6 pixels of the images it is in; class 1: 1 of 4; class 2 nowhere.
    found = median_frequency_weights([first, second], 3)
    middle = (5 / 6 + 1 / 4) / 2
    np.testing.assert_allclose(found, [middle / (5 / 6), middle / (1 / 4), 1], rtol=1e-6)


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=examples(20))
def test_what_is_followed_is_the_mean_iou_of_keras(seed):
    mask, logits = drawn(seed)
    metrics = mask_metrics(CLASSES, 1)
    found = metrics["mean_iou"].result(metrics["mean_iou"].measure(mask, logits).numpy(), 3)
    reference = keras.metrics.MeanIoU(CLASSES, ignore_class=IGNORED)
    reference.update_state(mask.numpy().astype(int), logits.numpy().argmax(-1))
    assert found == pytest.approx(float(reference.result()), abs=1e-6)
