"""Segmentation from masks to a saved model: it learns, any size is answered, and TensorFlow alone answers the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipelines import segmentation
from pipelines.artifacts.golden import read_golden
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ConfigError
from pipelines.data import Example, Split
from pipelines.data import segmentation as sources
from pipelines.images import image_io
from pipelines.models import SEGMENTERS
from pipelines.segmentation import auto_config
from pipelines.segmentation.auto_config import choose
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.crops import decode_masks
from pipelines.segmentation.dense_prediction import LabelSpec, scores
from pipelines.segmentation.serving import MaskServing


@pytest.fixture(scope="module")
def served(segmenter) -> ServedModel:
    return ServedModel(segmenter.path)


def test_it_paints_what_is_there(segmenter):
    assert segmenter.card.metrics["test"]["mean_iou"] > 0.7
    assert segmenter.card.metrics["test"]["images"] == 16


def test_the_card_says_how_it_looks_at_images(segmenter):
    card = segmenter.card
    assert (card.task, card.classes) == ("segmentation", ["background", "cross", "disc"])
    assert LabelSpec.from_json(card.input) == LabelSpec(scale=1.0, channels=3, multiple=8, stride=1)
    assert card.training["data"] == "painted"
    assert "resume" not in card.training


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (37, 50), (64, 41)])
def test_every_pixel_of_any_size_is_answered(served, size):
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    found = served([image_io.read(pixels)])
    assert found["class_map"].shape == found["confidence"].shape == (1, *size)
    assert found["class_map"].max() <= 2
    assert found["confidence"].min() >= 1 / 3 - 1e-6


def test_images_of_several_sizes_are_answered_together(served):
    sizes = [(20, 30), (33, 17)]
    dice = np.random.default_rng(1)
    images = [image_io.read(dice.integers(0, 255, (*size, 3)).astype(np.uint8)) for size in sizes]
    together = served(images)
    assert together["sizes"].tolist() == [list(size) for size in sizes]
    for number, (height, width) in enumerate(sizes):
        alone = served([images[number]])
        np.testing.assert_array_equal(together["class_map"][number, :height, :width], alone["class_map"][0])
        assert (together["class_map"][number, height:] == 255).all()
        assert (together["confidence"][number, :, width:] == 0).all()
    assert served([])["class_map"].shape[0] == 0


def test_bytes_pixels_and_probabilities_agree(served):
    data = read_golden(served.directory).inputs[0]
    by_bytes = served([data])
    image = tf.io.decode_png(data, channels=3)
    by_pixels = served.run("pixels", images=image[None])
    np.testing.assert_array_equal(by_pixels["class_map"], by_bytes["class_map"])
    shares = served.run("probabilities", image_bytes=tf.constant(data))["probabilities"].numpy()
    np.testing.assert_array_equal(shares.argmax(-1), by_bytes["class_map"][0])
    np.testing.assert_allclose(shares.max(-1), by_bytes["confidence"][0], atol=1e-6)


@pytest.mark.slow
def test_a_process_with_tensorflow_alone_gives_the_same_map(segmenter, tmp_path: Path):
    script = f"""
import json, sys
for name in ("layers", "pipelines", "cnnapp", "ui", "keras"):
    sys.modules[name] = None
import numpy as np
import tensorflow as tf
folder = {str(segmenter.path)!r}
names = json.load(open(folder + "/golden/expected.json"))["inputs"]
data = [open(folder + "/golden/" + name, "rb").read() for name in names]
outputs = tf.saved_model.load(folder).signatures["serving_default"](image_bytes=tf.constant(data))
np.savez({str(tmp_path / "found.npz")!r}, **{{name: value.numpy() for name, value in outputs.items()}})
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, capture_output=True)
    with np.load(tmp_path / "found.npz") as found:
        golden = read_golden(segmenter.path)
        assert golden.difference({name: found[name] for name in found.files}) == 0


def test_large_golden_arrays_are_files_of_their_own(segmenter):
    record = json.loads((segmenter.path / "golden" / "expected.json").read_text())
    assert set(record["outputs"]) == {"class_map", "confidence", "sizes"}
    golden = read_golden(segmenter.path)
    assert golden.outputs["class_map"].dtype == np.uint8
    changed = {**golden.outputs, "class_map": golden.outputs["class_map"] ^ 1}
    assert golden.difference(changed) == float("inf")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"model": "vgg"}, "model"), ({"loss": "dice+l1"}, "loss"), ({"conv": "unshared"}, "conv"), ({"head": 4}, "head")],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        SegmentationConfig.parse(**options)


