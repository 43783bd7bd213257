"""The classifiers as published and as they were: shapes, numbers of parameters, and the kinds of layers in place."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from layers import DilatedConv2D, L2Pooling2D, TiledConv2D, UnsharedConv2D
from layers.kinds import CONVOLUTIONS, HEADS, NORMALIZATIONS, POOLINGS
from pipelines import models
from pipelines.classification.config import ClassificationConfig
from pipelines.core.errors import ConfigError
from pipelines.detection.config import DetectionConfig
from pipelines.models import classifier, find_backbone
from pipelines.models.backbones import convnet, lenet5
from pipelines.segmentation.config import SegmentationConfig

KINDS = {"dilated": DilatedConv2D, "tiled": TiledConv2D, "unshared": UnsharedConv2D, "standard": keras.layers.Conv2D}


def layer_kinds(model: keras.Model) -> set[type]:
    return {type(layer) for layer in model.layers}


@pytest.mark.parametrize("conv", KINDS)
@pytest.mark.parametrize(("model", "shape"), [("lenet5", (28, 28, 1)), ("convnet", (16, 20, 3))])
def test_a_classifier_has_the_kinds_it_is_asked_for(model: str, shape: tuple[int, int, int], conv: str):
    network = classifier(model, shape, 7, conv, "l2")
    assert network(np.zeros((2, *shape), "float32")).shape == (2, 7)
    assert KINDS[conv] in layer_kinds(network)
    assert L2Pooling2D in layer_kinds(network)
    assert L2Pooling2D not in layer_kinds(classifier(model, shape, 7, conv))


def test_lenet5_has_the_published_numbers_of_free_parameters():
    model = classifier("lenet5", (32, 32, 1), 10)
    counts = {layer.name: layer.count_params() for layer in model.layers}
    assert counts["c1"] == 156
    assert counts["s2"] == 12
    assert counts["s4"] == 32
    assert counts["c5"] == 48_120
    assert counts["f6"] == 10_164
    c3 = model.get_layer("c3")
    assert np.count_nonzero(c3.kernel.numpy()) + 16 == 1_516


@pytest.mark.parametrize("conv", [name for name, kind in CONVOLUTIONS.items() if kind.dense_kernel])
def test_lenet5_keeps_to_its_connection_table_in_training(conv: str):
    model = classifier("lenet5", (32, 32, 1), 3, conv)
    kernel = model.get_layer("c3").kernel
    before = kernel.numpy() != 0
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 1)).astype("float32")
    model.train_on_batch(images, np.arange(8) % 3)
    assert np.array_equal(kernel.numpy() != 0, before)
    assert before.mean() == pytest.approx(60 / 96)


def test_lenet5_refuses_a_kind_that_cannot_keep_to_its_table():
    with pytest.raises(ConfigError, match="'low-rank' does not fit backbone 'lenet5': its connection table"):
        classifier("lenet5", (32, 32, 1), 3, "low-rank")


def test_lenet5_gives_a_border_to_images_of_28_pixels():
    small, large = (classifier("lenet5", (side, side, 1), 10) for side in (28, 32))
    assert small.count_params() == large.count_params()
    with pytest.raises(ConfigError, match="at least 28 pixels; received 20 x 28"):
        classifier("lenet5", (20, 28, 1), 10)


def test_the_squashing_function_goes_through_one():
    assert np.allclose(lenet5.scaled_tanh(np.float32([1, -1])), [1, -1], atol=1e-4)


def test_a_network_can_be_saved_and_loaded_as_keras_does(tmp_path):
    model = classifier("lenet5", (28, 28, 1), 4, "tiled")
    model.save(tmp_path / "lenet5.keras")
    again = keras.saving.load_model(tmp_path / "lenet5.keras")
    images = np.random.default_rng(0).normal(size=(2, 28, 28, 1)).astype("float32")
    assert np.array_equal(again(images), model(images))


@pytest.mark.parametrize(("side", "stages"), [(4, 2), (8, 2), (28, 3), (32, 3), (64, 4), (96, 5), (224, 6), (1000, 6)])
def test_convnet_has_as_many_stages_as_its_images_ask_for(side: int, stages: int):
    assert convnet.stages_for(side, side) == stages


@pytest.mark.parametrize("shape", [(4, 4, 1), (5, 7, 3), (33, 50, 3), (200, 31, 1)])
def test_convnet_takes_any_shape(shape: tuple[int, int, int]):
    assert classifier("convnet", shape, 2)(np.zeros((1, *shape), "float32")).shape == (1, 2)


@pytest.mark.parametrize(
    ("table", "kinds"), [("conv", CONVOLUTIONS), ("pool", POOLINGS), ("norm", NORMALIZATIONS), ("head", HEADS)]
)
def test_the_names_of_the_configurations_are_those_of_the_tables(table: str, kinds: dict):
    exact = {name for name, kind in kinds.items() if kind.exact}
    assert set(ClassificationConfig.choices(table)) == set(kinds)
    if table != "head":  # that of segmentation is the stride of an FCN's scores
        assert set(DetectionConfig.choices(table)) == set(SegmentationConfig.choices(table)) == exact


def test_the_names_of_networks_are_those_of_the_tables():
    assert ClassificationConfig.choices("model") == DetectionConfig.choices("backbone") == tuple(models.BACKBONES)
    assert SegmentationConfig.choices("backbone") == tuple(models.BACKBONES)
    assert SegmentationConfig.choices("model") == tuple(models.SEGMENTERS)


def test_default_sizes_follow_the_images():
    assert find_backbone("convnet").default_size((28, 28)) == (28, 28)
    assert find_backbone("convnet").default_size((3024, 4032)) == (72, 96)
    assert find_backbone("lenet5").default_size((28, 28)) == (28, 28)
    assert find_backbone("lenet5").default_size((8, 8)) == (32, 32)


@pytest.mark.parametrize("name", models.SEGMENTERS)
def test_a_network_of_segmentation_can_be_saved_and_loaded_as_keras_does(name: str, tmp_path):
    model = models.find_segmenter(name)(3, 4)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    assert np.array_equal(again(images), model(images))
