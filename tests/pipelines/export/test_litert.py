"""A saved model for LiteRT: the same answers by whatever weights are stored as, and nothing where they are not."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipelines.artifacts.served_model import ServedModel, as_numpy
from pipelines.core.errors import ModelError
from pipelines.export import litert
from pipelines.export.litert import open_litert, write_litert
from pipelines.export.parity import tolerance
from places import ROOT

MODELS = {"classification": "digits", "detection": "digit-scenes", "segmentation": "digit-segmentation"}


def served(task: str) -> ServedModel:
    return ServedModel(ROOT / "saved_models" / MODELS[task] / "1")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All three with weights in float32."""
    folder = tmp_path_factory.mktemp("exports")
    return {task: write_litert(served(task), folder / f"{task}.tflite", "float32").path for task in MODELS}


@pytest.mark.parametrize("task", MODELS)
def test_the_interpreter_alone_gives_the_same_answers(task: str, written: dict[str, Path], tmp_path: Path):
    folder = ROOT / "saved_models" / "digit-scenes" / "1" / "golden"
    scene = tf.io.decode_png((folder / "input-0.png").read_bytes(), channels=3).numpy()
    tinted = (scene[:61, :75] * np.array([0.9, 1.0, 0.6])).astype(np.uint8)
    model = served(task)
    options = {name: np.array(value, np.float32) for name, value in model.card.input.get("options", {}).items()}
    asked = [{"images": scene[None]} | options, {"images": np.stack([tinted, tinted[::-1]])} | options]
    if options:
        asked.append(asked[1] | {"scales": np.float32([1.3, 1.0]), "soft_nms_sigma": np.float32(0.4)})
    for number, each in enumerate(asked):
        np.savez(tmp_path / f"asked-{number}.npz", **each)
    code = """
        import sys
        for name in ("layers", "pipelines", "cnnapp", "ui", "keras"):
            sys.modules[name] = None
        import numpy as np, pathlib, tensorflow
        run = tensorflow.lite.Interpreter(sys.argv[1]).get_signature_runner()
        for path in sorted(pathlib.Path(".").glob("asked-*.npz")):
            with np.load(path) as inputs:
                found = run(**inputs)
            plain = {name: values.astype(str) if values.dtype == object else values for name, values in found.items()}
            np.savez(path.name.replace("asked", "found"), **plain)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(written[task])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for number, each in enumerate(asked):
        inputs = {name: tf.constant(value) for name, value in each.items()}
        expected, found = as_numpy(model.run("pixels", **inputs)), np.load(tmp_path / f"found-{number}.npz")
        assert set(found) == set(expected)
        for name, values in expected.items():
            if values.dtype == np.float32:
                np.testing.assert_allclose(found[name], values, atol=1e-3 if name == "boxes" else 1e-5, err_msg=name)
            else:
                np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("task", MODELS)
def test_half_the_bits_take_half_the_room(task: str, written: dict[str, Path], tmp_path: Path):
    found = write_litert(served(task), tmp_path / "half.tflite")
    assert found.weights == "float16"
    assert found.size == found.path.stat().st_size < 0.6 * written[task].stat().st_size
    assert found.agreement.within(tolerance(served(task), "float16"))


def test_a_file_says_what_it_is(written: dict[str, Path]):
    card = served("detection").card
    with zipfile.ZipFile(written["detection"]) as archive:
        assert archive.read("labels.txt").decode().splitlines() == card.classes
        record = json.loads(archive.read("metadata.json"))
    assert (record["name"], record["version"], record["task"]) == ("digit-scenes", "1", "detection")
    assert (record["classes"], record["input"]) == (card.classes, card.input)
    assert record["saved_model_sha256"] == card.files["saved_model.pb"]
    assert record["weights"] == "float32"
    assert 0 < record["largest_difference"]["score"] <= 1e-5


def test_a_conversion_that_gives_other_answers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The file of another model: whole, readable, of the same inputs and outputs."""
    other = litert._convert(ServedModel(ROOT / "saved_models" / "fashion" / "1"), "float32")
    monkeypatch.setattr(litert, "_convert", lambda model, weights: other)
    with pytest.raises(ModelError, match=r"differs from the saved model: .* Nothing was written"):
        write_litert(served("classification"), tmp_path / "exports" / "digits.tflite")
    assert not (tmp_path / "exports").exists()


def test_what_the_interpreter_does_not_read_is_refused():
    with pytest.raises(ModelError, match="does not read"):
        open_litert(b"no model")


def test_operations_that_litert_lacks_are_named(tmp_path: Path):
    class Lacking:
        directory, card = tmp_path, served("classification").card

        def signature(self, name: str):
            @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
            def graph(images):
                return {"scores": tf.math.bessel_i0(tf.cast(images, tf.float32))}

            module = tf.Module()
            module.graph = graph
            tf.saved_model.save(module, str(tmp_path / name), signatures={name: graph})
            self.loaded = tf.saved_model.load(str(tmp_path / name))
            return self.loaded.signatures[name]

    with pytest.raises(ModelError, match="BesselI0"):
        write_litert(Lacking(), tmp_path / "lacking.tflite")  # type: ignore[arg-type]
