"""Feature maps and evidence: against the network itself, and against derivatives taken by differences."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pipelines import models
from pipelines.artifacts.class_evidence import class_evidence, feature_maps
from pipelines.artifacts.golden import read_golden
from pipelines.artifacts.served_model import ServedModel
from pipelines.images import preprocessing
from pipelines.images.preprocessing import ImageSpec
from pipelines.tasks import rebuild
from places import ROOT

SHIPPED = ("digits", "digits-lenet5", "fashion", "digit-scenes", "digit-segmentation")
NONE = tf.constant(-1, tf.int64)


@pytest.fixture(scope="module")
def shipped() -> dict[str, ServedModel]:
    return {name: ServedModel(ROOT / "saved_models" / name / "1") for name in SHIPPED}


def example(served: ServedModel) -> tf.Tensor:
    return tf.constant(read_golden(served.directory).inputs[0])


@pytest.mark.parametrize("name", SHIPPED)
def test_the_maps_are_those_of_the_network_built_again(name: str, shipped):
    served = shipped[name]
    network = rebuild.network(served)
    found = {key: value.numpy() for key, value in served.run("features", image_bytes=example(served)).items()}
    assert list(found)
    outputs = feature_maps(network)(_pixels(served, network))
    assert set(found) == set(outputs)
    for key, value in outputs.items():
        np.testing.assert_allclose(found[key], value[0], atol=2e-4, err_msg=key)


def _pixels(served: ServedModel, network) -> np.ndarray:
    """What the network was shown, from what its first layer gave."""
    first = served.run("features", image_bytes=example(served))["standardise"].numpy()
    layer = network.get_layer("standardise")
    return np.round((first - layer.offset) / layer.scale)[None].astype("float32")


@pytest.mark.parametrize("name", ["digits", "fashion"])
def test_the_mean_of_an_activation_map_is_the_logit(name: str, shipped):
    served = shipped[name]
    logits = rebuild.network(served)(_pixels(served, rebuild.network(served)))[0]
    for class_id in range(len(served.card.classes)):
        found = served.run("explain", image_bytes=example(served), class_id=tf.constant(class_id, tf.int64))
        assert float(tf.reduce_mean(found["evidence"])) == pytest.approx(float(logits[class_id]), abs=2e-3)
        assert found["class_name"].numpy().decode() == served.card.classes[class_id]
        assert float(found["score"]) == pytest.approx(float(tf.nn.softmax(logits)[class_id]), abs=1e-5)
    assert served.card.evidence.startswith("class activation map of stage")


def test_grad_cam_is_the_maps_weighed_by_mean_derivatives():
    """The derivatives by differences, in float64 logits of the part of the network behind the maps."""
    model = models.classifier("lenet5", (32, 32, 1), 4, mean=0.0, deviation=1.0)
    evidence = class_evidence(model)
    assert evidence.how == "Grad-CAM"
    assert evidence.layer == "s4_activation"
    pixels = tf.random.stateless_normal((1, 32, 32, 1), seed=(1, 2))
    found, logits = evidence.run(pixels, tf.constant([2], tf.int64))
    maps = feature_maps(model)(pixels)["s4_activation"].numpy()

    def behind(x: np.ndarray) -> np.ndarray:
        behind_maps = [layer for layer in model.layers if layer.name in ("c5", "c5_activation", "flatten", "f6",
                                                                       "f6_activation", "logits")]  # fmt: skip
        for layer in behind_maps:
            x = layer(x)
        return np.asarray(x)[:, 2]

    np.testing.assert_allclose(behind(maps), logits.numpy()[:, 2], atol=1e-5)
    step = 0.05
    # The logit along every map's mean direction: what all its positions change together.
    total = np.array([
        (behind(maps + step * (np.arange(16) == channel))[0] - behind(maps - step * (np.arange(16) == channel))[0])
        / (2 * step)
        for channel in range(16)
    ])  # fmt: skip
    expected = np.maximum((maps[0] * total / (maps.shape[1] * maps.shape[2])).sum(-1), 0.0)
    np.testing.assert_allclose(found[0], expected, atol=2e-3)


@pytest.mark.parametrize("resize", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("size", [(40, 100), (90, 30), (20, 20)])
def test_the_view_says_where_the_pixels_of_the_network_lie(resize: str, size: tuple[int, int]):
    """A picture of its own coordinates: what the network sees at a pixel is where the view puts that pixel's middle."""
    rows, columns = np.meshgrid(np.arange(size[0]), np.arange(size[1]), indexing="ij")
    picture = np.stack([rows * 2, columns * 2, np.full(size, 255)], -1).astype(np.uint8)
    spec = ImageSpec(16, 24, 3, resize)
    seen = preprocessing.prepare(tf.constant(picture), spec).numpy().astype(float)
    first, step = (part.numpy() for part in preprocessing.view(tf.constant(size), spec))
    inside = seen[..., 2] == 255
    inside[[0, -1]], inside[:, [0, -1]] = False, False  # interpolation ends at the border
    assert inside.any()
    for row, column in np.argwhere(inside):
        place = first + (np.array([row, column]) + 0.5) * step - 0.5
        np.testing.assert_allclose(seen[row, column, :2] / 2, place, atol=0.75)


