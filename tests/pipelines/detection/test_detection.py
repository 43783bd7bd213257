"""Detection from end to end: choices from the boxes, a trained detector, and the saved model alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from drawings import draw_scene
from pipelines.artifacts.golden import read_golden
from pipelines.artifacts.model_card import read_card
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ConfigError, DataError
from pipelines.data.detection import load
from pipelines.detection.auto_config import choose
from pipelines.detection.config import DetectionConfig
from pipelines.detection.evaluation.evaluator import answers
from pipelines.images.boxes import overlaps


@pytest.fixture(scope="module")
def served(detector) -> ServedModel:
    return ServedModel(detector.path)


def test_it_finds_what_is_there(detector):
    assert detector.card.metrics["test"]["ap50"] > 0.9
    assert detector.card.metrics["test"]["images"] == 24


def test_the_card_says_how_it_looks_at_images(detector):
    card = read_card(detector.path)
    assert card.task == "detection"
    assert card.classes == ["cross", "disc"]
    assert card.input["stride"] == 4
    assert card.input["scales"] == [1.0]
    assert set(card.input["options"]) == {"score_threshold", "overlap_threshold", "soft_nms_sigma", "scales"}
    assert card.training["data"] == card.data["source"] == "scattered"


def test_every_weight_is_saved_once(detector):
    saved = [shape for _, shape in tf.train.list_variables(str(detector.path / "variables" / "variables")) if shape]
    assert sum(int(np.prod(shape)) for shape in saved) == detector.card.parameters


def test_scores_are_sorted_and_what_is_beyond_their_number_is_empty(served):
    outputs = served(read_golden(served.directory).inputs)
    for boxes, scores, names, count in zip(
        outputs["boxes"], outputs["scores"], outputs["class_names"], outputs["num_detections"], strict=True
    ):
        assert (np.diff(scores[:count]) <= 0).all()
        assert scores[:count].min() >= served.card.input["options"]["score_threshold"]
        assert not boxes[count:].any()
        assert not scores[count:].any()
        assert set(names[:count]) <= {"cross", "disc"}
        assert set(names[count:]) == {""}


def test_thresholds_act_and_boxes_stay_inside_the_image(served):
    image = read_golden(served.directory).inputs[0]
    weak = answers(served, [image], ["a"], score_threshold=0.001, overlap_threshold=1.0)[0]
    strong = answers(served, [image], ["a"], score_threshold=0.5, overlap_threshold=0.2)[0]
    assert len(weak) > len(strong) > 0
    assert strong.scores.min() >= 0.5
    assert (
        np.triu(overlaps(strong.boxes, strong.boxes) * (strong.class_ids[:, None] == strong.class_ids), 1).max() <= 0.2
    )
    assert weak.boxes.min() >= 0
    assert (weak.boxes.max(0) <= [72, 56, 72, 56]).all()


def test_a_larger_picture_is_found_by_a_smaller_scale(served):
    from pipelines.images import image_io

    best = []
    for seed in range(100_000, 100_010):
        picture, truth = draw_scene(seed)
        large = picture.resize((picture.width * 2, picture.height * 2))
        found = answers(served, [image_io.read(large)], ["a"], scales=(0.5,), score_threshold=0.1)[0]
        best += overlaps(np.array([box for _, box in truth]) * 2.0, found.boxes).max(1).tolist()
    assert np.mean(np.array(best) > 0.5) > 0.9


def test_images_smaller_than_the_window_and_batches_of_nothing_are_answered(served):
    from pipelines.images import image_io

    tiny = image_io.read(np.zeros((3, 2, 3), np.uint8))
    assert len(answers(served, [tiny], ["a"])) == 1
    assert served([])["boxes"].shape == (0, 100, 4)


def test_a_file_that_is_no_image_is_named(served):
    good = read_golden(served.directory).inputs[0]
    with pytest.raises(DataError, match=r"b\.png: the image cannot be decoded"):
        answers(served, [good, b"nothing"], ["a.png", "b.png"])


@pytest.mark.slow
def test_a_process_with_tensorflow_alone_gives_the_same_boxes(detector, tmp_path: Path):
    script = f"""
