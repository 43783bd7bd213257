"""The networks: shapes, published numbers of parameters, and every kind of layer in its place."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

from layers import DilatedConv2D, L2Pooling2D, TiledConv2D, UnsharedConv2D
from pipelines import models
from pipelines.classification.config import ClassificationConfig
from pipelines.core.errors import ConfigError
from pipelines.models.backbones import convnet, lenet5

CONVS = ClassificationConfig.choices("conv")
POOLS = ClassificationConfig.choices("pool")
KINDS = {"dilated": DilatedConv2D, "tiled": TiledConv2D, "unshared": UnsharedConv2D, "standard": keras.layers.Conv2D}


def layer_kinds(model: keras.Model) -> set[type]:
    return {type(layer) for layer in model.layers}


@pytest.mark.parametrize(("conv", "pool"), list(itertools.product(CONVS, POOLS)))
def test_lenet5_takes_every_kind(conv: str, pool: str):
    model = lenet5.lenet5((28, 28, 1), 7, conv=conv, pool=pool)
    assert model(np.zeros((2, 28, 28, 1), "float32")).shape == (2, 7)
    assert KINDS[conv] in layer_kinds(model)
    assert (L2Pooling2D in layer_kinds(model)) == (pool == "l2")


@pytest.mark.parametrize(("conv", "pool"), list(itertools.product(CONVS, ["max", "average", "l2"])))
def test_convnet_takes_every_kind(conv: str, pool: str):
    model = convnet.convnet((16, 20, 3), 5, conv=conv, pool=pool)
    assert model(np.zeros((2, 16, 20, 3), "float32")).shape == (2, 5)
    assert KINDS[conv] in layer_kinds(model)
    assert (L2Pooling2D in layer_kinds(model)) == (pool == "l2")


def test_lenet5_has_the_published_numbers_of_free_parameters():
    model = lenet5.lenet5((32, 32, 1), 10)
    counts = {layer.name: layer.count_params() for layer in model.layers}
    assert counts["c1"] == 156
    assert counts["s2"] == 12
    assert counts["s4"] == 32
    assert counts["c5"] == 48_120
    assert counts["f6"] == 10_164
    c3 = model.get_layer("c3")
    assert np.count_nonzero(c3.kernel.numpy()) + 16 == 1_516


@pytest.mark.parametrize("conv", CONVS)
def test_lenet5_keeps_to_its_connection_table_in_training(conv: str):
    model = lenet5.lenet5((32, 32, 1), 3, conv=conv)
    kernel = model.get_layer("c3").kernel
    before = kernel.numpy() != 0
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = np.random.default_rng(0).normal(size=(8, 32, 32, 1)).astype("float32")
    model.train_on_batch(images, np.arange(8) % 3)
    assert np.array_equal(kernel.numpy() != 0, before)
    assert before.mean() == pytest.approx(60 / 96)


def test_lenet5_gives_a_border_to_images_of_28_pixels():
    assert lenet5.lenet5((28, 28, 1), 10).count_params() == lenet5.lenet5((32, 32, 1), 10).count_params()
    with pytest.raises(ValueError, match="at least 28"):
        lenet5.lenet5((20, 28, 1), 10)


def test_the_squashing_function_goes_through_one():
    assert np.allclose(lenet5.scaled_tanh(np.float32([1, -1])), [1, -1], atol=1e-4)


def test_a_network_can_be_saved_and_loaded_as_keras_does(tmp_path):
    model = lenet5.lenet5((28, 28, 1), 4, conv="tiled")
    model.save(tmp_path / "lenet5.keras")
    again = keras.saving.load_model(tmp_path / "lenet5.keras")
    images = np.random.default_rng(0).normal(size=(2, 28, 28, 1)).astype("float32")
    assert np.array_equal(again(images), model(images))


@pytest.mark.parametrize(("side", "stages"), [(4, 2), (8, 2), (28, 3), (32, 3), (64, 4), (96, 5), (224, 6), (1000, 6)])
def test_convnet_has_as_many_stages_as_its_images_ask_for(side: int, stages: int):
    assert convnet.stages_for(side, side) == stages


@pytest.mark.parametrize("shape", [(4, 4, 1), (5, 7, 3), (33, 50, 3), (200, 31, 1)])
def test_convnet_takes_any_shape(shape: tuple[int, int, int]):
    assert convnet.convnet(shape, 2)(np.zeros((1, *shape), "float32")).shape == (1, 2)


def test_convnet_refuses_the_pooling_that_is_not_its_own():
    with pytest.raises(ConfigError, match="belongs to lenet5"):
        convnet.convnet((8, 8, 1), 2, pool="subsampling")


def test_the_names_of_the_configuration_are_those_of_the_code():
    from pipelines.models import blocks

    assert set(ClassificationConfig.choices("model")) == set(models.CLASSIFIERS)
    assert set(CONVS) == set(blocks.CONVOLUTIONS)
    assert set(POOLS) == {*blocks.POOLINGS, "subsampling"}


def test_default_sizes_follow_the_images():
    assert models.default_size("convnet", (28, 28)) == (28, 28)
    assert models.default_size("convnet", (3024, 4032)) == (72, 96)
    assert models.default_size("lenet5", (28, 28)) == (28, 28)
    assert models.default_size("lenet5", (8, 8)) == (32, 32)


@pytest.mark.parametrize("name", models.SEGMENTERS)
def test_a_network_of_segmentation_can_be_saved_and_loaded_as_keras_does(name: str, tmp_path):
    model = models.SEGMENTERS[name](3, 4)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    assert np.array_equal(again(images), model(images))
