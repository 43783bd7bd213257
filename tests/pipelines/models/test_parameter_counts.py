"""Networks are what they were before they were made of backbones: as many parameters, by every option."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.classification.config import ClassificationConfig
from pipelines.detection.config import DetectionConfig
from pipelines.detection.sliding_window import ScanSpec
from pipelines.images.preprocessing import ImageSpec
from pipelines.models.detectors.window_detector import window_for
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.dense_prediction import LabelSpec
from pipelines.tasks.registry import find_task

# (model, height, width, channels, conv, pool), with 7 classes; counted at commit 8223122.
CLASSIFIERS = {
    ("convnet", 8, 8, 1, "standard", "max"): 261_063,
    ("convnet", 28, 28, 1, "standard", "l2"): 288_679,
    ("convnet", 28, 28, 1, "dilated", "average"): 288_679,
    ("convnet", 28, 28, 1, "tiled", "max"): 952_231,
    ("convnet", 28, 28, 3, "unshared", "l2"): 10_906_087,
    ("convnet", 33, 50, 3, "standard", "max"): 289_255,
    ("lenet5", 28, 28, 1, "standard", "subsampling"): 61_495,
    ("lenet5", 28, 28, 1, "standard", "max"): 61_451,
    ("lenet5", 32, 32, 1, "dilated", "average"): 61_451,
    ("lenet5", 28, 28, 3, "tiled", "subsampling"): 214_771,
    ("lenet5", 32, 32, 1, "unshared", "l2"): 422_783,
    ("lenet5", 33, 50, 3, "unshared", "l2"): 1_359_023,
    ("lenet5", 33, 50, 1, "standard", "max"): 101_771,
}
# (stride, conv, pool): the window that holds 40 x 90, and the parameters, with 3 classes.
DETECTORS = {
    (4, "standard", "max"): ((40, 96), 384_663),
    (4, "dilated", "l2"): ((44, 92), 286_359),
    (4, "tiled", "average"): ((40, 96), 392_007),
    (8, "standard", "average"): ((52, 100), 280_727),
    (8, "dilated", "max"): ((80, 96), 247_959),
    (8, "tiled", "l2"): ((52, 100), 329_543),
}
# (options, parameters), with 3 channels and 4 classes.
SEGMENTERS: list[tuple[dict[str, Any], int]] = [
    ({"model": "unet"}, 485_104),
    ({"model": "unet", "conv": "tiled", "pool": "l2"}, 1_799_680),
    ({"model": "unet", "depth": 2, "stride": 2, "upsampling": "learned", "filters": 32}, 479_856),
    ({"model": "unet", "depth": 1, "stride": 4, "conv": "dilated", "pool": "average"}, 31_256),
    ({"model": "fcn"}, 506_300),
    ({"model": "fcn", "head": 16, "conv": "dilated"}, 506_040),
    ({"model": "fcn", "head": 32, "conv": "tiled"}, 1_910_084),
    ({"model": "dilated"}, 628_788),
    ({"model": "dilated", "conv": "tiled", "pool": "l2"}, 844_356),
    ({"model": "aspp"}, 360_756),
    ({"model": "aspp", "image_pooling": True}, 365_556),
]


@pytest.mark.parametrize("case", CLASSIFIERS, ids=str)
def test_a_classifier(case: tuple):
    model, height, width, channels, conv, pool = case
    config = ClassificationConfig(model=model, conv=conv, pool=pool)
    spec = ImageSpec(height, width, channels=channels, resize="stretch")
    network = find_task("classification").build(config, spec, 7, 100.0, 50.0)
    assert network.count_params() == CLASSIFIERS[case]
    assert network.layers[1].name == "standardise"
    assert network.layers[-1].name == "logits"


@pytest.mark.parametrize("case", DETECTORS, ids=str)
def test_a_detector(case: tuple):
    stride, conv, pool = case
    window, count = DETECTORS[case]
    assert window_for((40, 90), stride, conv, pool) == window
    spec = ScanSpec(window, stride, 1, (20.0, 30.0), (1.0,), True)
    network = find_task("detection").build(DetectionConfig(conv=conv, pool=pool), spec, 3, 100.0, 50.0)
    assert network.count_params() == count


@pytest.mark.parametrize(("options", "count"), SEGMENTERS, ids=str)
def test_a_network_of_segmentation(options: dict[str, Any], count: int):
    config = SegmentationConfig(**options)
    network = find_task("segmentation").build(config, LabelSpec(1.0, 3, 1, 1), 4, 100.0, 50.0)
    assert network.count_params() == count