def test_evidence_of_a_detector_is_its_score_map_and_of_segmentation_its_probability(shipped):
    served = shipped["digit-scenes"]
    scores = served.run("score_map", image_bytes=example(served), scale=tf.constant(1.0))["scores"].numpy()
    found = served.run("explain", image_bytes=example(served), class_id=NONE)
    best = int(scores.max(axis=(0, 1)).argmax())
    assert int(found["class_id"]) == best
    np.testing.assert_allclose(found["evidence"], scores[..., best], atol=1e-6)
    assert found["region"].numpy().tolist() == [0, 0, scores.shape[1] * 4, scores.shape[0] * 4]

    served = shipped["digit-segmentation"]
    probabilities = served.run("probabilities", image_bytes=example(served))["probabilities"].numpy()
    found = served.run("explain", image_bytes=example(served), class_id=tf.constant(3, tf.int64))
    np.testing.assert_allclose(found["evidence"], probabilities[..., 3], atol=1e-6)
    assert found["class_name"].numpy() == b"2"


@pytest.mark.parametrize("model", ["convnet", "lenet5"])
@pytest.mark.parametrize("conv", ["standard", "dilated", "tiled", "unshared"])
def test_every_classifier_has_evidence_whose_cells_lie_in_the_image(model: str, conv: str):
    network = models.classifier(model, (32, 32, 1), 3, conv, mean=0.0, deviation=1.0)
    evidence = class_evidence(network)
    found, _ = evidence.run(tf.zeros((2, 32, 32, 1)), tf.constant([-1, 1], tf.int64))
    assert found.shape == (2, *(grid.count for grid in evidence.grids))
    for grid in evidence.grids:
        middle = (grid.start + grid.stop) / 2
        assert middle == pytest.approx(16, abs=grid.step)
        assert grid.stop - grid.start >= 16


def test_a_network_without_maps_has_none_and_no_evidence():
    import keras

    flat = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    assert feature_maps(flat) is None
    assert class_evidence(flat) is None


@pytest.mark.parametrize("name", SHIPPED)
def test_labels_are_served(name: str, shipped):
    classes = shipped[name].card.classes
    asked = tf.range(-1, len(classes) + 1, dtype=tf.int64)
    found = [text.decode() for text in shipped[name].run("labels", class_ids=asked)["class_names"].numpy()]
    assert found == ["", *classes, ""]


def test_a_class_that_the_model_has_not_is_refused_in_the_graph(trained):
    served = ServedModel(trained.path)
    image = example(served)
    assert int(served.run("explain", image_bytes=image, class_id=tf.constant(1, tf.int64))["class_id"]) == 1
    for class_id in (2, 999):
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected a class of this model, or -1"):
            served.run("explain", image_bytes=image, class_id=tf.constant(class_id, tf.int64))
