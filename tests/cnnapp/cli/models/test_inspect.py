"""The command that shows what a network is made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cards import edit_card
from cnnapp.cli import main
from cnnapp.reports import inspection
from pipelines.core.errors import CnnAppError, ConfigError, ModelError


def run(*arguments: object, width: int = 200, fails: type[CnnAppError] | None = None) -> str:
    """Run `cnnapp inspect`, and return what it prints, or the error it ends with."""
    done = CliRunner(env={"COLUMNS": str(width)}).invoke(main.app, ["inspect", *map(str, arguments)])
    if fails is not None:
        assert isinstance(done.exception, fails), done.output
        return str(done.exception)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(autouse=True)
def windows_of_the_width_asked_for(monkeypatch: pytest.MonkeyPatch):
    """Let the consoles, which are made once, read the width anew and write to what the runner captures."""
    for name in ("out", "err"):
        monkeypatch.setattr("cnnapp.cli.models.inspect." + name, _Console(name == "err"))


class _Console:
    def __init__(self, stderr: bool) -> None:
        self.stderr = stderr

    def __getattr__(self, name: str):
        from rich.console import Console

        return getattr(Console(stderr=self.stderr, highlight=False), name)


@pytest.fixture
def keras_file(tmp_path: Path) -> Path:
    import keras

    from layers import DilatedConv2D

    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Conv2D(6, 5, name="c1"),
            DilatedConv2D(4, 3, strides=2, dilation_rate=2, padding="same", name="c2"),
        ]
    )
    path = tmp_path / "small.keras"
    model.save(path)
    return path


def test_the_table_has_every_layer_and_the_totals(models: Path, trained):
    lines = run("shapes").splitlines()
    rows = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert rows["layer"] == list(inspection.COLUMNS)
    assert rows["stage1_conv1"][1] == "Conv2D"
    assert rows["stage1_conv1"][-3:] == ["3", "1", "0"]
    assert rows["pool1"][-3:] == ["6", "2", "0.5"]
    assert rows["logits"][-1] == "everything"
    assert rows["total"][1:3] == [f"{trained.card.parameters:,}", "100.0"]


def test_a_narrow_window_leaves_columns_out_and_no_number(models: Path):
    text = run("shapes", width=72)
    assert max(map(len, text.splitlines())) <= 72
    head = next(line.split() for line in text.splitlines() if "parameters" in line)
    assert [column for column in inspection.COLUMNS if column in head] == head
    assert "type" not in head
    assert "jump" in head


def test_json_holds_the_same_and_more(keras_file: Path, tmp_path: Path):
    run(keras_file, "--input-size", "32x40", "--json", tmp_path / "deep" / "o.json")
    record = json.loads((tmp_path / "deep" / "o.json").read_text())
    assert json.loads(run(keras_file, "--input-size", "32x40", "--json", "-")) == record
    assert (record["model"], record["input_sizes"]) == ("small.keras", [32, 40])
    _, first, second = record["layers"]
    assert first["output_shape"] == [28, 36, 6]
    assert first["parameters"] == first["trainable"] == 456
    assert first["multiply_adds"] == 28 * 36 * 6 * 75
    assert first["activation_bytes"] == 28 * 36 * 6 * 4
    assert second["receptive_field"] == {"size": [9, 9], "jump": [2, 2], "start": [-1, -1], "center": [3, 3]}
    for name in ("parameters", "multiply_adds", "activation_bytes", "weight_bytes"):
        assert record["total"][name] == sum(row[name] for row in record["layers"])


def test_the_size_is_asked_for_and_checked(keras_file: Path, models: Path):
    assert "--input-size" in run(keras_file, fails=ConfigError)
    for size in ("32x", "0", "large", "-3x4"):
        assert "expected height x width" in run(keras_file, f"--input-size={size}", fails=ConfigError)
    assert "28 x 28 x 6" in run(keras_file, "--input-size", "32")
    # A convolutional network is built again for another size.
    assert inspection.inspect("shapes", (20, 16)).input_sizes == (20, 16)
    assert "16 x 16 alone" in run("shapes", "--input-size", "64", fails=ConfigError)
    assert "height and a width" in run("shapes", "--input-size", "8x8x8", fails=ConfigError)


def test_networks_for_any_size_are_reckoned_with_their_own(detectors: Path, detector, segmenter):
    """For a detector it is the window, for segmentation what it was trained on at a time, filled up."""
    found = inspection.inspect("scattered")
    assert list(found.input_sizes) == detector.card.input["window"]
    assert found.cost.layers[-1].output_shape[:2] == (1, 1)  # one window, one answer
    assert found.cost.total.parameters == detector.card.parameters
    assert found.fields is not None
    assert [int(axis.size) for axis in found.fields[-1].axes] == detector.card.input["window"]
    other = run("scattered", "--input-size", "96x128")
    assert "96 x 128 x" in other
    assert "does not take inputs" in run("scattered", "--input-size", "3", fails=ConfigError)

    found = inspection.inspect(str(segmenter.path))
    multiple, crop = segmenter.card.input["multiple"], segmenter.card.training["crop"]
    assert list(found.input_sizes) == [-(-side // multiple) * multiple for side in crop]
    assert found.cost.total.parameters == segmenter.card.parameters
    assert f"multiples of {multiple}" in run(segmenter.path, "--input-size", f"{multiple + 1}", fails=ConfigError)


def test_a_network_of_one_size_is_not_stretched(tmp_path: Path):
    import keras

    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.save(tmp_path / "fixed.keras")
    assert "does not take inputs" in run(tmp_path / "fixed.keras", "--input-size", "9x8", fails=ConfigError)


def test_lenet_has_its_published_parameters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from pipelines.models import classifier

    classifier("lenet5", (32, 32, 1), 10).save(tmp_path / "lenet.keras")
    found = inspection.inspect(str(tmp_path / "lenet.keras"))
    parameters = {row.name: row.parameters for row in found.cost.layers if row.parameters}
    assert parameters["c1"] == 156
    assert (parameters["s2"], parameters["s4"], parameters["f6"]) == (12, 32, 10_164)
    assert found.fields is not None
    fields = {field.name: field.axes and field.axes[0].size for field in found.fields}
    assert (fields["c1"], fields["s2"], fields["c3"], fields["s4"], fields["c5"]) == (5, 6, 14, 16, 32)


def test_what_is_not_known_is_said(tmp_path: Path):
    import keras

    images = keras.Input((8, 8, 1))
    x = keras.layers.Permute((2, 1, 3), name="turned")(keras.layers.Conv2D(2, 3)(images))
    keras.Model(images, x).save(tmp_path / "turned.keras")
    done = CliRunner(env={"COLUMNS": "200"}).invoke(main.app, ["inspect", str(tmp_path / "turned.keras")])
    assert done.exit_code == 0
    assert "layer 'turned' (Permute) is not known" in done.stderr
    assert inspection.inspect(str(tmp_path / "turned.keras")).to_json()["layers"][1]["receptive_field"] is None


@pytest.mark.slow
def test_the_picture_is_one(models: Path, keras_file: Path, tmp_path: Path):
    for name, arguments in (("shapes", []), (keras_file, ["--input-size", "64x48"])):
        run(name, *arguments, "--draw", tmp_path / "deep" / "o.png")
        pixels = np.asarray(Image.open(tmp_path / "deep" / "o.png").convert("RGB"))
        assert min(pixels.shape[:2]) > 300
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    run("shapes", "--draw", tmp_path, fails=CnnAppError)


def test_refuses_what_is_no_model(models: Path, trained, tmp_path: Path):
    assert "Did you mean 'shapes'" in run("shape", fails=ModelError)
    assert "there is no such file" in run(tmp_path / "no.keras", fails=ModelError)
    (tmp_path / "bad.keras").write_bytes(b"nothing")
    assert "bad.keras: is no Keras file, or damaged" in run(tmp_path / "bad.keras", fails=ModelError)
    copy = shutil.copytree(trained.path, tmp_path / "copy")
    whole = shutil.copytree(copy, tmp_path / "whole")
    for change, message in (
        ({"parameters": 7}, "not the 7 of the card"),
        ({"task": "poetry"}, "this version knows"),
        ({"training": {"strange": 1}}, "its card is of another version"),
    ):
        shutil.copytree(whole, copy, dirs_exist_ok=True)
        edit_card(copy, lambda record, change=change: record.update(change))
        assert message in run(copy, fails=ModelError)
    (copy / "model_card.json").unlink()
    assert "has no model_card.json" in run(copy, fails=ModelError)