@pytest.mark.parametrize("model", SEGMENTERS)
def test_what_is_left_open_is_chosen_from_the_images(painted: Path, model: str):
    config = SegmentationConfig.parse(data=str(painted), model=model)
    choice = choose(config, sources.load(str(painted)))
    chosen, spec, crop = choice.config, choice.spec, choice.training
    assert chosen.scale == 1.0
    assert spec.channels == 3
    assert (spec.multiple, spec.stride) == {"unet": (8, 1), "fcn": (32, 8), "dilated": (4, 4), "aspp": (4, 4)}[model]
    assert all(side % spec.multiple == 0 for side in crop.size)
    assert crop.size[0] >= 37


@pytest.mark.parametrize(
    ("stride", "upsampling", "expected"), [(2, "bilinear", 2), (2, "learned", 1), (4, "learned", 1)]
)
def test_learned_upsampling_answers_for_every_pixel(painted: Path, stride: int, upsampling: str, expected: int):
    config = SegmentationConfig.parse(data=str(painted), stride=stride, depth=2, upsampling=upsampling)
    spec = choose(config, sources.load(str(painted))).spec
    assert (spec.multiple, spec.stride) == (4 * stride, expected)


def test_a_network_of_a_coarser_stride_is_exported_too(painted: Path, tmp_path: Path, quiet):
    trained = segmentation.train(
        "coarse", root=tmp_path, reporter=quiet, data=str(painted), model="fcn", epochs=1, loss="cross_entropy+dice",
        scale=0.5, elastic=1.0, turn=True, class_weights="median",
    )  # fmt: skip
    found = ServedModel(trained.path)(read_golden(trained.path).inputs)
    assert found["class_map"].shape[1:] == (37, 50)


def drawn(number: int, size: tuple[int, int], grey: bool = False) -> Example[np.ndarray]:
    pixels = np.random.default_rng(number).integers(0, 255, (*size, 1 if grey else 3)).astype(np.uint8)
    return Example(str(number), image_io.read(pixels), np.zeros(size, np.uint8))


@pytest.mark.parametrize("scale", [1.0, 0.61, 1.7])
@pytest.mark.parametrize("channels", [1, 3])
def test_training_sees_what_the_saved_model_sees_rounded_once(scale: float, channels: int, quiet):
    example, seen = drawn(0, (37, 50)), []

    def network(pixels: tf.Tensor) -> tf.Tensor:
        seen.append(pixels.numpy()[0])
        return pixels

    scene = decode_masks(Split("train", 1, lambda: iter([example])), scale, channels, quiet)[0]
    scores(tf.io.decode_png(example.image, channels=3)[None], network, LabelSpec(scale, channels, 1, 1))
    assert scene.pixels.shape[:2] == scene.mask.shape
    np.testing.assert_array_equal(scene.pixels, np.clip(np.rint(seen[0]), 0, 255))


def test_the_images_that_choices_are_made_from_are_let_go(monkeypatch: pytest.MonkeyPatch):
    kept, most = [0], [0]

    class Mask(np.ndarray):
        def __del__(self) -> None:
            kept[0] -= 1

    def examples():
        for number in range(60):
            example = drawn(number, (10 + number % 3, 20), grey=True)
            kept[0] += 1
            most[0] = max(most[0], kept[0])
            yield Example(example.id, example.image, np.ones((4, 4), np.uint8).view(Mask))
            del example

    monkeypatch.setattr(auto_config, "_LOOKED_AT", 50)
    monkeypatch.setattr(auto_config, "_SAMPLE", 20)
    shapes, grey = auto_config._look_at(Split("train", 60, examples))
    assert shapes.tolist() == [[10 + number % 3, 20] for number in range(0, 50, 2)]
    assert grey
    assert most[0] <= 3
    mixed = [drawn(0, (5, 5), grey=True), drawn(1, (5, 5))]
    assert not auto_config._look_at(Split("train", 2, lambda: iter(mixed)))[1]


def test_images_of_a_batch_are_answered_one_after_the_other(monkeypatch: pytest.MonkeyPatch):
    asked: list[int | None] = []

    def map_fn(answer, inputs, parallel_iterations=None, **rest):
        asked.append(parallel_iterations)
        return [tf.ragged.constant([[[0]]], dtype=kind) for kind in (tf.uint8, tf.float32)] + [tf.constant([[1, 1]])]

    monkeypatch.setattr(tf, "map_fn", map_fn)
    MaskServing._answers(SimpleNamespace(), tf.constant([b""]))
    assert asked == [1]
