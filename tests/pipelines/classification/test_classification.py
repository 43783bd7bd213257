"""The task as a whole: what is chosen from the data, and that it learns, with every layer, from every kind of file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drawings import make_folder
from pipelines import classification, data
from pipelines.artifacts.golden import read_golden
from pipelines.classification.auto_config import choose
from pipelines.classification.batches import class_weights
from pipelines.classification.config import ClassificationConfig
from pipelines.classification.network import loss
from pipelines.core.errors import ConfigError, DataError
from pipelines.storage.names import check_name


def chosen(source: str, **options: object):
    splits = data.load(source)
    config = ClassificationConfig.parse(data=source, **options)
    choice = choose(config, splits)
    return choice.config, choice.spec


def test_a_small_network_learns_shapes_of_every_format(trained):
    assert trained.card.metrics["test"]["accuracy"] > 0.8
    assert trained.history.stopped == "finished"


def test_what_is_left_open_is_chosen_from_the_data(shapes: Path):
    config, spec = chosen("digits")
    assert spec.shape == (8, 8, 1)
    assert (config.flip, config.batch_size, config.epochs, config.pool) == (False, 32, 60, "max")
    config, spec = chosen(str(shapes))
    assert spec.channels == 3
    assert 20 <= spec.height <= 22
    assert config.flip is True


def test_what_is_asked_for_is_kept(shapes: Path):
    config, spec = chosen(str(shapes), image_size="16x12", channels=1, flip=False, batch_size=7, epochs=3, resize="pad")
    assert (spec.shape, spec.resize) == ((16, 12, 1), "pad")
    assert (config.flip, config.batch_size, config.epochs) == (False, 7, 3)


@pytest.mark.parametrize("conv", ["dilated", "tiled", "unshared"])
def test_every_convolution_goes_the_whole_way(shapes: Path, quiet, tmp_path: Path, conv: str):
    trained = classification.train(
        "x", root=tmp_path, reporter=quiet, data=str(shapes), epochs=1, image_size=12, conv=conv, pool="l2"
    )
    assert trained.card.training["conv"] == conv


@pytest.mark.slow
def test_lenet5_goes_the_whole_way_in_mixed_precision(quiet, tmp_path: Path):
    trained = classification.train(
        "x", root=tmp_path, reporter=quiet, data="digits", model="lenet5", epochs=1, precision="mixed_bfloat16",
        label_smoothing=0.1, augment="strong",
    )  # fmt: skip
    assert trained.card.input["height"] == 32
    assert read_golden(trained.path).outputs["scores"].dtype == np.float32


@pytest.mark.slow
def test_a_deterministic_run_gives_the_same_bits(shapes: Path, tmp_path: Path):
    """In processes of their own: TensorFlow cannot be made less deterministic again."""
    import subprocess
    import sys

    code = (
        "import sys; from pipelines import classification as c; from pipelines.core.progress import Reporter; "
        "t = c.train('x', root=sys.argv[1], reporter=Reporter(quiet=True), data=sys.argv[2], epochs=2, "
        "image_size=16, deterministic=True); "
        "print(t.card.files['golden/expected.json'], t.card.metrics['test']['log_loss'])"
    )
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for command in [[sys.executable, "-c", code, str(tmp_path), str(shapes)]] * 2
    ]
    assert runs[0] == runs[1] != ""


def test_rare_classes_weigh_more():
    labels = np.array([0] * 30 + [1] * 10)
    weights = class_weights(labels, 2, "auto")
    assert weights == pytest.approx([2 / 3, 2.0])
    assert weights[labels].mean() == pytest.approx(1.0)
    assert class_weights(labels, 2, "none").tolist() == [1.0, 1.0]
    balanced = np.array([0] * 12 + [1] * 10)
    assert class_weights(balanced, 2, "auto").tolist() == [1.0, 1.0]
    assert class_weights(balanced, 2, "balanced") == pytest.approx([22 / 24, 22 / 20])


def test_label_smoothing_is_that_of_keras():
    import keras

    logits, labels = np.random.default_rng(0).normal(size=(5, 3)).astype("float32"), np.array([0, 1, 2, 1, 0])
    ours = loss(ClassificationConfig.parse(label_smoothing=0.2))(labels, logits)
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2, reduction=None)
    assert np.allclose(ours, theirs(keras.utils.to_categorical(labels, 3), logits), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "lenet"}, "unknown model 'lenet'.*Did you mean 'lenet5'"),
        ({"conv": "dilate"}, "unknown conv 'dilate'.*Did you mean 'dilated'"),
        ({"epoch": 3}, "unknown option 'epoch'.*Did you mean 'epochs'"),
        ({"learning_rate": -1.0}, "learning-rate: received -1.0; input should be greater than 0"),
        ({"image_size": "big"}, "image-size: received 'big'; must be a number of pixels"),
        ({"image_size": 0}, "image-size: received 0"),
    ],
)
def test_wrong_options_are_answered_with_what_exists(options: dict, message: str, quiet, tmp_path: Path):
    with pytest.raises(ConfigError, match=message):
        classification.train("x", root=tmp_path, reporter=quiet, **{"data": "digits", **options})


@pytest.mark.parametrize("name", ["", "7", "../x", "a/b", ".hidden", "a b"])
def test_names_that_are_no_folder_names_are_refused(name: str):
    with pytest.raises(ConfigError, match="name: received"):
        check_name(name)


def test_a_file_that_is_no_image_stops_training_by_name(tmp_path: Path, quiet):
    make_folder(tmp_path / "d", count=20)
    for number in range(20):
        (tmp_path / "d" / "disc" / f"bad{number}.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match=r"disc/bad\d+\.png"):
        classification.train("x", root=tmp_path / "m", reporter=quiet, data=str(tmp_path / "d"), epochs=1)
