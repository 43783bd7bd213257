"""A signature without variables gives the answers of the signature, and is what converters take."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.artifacts.served_model import as_numpy
from pipelines.artifacts.serving_module import ServingModule
from pipelines.classification.serving import ImageServing
from pipelines.detection.serving import ScanServing
from pipelines.detection.sliding_window import ScanSpec, Thresholds
from pipelines.export.litert import open_litert
from pipelines.export.portable_graph import portable
from pipelines.images.preprocessing import ImageSpec
from pipelines.segmentation.dense_prediction import LabelSpec
from pipelines.segmentation.serving import MaskServing
from places import ROOT


def saved(module: ServingModule, folder: Path):
    tf.saved_model.save(module, str(folder), signatures=module.signatures())
    return tf.saved_model.load(str(folder))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("one\ntwo\n")
    return path


def answers(loaded, images: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    signature = loaded.signatures["pixels"]
    found = portable(signature).function()(tf.constant(images))
    expected = signature(images=tf.constant(images))
    return {key: value.numpy() for key, value in found.items()}, {key: value.numpy() for key, value in expected.items()}


@pytest.mark.parametrize(("resize", "channels"), [("stretch", 1), ("pad", 3), ("crop", 1)])
def test_a_classifier_answers_the_same(resize: str, channels: int, labels: Path, tmp_path: Path):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((9, 11, channels))
    scores = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(pixels / 255.0))
    spec = ImageSpec(9, 11, channels, resize)  # type: ignore[arg-type]
    module = ImageServing(
        keras.Model(pixels, scores), labels, spec, lambda found: {"scores": found, "class_ids": tf.argmax(found, -1)}
    )
    loaded = saved(module, tmp_path / "saved")
    for shape in ((1, 9, 11, 3), (2, 31, 20, 3), (0, 5, 5, 3)):
        found, expected = answers(loaded, np.random.default_rng(0).integers(0, 256, shape, np.uint8))
        assert set(found) == {"scores", "class_ids"}
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=2e-5)


@pytest.mark.parametrize(("scale", "multiple", "stride"), [(1.0, 4, 2), (0.6, 2, 1)])
def test_a_segmentation_answers_the_same(scale: float, multiple: int, stride: int, labels: Path, tmp_path: Path):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((None, None, 1))
    logits = keras.layers.Conv2D(2, 3, strides=stride, padding="same")(pixels / 100.0)
    module = MaskServing(keras.Model(pixels, logits), labels, LabelSpec(scale, 1, multiple, stride))
    loaded = saved(module, tmp_path / "saved")
    for shape in ((1, 13, 22, 3), (2, 7, 5, 3)):
        found, expected = answers(loaded, np.random.default_rng(0).integers(0, 256, shape, np.uint8))
        assert set(found) == {"class_map", "confidence", "sizes"}
        np.testing.assert_array_equal(found["class_map"], expected["class_map"])
        np.testing.assert_allclose(found["confidence"], expected["confidence"], atol=1e-5)


@pytest.mark.slow
def test_a_detector_in_colours_can_be_converted_whole(labels: Path, tmp_path: Path):
    """Behind a pyramid no converter knows how many channels there are, unless it is told."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((None, None, 3))
    outputs = keras.layers.Conv2D(6, 8, strides=4)(pixels / 100.0)
    spec = ScanSpec((8, 8), 4, 3, (8.0, 8.0), (1.0, 0.5))
    module = ScanServing(keras.Model(pixels, outputs), labels, spec, Thresholds(score=0.5), ("one", "two"))
    loaded = saved(module, tmp_path / "saved")
    signature = loaded.signatures["pixels"]
    converted = tf.Module()
    converted.pixels = portable(signature).function()
    tf.saved_model.save(converted, str(tmp_path / "portable"), signatures={"pixels": converted.pixels})
    answer = open_litert(tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "portable")).convert())
    images = np.random.default_rng(0).integers(0, 256, (2, 33, 47, 3), np.uint8)
    options = {"score_threshold": 0.5, "overlap_threshold": 0.4, "soft_nms_sigma": 0.0, "scales": [1.0, 0.5]}
    inputs = {"images": images} | {name: np.float32(value) for name, value in options.items()}
    found, expected = answer(inputs), as_numpy(signature(**{name: tf.constant(each) for name, each in inputs.items()}))
    assert expected["num_detections"].min() > 10
    np.testing.assert_array_equal(found["class_names"], expected["class_names"])
    np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=1e-4)
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-5)


def test_constants_are_where_they_are_used():
    """The detector's network lies in two loops; its kernels are in the inner one, once, and nowhere else."""
    loaded = tf.saved_model.load(str(ROOT / "saved_models/digit-scenes/1"))
    graph = portable(loaded.signatures["pixels"]).graph
    places: dict[bytes, int] = {}
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        sources = {node.name: node.input[0].partition(":")[0] for node in nodes if node.op == "Identity"}
        read = {text.partition(":")[0] for node in nodes if node.op != "Identity" for text in node.input}
        while further := {sources[name] for name in read & set(sources)} - read:
            read |= further
        for node in nodes:
            if node.op == "Const" and node.ByteSize() > 1024 and node.name in read:
                assert "Conv2D" in {other.op for other in nodes}
                value = node.attr["value"].tensor.tensor_content
                places[value] = places.get(value, 0) + 1
    assert len(places) >= 10
    assert set(places.values()) == {1}
    assert not {node.op for node in graph.node} & {"VarHandleOp", "ReadVariableOp", "StatefulPartitionedCall"}
