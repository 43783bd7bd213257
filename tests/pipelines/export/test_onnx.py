"""A saved model as ONNX: the same answers from ONNX Runtime alone, and nothing where they are not."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import onnx
import pytest
import tensorflow as tf

from pipelines.artifacts.served_model import ServedModel, as_numpy
from pipelines.core.errors import ConfigError, ModelError
from pipelines.export import onnx as onnx_format
from pipelines.export.onnx import open_onnx, write_onnx
from places import ROOT

MODELS = {"classification": "digits", "detection": "digit-scenes", "segmentation": "digit-segmentation"}
OUTPUTS = {
    "classification": {"scores", "class_ids", "class_names"},
    "detection": {"boxes", "scores", "class_ids", "class_names", "num_detections"},
    "segmentation": {"class_map", "confidence", "sizes"},
}


def served(task: str) -> ServedModel:
    return ServedModel(ROOT / "saved_models" / MODELS[task] / "1")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    return {task: write_onnx(served(task), folder / f"{task}.onnx").path for task in MODELS}


def asked(task: str) -> list[dict[str, np.ndarray]]:
    """Batches of several sizes, of the model's own images in other colours and scales."""
    folder = ROOT / "saved_models" / "digit-scenes" / "1" / "golden"
    scene = tf.io.decode_png((folder / "input-0.png").read_bytes(), channels=3).numpy()
    large = scene.repeat(2, 0).repeat(2, 1)[:151, :203]
    tinted = (large * np.array([0.9, 1.0, 0.6])).astype(np.uint8)
    batches = [scene[None], np.stack([large, tinted, large[::-1]]), scene[None, :61, :75], scene[None, :1, :1]]
    options = {name: np.array(value, np.float32) for name, value in served(task).card.input.get("options", {}).items()}
    found = [{"images": batch} | options for batch in batches]
    if options:
        others = {"scales": [1.3, 1.0, 0.6], "soft_nms_sigma": 0.4, "score_threshold": 0.05}
        found.append({"images": batches[1]} | options | {name: np.float32(value) for name, value in others.items()})
        found.append({"images": batches[0]} | options | {"score_threshold": np.float32(2.0)})
    return found


@pytest.mark.parametrize("task", MODELS)
def test_onnx_runtime_alone_gives_the_same_answers(task: str, written: dict[str, Path], tmp_path: Path):
    questions = asked(task)
    for number, each in enumerate(questions):
        np.savez(tmp_path / f"asked-{number}.npz", **each)
    code = """
        import sys
        for name in ("layers", "pipelines", "cnnapp", "ui", "keras", "tensorflow"):
            sys.modules[name] = None
        import numpy as np, onnxruntime, pathlib
        session = onnxruntime.InferenceSession(sys.argv[1])
        names = [output.name for output in session.get_outputs()]
        for path in sorted(pathlib.Path(".").glob("asked-*.npz")):
            with np.load(path) as inputs:
                found = dict(zip(names, session.run(None, dict(inputs))))
            plain = {name: values.astype(str) if values.dtype == object else values for name, values in found.items()}
            np.savez(path.name.replace("asked", "found"), **plain)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(written[task])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    model = served(task)
    for number, each in enumerate(questions):
        inputs = {name: tf.constant(value) for name, value in each.items()}
        expected = as_numpy(model.run("pixels", **inputs))
        found = np.load(tmp_path / f"found-{number}.npz")
        assert set(found) == OUTPUTS[task]
        for name, values in expected.items():
            if values.dtype == np.float32:
                assert found[name].dtype == np.float32
                np.testing.assert_allclose(found[name], values, atol=1e-3 if name == "boxes" else 1e-5, err_msg=name)
            else:
                np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("task", MODELS)
def test_a_file_says_what_it_is(task: str, written: dict[str, Path]):
    proto, card = onnx.load(written[task]), served(task).card
    onnx.checker.check_model(proto)
    texts = {entry.key: entry.value for entry in proto.metadata_props}
    assert (texts["name"], texts["version"], texts["task"], texts["weights"]) == (MODELS[task], "1", task, "float32")
    assert json.loads(texts["classes"]) == card.classes
    assert json.loads(texts["input"]) == card.input
    assert texts["saved_model_sha256"] == card.files["saved_model.pb"]
    assert 0 < json.loads(texts["largest_difference"])["score"] <= 1e-5
    assert proto.model_version == 1
    assert {entry.name for entry in proto.graph.input} == {"images", *card.input.get("options", {})}


def test_it_is_smaller_than_what_it_was_made_from(written: dict[str, Path]):
    for task, path in written.items():
        folder = served(task).directory
        before = sum(file.stat().st_size for file in (folder / "saved_model.pb", *(folder / "variables").iterdir()))
        assert path.stat().st_size < before
        assert list(path.parent.glob(".exporting-*")) == []


def test_a_conversion_that_gives_other_answers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    convert = onnx_format._convert

    def broken(model: ServedModel) -> onnx.ModelProto:
        proto = convert(model)
        kernel = max(proto.graph.initializer, key=lambda each: len(each.raw_data))
        values = onnx.numpy_helper.to_array(kernel) * np.float32(1.05)
        kernel.CopyFrom(onnx.numpy_helper.from_array(values, kernel.name))
        return proto

    monkeypatch.setattr(onnx_format, "_convert", broken)
    path = tmp_path / "exports" / "digits.onnx"
    with pytest.raises(ModelError, match=r"differs from the saved model: largest difference .* Nothing was written"):
        write_onnx(served("classification"), path)
    assert not path.parent.exists()


def test_what_onnx_runtime_does_not_read_is_refused():
    with pytest.raises(ModelError, match="does not read"):
        open_onnx(b"no model")


def test_operations_that_onnx_lacks_are_named(tmp_path: Path):
    """The card is that of a model."""

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

    with pytest.raises(ModelError, match="ONNX does not support: BesselI0"):
        write_onnx(Lacking(), tmp_path / "lacking.onnx")  # type: ignore[arg-type]
    assert not (tmp_path / "lacking.onnx").exists()


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ConfigError, match=r"needs tf2onnx, .*pip install 'tf2onnx>=1.16'$"):
        write_onnx(served("classification"), tmp_path / "digits.onnx")
