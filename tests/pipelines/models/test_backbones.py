"""The seam for networks: what backbones promise, who takes which, and one from outside in every task."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import keras
import numpy as np
import pytest

from pipelines.classification.config import ClassificationConfig
from pipelines.core import plugins
from pipelines.core.errors import ConfigError
from pipelines.detection.config import DetectionConfig
from pipelines.detection.sliding_window import ScanSpec
from pipelines.images.preprocessing import ImageSpec
from pipelines.models import BACKBONES, classifier, detector, find_backbone, find_segmenter
from pipelines.models.detectors.window_detector import stage_margin, window_for
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.dense_prediction import LabelSpec
from pipelines.tasks.registry import find_task

OWN = tuple(BACKBONES)


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The backbone of tests/helpers/outside_backbone.py, by the environment variable and nothing else."""
    monkeypatch.setenv("CNNAPP_IMPORT", "outside_backbone")
    yield
    BACKBONES.pop("outside", None)
    plugins._loaded.discard("outside_backbone")
    sys.modules.pop("outside_backbone", None)


def train(model: keras.Model, shape: tuple[int, ...]) -> float:
    """Take three steps towards one; return what share of the weights moved."""
    images = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
    model.compile(keras.optimizers.Adam(1e-3), "mse", run_eagerly=True)
    target = np.ones(model.compute_output_shape(shape), "float32")
    before = [value.copy() for value in model.get_weights()]
    assert np.isfinite([float(model.train_on_batch(images, target)) for _ in range(3)]).all()
    return float(np.mean([not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]))