import glob, json, sys
import tensorflow as tf
loaded = tf.saved_model.load({str(detector.path)!r})
names = json.load(open({str(detector.path / "golden" / "expected.json")!r}))["inputs"]
data = [open({str(detector.path / "golden")!r} + "/" + name, "rb").read() for name in names]
outputs = loaded.serve_bytes(image_bytes=tf.constant(data))  # the optional inputs have their defaults here
options = {detector.card.input["options"]!r}
given = loaded.signatures["serving_default"](
    image_bytes=tf.constant(data), soft_nms_sigma=tf.constant(0.0), scales=tf.constant([1.0]),
    score_threshold=tf.constant(options["score_threshold"]),
    overlap_threshold=tf.constant(options["overlap_threshold"]))
assert all(bool(tf.reduce_all(tf.equal(outputs[name], given[name]))) for name in outputs)
assert not [name for name in sys.modules if name.split(".")[0] in ("layers", "pipelines", "cnnapp")]
json.dump(outputs["boxes"].numpy().tolist(), open({str(tmp_path / "boxes.json")!r}, "w"))
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, capture_output=True)
    import json

    boxes = np.array(json.loads((tmp_path / "boxes.json").read_text()), "float32")
    np.testing.assert_array_equal(boxes, read_golden(detector.path).outputs["boxes"])


def test_serving_fills_the_optional_inputs_in(detector):
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((detector.path / "saved_model.pb").read_bytes())
    defaults = model.meta_graphs[0].signature_def["serving_default"].defaults
    assert set(defaults) == {"score_threshold", "overlap_threshold", "soft_nms_sigma", "scales"}
    chosen = detector.card.input["options"]["score_threshold"]
    assert defaults["score_threshold"].float_val[0] == pytest.approx(chosen)


def test_decoded_pixels_give_the_same_as_their_bytes(served):
    from pipelines.images import preprocessing

    data = read_golden(served.directory).inputs[0]
    options = {name: tf.constant(value, tf.float32) for name, value in served.card.input["options"].items()}
    by_bytes = served.run("serving_default", image_bytes=tf.constant([data]), **options)
    by_pixels = served.run("pixels", images=preprocessing.decode(tf.constant(data))[None], **options)
    for name, expected in by_bytes.items():
        np.testing.assert_array_equal(by_pixels[name], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conv": "unshared"}, "conv"),
        ({"scales": "1,x"}, "scales: received '1,x'"),
        ({"stride": 5}, "stride"),
        ({"windows": 3}, "window"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        DetectionConfig.parse(**options)


def test_what_is_left_open_is_chosen_from_the_boxes(scattered):
    config = DetectionConfig.parse(data=str(scattered))
    choice = choose(config, load(config.data))
    chosen, spec, crop = choice.config, choice.spec, choice.training
    assert chosen.scale == 1.0
    assert spec.scales == (1.0,)
    assert spec.channels == 3
    assert all(side >= 13 for side in spec.window)
    assert crop.size[0] >= spec.window[0]
    choice = choose(config.model_copy(update={"scale": 0.5, "stride": 8}), load(config.data))
    again, other = choice.config, choice.spec
    assert again.scale == 0.5
    assert other.stride == 8
    assert other.reference[0] == pytest.approx(spec.reference[0] / 2)


def test_windows_teach_a_pyramid(shared_data):
    config = DetectionConfig.parse(data=str(shared_data / "uiuc_cars" / "windows"))
    choice = choose(config, load(config.data))
    chosen, spec, crop = choice.config, choice.spec, choice.training
    assert chosen.scale == 1.0
    assert len(spec.scales) == 7
    assert not spec.clip
    assert crop.montage
    # Crops are three windows high and wide, so that whole objects lie beside each other in them.
    assert [side - window for side, window in zip(crop.size, spec.window, strict=True)] == [104, 200]
