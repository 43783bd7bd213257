"""The fused batch normalization is Keras's own, in every respect but time."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from layer_checks import assert_close, random_array, tensorflow_only, to_numpy
from layers import FusedBatchNormalization


def twins(**options) -> tuple[keras.Layer, keras.Layer]:
    """Return ours and Keras's with the same random weights."""
    layers = FusedBatchNormalization(**options), keras.layers.BatchNormalization(**options)
    for layer in layers:
        layer.build((None, 5, 6, 3))
        layer.set_weights([np.abs(random_array(w.shape, i)) + 0.5 for i, w in enumerate(layer.weights)])
    return layers


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.5, "epsilon": 0.1}, {"scale": False}, {"center": False}, {"dtype": "float64"}, {"axis": 3}],
    ids=str,
)
def test_outputs_and_averages_are_those_of_keras(training: bool, options: dict):
    ours, theirs = twins(**options)
    x = 3 * random_array((4, 5, 6, 3), dtype=options.get("dtype", "float32")) + 1
    assert_close(ours(x, training=training), theirs(x, training=training), "float32")
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        assert_close(a, b, "float32")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_the_compute_dtype(policy: str):
    ours, theirs = twins(dtype=policy)
    x = random_array((4, 5, 6, 3), dtype="float32")
    found = ours(x, training=True)
    assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    assert_close(found, theirs(x, training=True), policy.removeprefix("mixed_"))
    assert_close(ours.moving_variance, theirs.moving_variance, policy.removeprefix("mixed_"))


def test_a_frozen_layer_does_not_learn():
    ours, _ = twins()
    ours.trainable = False
    before = [to_numpy(weight) for weight in ours.weights]
    ours(random_array((4, 5, 6, 3), dtype="float32"), training=True)
    for a, b in zip(ours.weights, before, strict=True):
        assert_close(a, b, "float32")


def test_other_ranks_and_axes_are_left_to_keras():
    layer = FusedBatchNormalization(axis=1)
    x = random_array((4, 3, 5, 6), dtype="float32")
    assert_close(layer(x, training=True), keras.layers.BatchNormalization(axis=1)(x, training=True), "float32")
    dense = random_array((8, 3), dtype="float32")
    expected = keras.layers.BatchNormalization()(dense, training=True)
    assert_close(FusedBatchNormalization()(dense, training=True), expected, "float32")


@tensorflow_only
def test_gradients_are_those_of_keras():
    import tensorflow as tf

    ours, theirs = twins()
    x = tf.constant(random_array((4, 5, 6, 3), dtype="float32"))
    target = tf.constant(random_array((4, 5, 6, 3), seed=9, dtype="float32"))
    gradients = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(target * layer(x, training=True) ** 2)
        gradients.append(tape.gradient(loss, [x, layer.gamma.value, layer.beta.value]))
    for a, b in zip(*gradients, strict=True):
        assert_close(a, b, "float32")


def test_it_is_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((5, 6, 3)), FusedBatchNormalization(momentum=0.7)])
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert isinstance(again.layers[0], FusedBatchNormalization)
    assert again.layers[0].momentum == 0.7
    x = random_array((2, 5, 6, 3), dtype="float32")
    assert_close(again(x), model(x), "float32")
