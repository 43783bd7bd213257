import dataclasses

import keras
import numpy as np
import pytest

from layer_checks import BACKEND, assert_close, keras_copies, random_array, randomize, tensorflow_only, to_numpy
from layers.convolutional.dilated_conv import DilatedConv2D
from layers.convolutional.low_rank import low_rank_kernels
from layers.convolutional.unshared_conv import UnsharedConv2D

pytestmark = keras_copies

LAYERS = [
    lambda **k: keras.layers.Conv2D(6, (5, 4), strides=2, padding="same", activation="tanh", **k),
    lambda **k: keras.layers.Conv2D(6, (3, 5), dilation_rate=2, use_bias=False, **k),
    lambda **k: keras.layers.DepthwiseConv2D(5, padding="same", depth_multiplier=3, **k),
    lambda **k: keras.layers.DepthwiseConv2D((4, 3), strides=2, dilation_rate=1, **k),
    lambda **k: DilatedConv2D(6, (3, 4), (2, 3), "full", dilation_rate=(2, 1), groups=2, flip_kernel=True, **k),
    lambda **k: DilatedConv2D(8, (3, 4), (2, 1), ((1, 2), (0, 3)), "reflect", groups=4, activation="relu", **k),
    lambda **k: DilatedConv2D(6, 3, padding="causal", padding_mode="edge", **k),
]
every_layer = pytest.mark.parametrize("make", LAYERS if BACKEND == "tensorflow" else LAYERS[3:5])


def build(make, **arguments):
    layer = make(**{"data_format": "channels_last", **arguments})
    layer.build((None, 12, 13, 4))
    randomize(layer)
    return layer


@every_layer
def test_full_rank_is_the_layer(make):
    layer = build(make)
    found = low_rank_kernels(layer, 1000)
    x = random_array((2, 12, 13, 4), dtype="float32")
    assert found.error < 1e-12
    assert_close(found.layer(x), layer(x), "float32")


@every_layer
@pytest.mark.parametrize("rank", [1, 2])
def test_the_error_is_that_of_the_kernel_which_the_pair_has(make, rank):
    """Read the pair's kernel off its answer to single pixels."""
    layer = build(make, dtype="float64")
    found = low_rank_kernels(layer, rank)
    kernels = []
    for each in (layer, found.layer.layers):
        parts = each if isinstance(each, list) else [each]
        for part in parts:
            part.activation = keras.activations.linear
            if part.use_bias:
                part.bias.assign(np.zeros(part.bias.shape))
        x = random_array((300, 12, 13, 4), 5)
        for part in parts:
            x = part(x)
        kernels.append(to_numpy(x))
    # For white noise the answers are as far apart as the kernels, up to the draw and the border.
    seen = np.linalg.norm(kernels[1] - kernels[0]) / np.linalg.norm(kernels[0])
    assert found.error > 0.01
    assert 0.85 < seen / found.error < 1.15


def test_a_separable_kernel_needs_one_rank():
    layer = build(lambda **k: keras.layers.Conv2D(1, 7, **k))
    column, row = random_array((7, 1, 4, 1), 1), random_array((1, 7, 1, 1), 2)
    layer.kernel.assign(column * row)
    found = low_rank_kernels(layer, 1)
    assert found.error < 1e-6
    x = random_array((2, 12, 13, 4), dtype="float32")
    assert_close(found.layer(x), layer(x), "float32")


def test_no_pair_of_the_rank_is_nearer():
    layer = build(lambda **k: keras.layers.Conv2D(3, 4, use_bias=False, **k))
    found = low_rank_kernels(layer, 2)
    kernel = to_numpy(layer.kernel)
    first, second = (to_numpy(part.kernel) for part in found.layer.layers)
    distance = lambda a, b: np.linalg.norm(np.einsum("hir,rwo->hwio", a[:, 0], b[0].swapaxes(0, 1)) - kernel)  # noqa: E731
    assert np.isclose(distance(first, second) / np.linalg.norm(kernel), found.error)
    for seed in range(20):
        moved = [part + 1e-2 * random_array(part.shape, seed) for part in (first, second)]
        assert distance(*moved) > distance(first, second)


def test_the_error_falls_and_the_cost_rises_with_the_rank():
    layer = build(LAYERS[0])
    found = [low_rank_kernels(layer, rank) for rank in (1, 4, 16)]
    assert found[0].error > found[1].error > found[2].error
    assert found[0].cost == (5 * 4 + 4 * 6) / (5 * 4 * 4 * 6)
    assert found[1].cost == 4 * found[0].cost


@tensorflow_only
@every_layer
def test_channels_first(make):
    layer, last = make(data_format="channels_first"), build(make)
    layer.build((None, 4, 12, 13))
    for a, b in zip(layer.weights, last.weights, strict=True):
        a.assign(b)
    x = random_array((2, 12, 13, 4), dtype="float32")
    got = low_rank_kernels(layer, 2).layer(np.moveaxis(x, -1, 1))
    assert_close(np.moveaxis(to_numpy(got), 1, -1), low_rank_kernels(last, 2).layer(x), "float32")


@every_layer
def test_the_pair_is_saved_with_a_model(make, tmp_path):
    pair = low_rank_kernels(build(make), 2).layer
    model = keras.Sequential([keras.Input((None, None, 4)), pair])
    model.save(tmp_path / "model.keras")
    x = random_array((2, 12, 13, 4), dtype="float32")
    assert_close(keras.models.load_model(tmp_path / "model.keras")(x), pair(x), "float32")


def test_half_precision_is_kept():
    layer = build(LAYERS[1], dtype="mixed_bfloat16")
    found = low_rank_kernels(layer, 100).layer
    x = random_array((2, 12, 13, 4))
    y = found(x)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    assert_close(y, low_rank_kernels(build(LAYERS[1], dtype="float64"), 100).layer(x), "bfloat16")


def test_a_kernel_of_zeros_has_no_error():
    layer = build(LAYERS[1])
    layer.kernel.assign(np.zeros(layer.kernel.shape))
    assert low_rank_kernels(layer, 1).error == 0


def test_the_result_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        low_rank_kernels(build(LAYERS[0]), 1).error = 0.0


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"`rank` must be an integer >= 1.*rank=0"):
        low_rank_kernels(build(LAYERS[0]), 0)
    with pytest.raises(ValueError, match=r"`layer` must be a built .*layer=Conv2D, built=False"):
        low_rank_kernels(keras.layers.Conv2D(2, 3), 1)
    unshared = UnsharedConv2D(2, 3, data_format="channels_last")
    unshared.build((None, 5, 5, 1))
    with pytest.raises(ValueError, match=r"layer=UnsharedConv2D"):
        low_rank_kernels(unshared, 1)
    with pytest.raises(ValueError, match=r"padded with zeros.*padding_value=1.5"):
        low_rank_kernels(build(lambda **k: DilatedConv2D(2, 3, padding=1, padding_value=1.5, **k)), 1)
