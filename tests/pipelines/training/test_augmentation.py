"""Random changes to training images."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pipelines.training.augmentation import POLICIES, Policy, augment

IMAGES = np.random.default_rng(0).integers(0, 256, (64, 12, 10, 3), np.uint8)


def changed(policy: Policy, seed: int = 0, images: np.ndarray = IMAGES) -> np.ndarray:
    return augment(tf.constant(images), tf.constant([seed, 7]), policy).numpy()


def test_no_policy_changes_nothing():
    assert np.array_equal(changed(POLICIES["none"]), IMAGES)


@pytest.mark.parametrize("name", ["light", "strong"])
def test_the_same_seed_gives_the_same_changes_and_another_seed_others(name: str):
    first = changed(POLICIES[name])
    assert first.shape == IMAGES.shape
    assert first.dtype == np.float32
    assert first.min() >= 0.0
    assert first.max() <= 255.0
    assert np.array_equal(first, changed(POLICIES[name]))
    assert not np.array_equal(first, changed(POLICIES[name], seed=1))


def test_a_flip_mirrors_about_half_of_the_images_whole():
    found = changed(Policy(flip=True))
    mirrored = [np.array_equal(one, original[:, ::-1]) for one, original in zip(found, IMAGES, strict=True)]
    kept = [np.array_equal(one, original) for one, original in zip(found, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


def test_a_shift_moves_pixels_no_farther_than_allowed():
    image = np.zeros((200, 21, 21, 1), np.uint8)
    image[:, 10, 10] = 255
    found = changed(Policy(shift=0.2), images=image)[..., 0]
    rows, columns = np.meshgrid(np.arange(21), np.arange(21), indexing="ij")
    weight = found.sum(axis=(1, 2))
    distances = [np.abs((found * axis).sum(axis=(1, 2)) / weight - 10) for axis in (rows, columns)]
    assert np.max(distances) < 0.2 * 21 + 0.5
    assert np.max(distances) > 2.0


def test_rotation_and_zoom_keep_the_centre():
    image = np.zeros((50, 21, 21, 1), np.uint8)
    image[:, 9:12, 9:12] = 255
    assert changed(Policy(rotate=45, zoom=0.3), images=image)[:, 10, 10, 0].min() > 250


def test_light_changes_brightness_and_contrast_within_bounds():
    image = np.full((100, 4, 4, 1), 100, np.uint8)
    levels = changed(Policy(light=0.1), images=image)[:, 0, 0, 0]
    assert levels.min() > 100 - 26
    assert levels.max() < 100 + 26
    assert levels.std() > 5


def test_erasing_covers_a_square_of_the_given_share():
    image = np.zeros((100, 20, 20, 1), np.uint8)
    covered = (changed(Policy(erase=0.5), images=image) == 127.5).sum(axis=(1, 2, 3))
    assert covered.max() <= 11 * 11
    assert covered.min() >= 5 * 5


def test_it_runs_in_a_graph_for_any_batch():
    traced = tf.function(
        lambda images, seed: augment(images, seed, POLICIES["strong"]),
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8), tf.TensorSpec([2], tf.int32)],
    )
    assert traced(IMAGES, [1, 2]).shape == IMAGES.shape
    assert traced(IMAGES[:1, :5], [1, 2]).shape == (1, 5, 10, 3)