@pytest.mark.parametrize("name", OWN)
def test_a_backbone_gives_what_it_promises(name: str):
    backbone = find_backbone(name)
    assert backbone.name == name
    strides = [stride for stride in backbone.strides if stride <= 32]
    for padding in backbone.padding:
        pixels = keras.Input((64, 96, 1) if padding == "same" else (None, None, 1))
        found = backbone.features(pixels, 100.0, 50.0, needs=strides[-1:], padding=padding)
        standard = keras.Model(pixels, found[strides[-1]]).get_layer("standardise")
        assert (standard.scale, standard.offset) == (1 / 50, -2)
        for stride in strides if padding == "same" else []:
            assert found[stride].shape[1:3] == (64 // stride, 96 // stride)
    assert set(backbone.options) >= {"conv", "pool", "norm"}


@pytest.mark.parametrize("name", [name for name in OWN if find_backbone(name).exact])
def test_an_exact_backbone_reads_its_window_and_no_more(name: str):
    backbone = find_backbone(name)
    field = backbone.receptive_field(4)
    pixels = keras.Input((None, None, 1))
    model = keras.Model(pixels, backbone.features(pixels, needs=(4,), padding="valid", exact=True)[4])
    image = np.random.default_rng(0).uniform(0, 255, (1, field + 8, field + 4, 1)).astype("float32")
    dense = model(image).numpy()
    assert dense.shape[1:3] == (3, 2)
    for row, column in ((0, 0), (1, 1), (2, 0)):
        window = image[:, 4 * row : 4 * row + field, 4 * column : 4 * column + field]
        alone = model(window).numpy()
        assert alone.shape[1:3] == (1, 1)
        np.testing.assert_allclose(alone[0, 0, 0], dense[0, row, column], atol=1e-4)


def test_asking_for_a_receptive_field_draws_no_numbers():
    keras.utils.set_random_seed(5)
    first = classifier("convnet", (8, 8, 1), 2).get_weights()
    keras.utils.set_random_seed(5)
    assert stage_margin(8, "dilated:3", "lp:2", "none")[0] == 8
    again = classifier("convnet", (8, 8, 1), 2).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("name", OWN)
def test_any_backbone_makes_a_classifier(name: str):
    assert train(classifier(name, (40, 32, 1), 3, head="average"), (4, 40, 32, 1)) > 0.9


@pytest.mark.parametrize("name", ["convnet", "lenet5"])
def test_any_exact_backbone_makes_a_detector(name: str):
    window = window_for((40, 36), 4, backbone=name)
    model = detector(window, 1, 2, 4, backbone=name)
    assert model.compute_output_shape((1, *window, 1)) == (1, 1, 1, 6)
    image = np.random.default_rng(1).uniform(0, 255, (1, window[0] + 8, window[1] + 4, 1)).astype("float32")
    dense = model(image).numpy()
    assert dense.shape == (1, 3, 2, 6)
    alone = model(image[:, 8 : 8 + window[0], 4 : 4 + window[1]]).numpy()
    np.testing.assert_allclose(alone[0, 0, 0], dense[0, 2, 1], atol=1e-4)


@pytest.mark.parametrize(
    ("model", "backbone", "options", "shape"),
    [
        ("unet", "convnet", {}, (64, 96)),
        ("unet", "fcn", {"stride": 2}, (32, 48)),
        ("fcn", "unet", {}, (8, 12)),
        ("fcn", "window", {"head": 32}, (2, 3)),
        ("dilated", "unet", {}, (16, 24)),
        ("aspp", "convnet", {}, (16, 24)),
    ],
)
def test_segmenters_take_backbones_that_have_the_strides(model: str, backbone: str, options: dict, shape: tuple):
    network = find_segmenter(model)(3, 4, backbone=backbone, **options)
    assert network.compute_output_shape((1, 64, 96, 3)) == (1, *shape, 4)


REFUSED = {
    "a stride": (lambda: find_segmenter("unet")(3, 4, backbone="fcn"), "'fcn' has no features of stride 1, which"),
    "strides": (lambda: find_segmenter("fcn")(3, 4, backbone="front"), "no features of stride 32, 16, 8"),
    "padding": (lambda: detector((40, 40), 1, 2, backbone="unet"), "padded 'same', and 'valid' is needed: what is"),
    "none": (lambda: find_segmenter("aspp")(3, 4, backbone="lenet5"), "padded 'valid', and 'same' is needed"),
    "a name": (lambda: classifier("lenet", (32, 32, 1), 2), "unknown backbone 'lenet'.*Did you mean 'lenet5'"),
    "a size": (lambda: classifier("fcn", (16, 40, 1), 2), "'fcn' needs sides of at least 32 pixels; received 16 x 40"),
    "too small": (lambda: classifier("window", (6, 20, 1), 2), "'window' needs sides of at least 8 pixels"),
    "an option": (
        lambda: classifier("convnet", (32, 32, 1), 2, wheels=4),
        "has no option 'wheels'; it has: conv, pool",
    ),
    "a tile": (lambda: detector((40, 40), 1, 2, conv="tiled:3"), "'tiled:3' does not fit backbone 'window'"),
    "unshared": (lambda: detector((40, 40), 1, 2, conv="unshared"), "'unshared' does not fit: each position has"),
    "anywhere": (lambda: find_segmenter("unet")(3, 4, conv="deformable"), "'deformable' does not fit: it may read"),
    "an image": (lambda: find_segmenter("unet")(3, 4, norm="group"), "'group' does not fit: it normalizes over"),
    "a power": (lambda: detector((40, 40), 1, 2, pool="lp:9"), "'lp:9' does not fit: its powers are scaled"),
    "a kind": (lambda: classifier("convnet", (8, 8, 1), 2, pool="maxx"), "unknown pool 'maxx'.*Did you mean 'max'"),
    "a head": (lambda: classifier("convnet", (8, 8, 1), 2, head="pyramids"), "unknown head 'pyramids'.*'pyramid'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_by_name(case: str):
    build, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message):
        build()


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (ClassificationConfig, {"model": "convnets"}, "unknown model 'convnets'; available: .*Did you mean 'convnet'"),
        (ClassificationConfig, {"pool": "lp:none"}, "pool 'lp' takes a number >= 1 as `p`"),
        (ClassificationConfig, {"norm": "bacth"}, "unknown norm 'bacth'.*Did you mean 'batch'"),
        (DetectionConfig, {"backbone": "windows"}, "unknown backbone 'windows'.*Did you mean 'window'"),
        (DetectionConfig, {"conv": "unshared"}, "conv 'unshared' does not fit: each position has its own kernel"),
        (DetectionConfig, {"conv": "tyled"}, "unknown conv 'tyled'.*Did you mean 'tiled'"),
        (SegmentationConfig, {"norm": "local-contrast"}, "norm 'local-contrast' does not fit: it uses a neighbourhood"),
        (SegmentationConfig, {"model": "unets"}, "unknown model 'unets'.*Did you mean 'unet'"),
    ],
)
def test_a_configuration_refuses_by_name(config: type, options: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        config.parse(**options)


def test_what_keras_refuses_is_said_in_one_line():
    pixels = keras.Input((20, 20, 1))
    with pytest.raises(ConfigError, match=r"'window' cannot be built for images of 20 x 20: [^\n\x1b]*size[^\n\x1b]*$"):
        find_backbone("window").features(pixels, padding="valid")


def test_a_backbone_that_breaks_its_promise_is_found_out():
    from pipelines.models.backbones.backbone import Backbone
    from pipelines.models.backbones.unet_encoder import unet_encoder

    padded = Backbone("padded", unet_encoder, strides=(4, 16), padding=("valid", "same"), exact=True)
    with pytest.raises(ConfigError, match="'padded' does not keep its promise at a stride of 4"):
        padded.receptive_field(4)
    shallow = Backbone("shallow", lambda pixels, mean, deviation: {4: pixels}, strides=(4, 8))
    with pytest.raises(ConfigError, match="promises features of stride 8, and gave those of 4"):
        shallow.features(keras.Input((32, 32, 1)), needs=(8,))


@pytest.mark.usefixtures("outside")
def test_a_backbone_from_outside_serves_every_task():
    config = ClassificationConfig.parse(model="outside")
    spec = ImageSpec(24, 32, channels=1, resize="stretch")
    model = find_task("classification").build(config, spec, 3, 100.0, 50.0)
    assert model.get_layer("halved_8").count_params() == 8 * 8 * 9 + 8
    assert train(model, (4, 24, 32, 1)) == 1

    window = window_for((20, 30), 4, backbone="outside")
    scan = ScanSpec(window, 4, 1, (20.0, 30.0), (1.0,), True)
    model = find_task("detection").build(DetectionConfig.parse(backbone="outside"), scan, 2, 100.0, 50.0)
    assert model.compute_output_shape((1, *window, 1)) == (1, 1, 1, 6)
    assert train(model, (2, window[0] + 8, window[1], 1)) > 0.9

    for name in ("aspp", "dilated"):
        config = SegmentationConfig.parse(model=name, backbone="outside")
        model = find_task("segmentation").build(config, LabelSpec(1.0, 1, 4, 4), 3, 100.0, 50.0)
        assert model.compute_output_shape((1, 32, 48, 1)) == (1, 8, 12, 3)
    assert train(model, (2, 32, 48, 1)) > 0.9


@pytest.mark.usefixtures("outside")
def test_a_backbone_from_outside_is_listed_and_refused_like_our_own():
    assert ClassificationConfig.choices("model") == (*OWN, "outside")
    with pytest.raises(ConfigError, match="'outside' has no features of stride 1"):
        find_segmenter("unet")(1, 3, backbone="outside")
    with pytest.raises(ConfigError, match="'outside' has no option 'conv'; it has: width"):
        classifier("outside", (32, 32, 1), 2, "dilated")


def test_an_old_card_gives_the_network_it_was():
    old = {"data": "scenes", "conv": "standard", "pool": "max", "stride": 4}
    assert DetectionConfig.parse(**old).backbone == "window"
    assert DetectionConfig.parse(**old).norm == "batch"
    assert SegmentationConfig.parse(model="fcn", head=16).backbone is None
    assert ClassificationConfig.parse(model="lenet5", pool="subsampling").head is None
