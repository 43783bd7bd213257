"""The command that writes a saved model in another format."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture
def run(models: Path, command_line):
    """Run a command line on the saved classifiers."""
    return command_line


def test_onnx_is_written_and_what_was_found_is_said(run):
    status, out, err = run("export", "shapes", "--format", "onnx")
    assert (status, err) == (0, "")
    path = Path("exports") / "shapes-1.onnx"
    assert path.stat().st_size > 1000
    assert f"{path}: " in out
    assert "weights in float32; the saved model has" in out
    assert "against the saved model: largest difference of a score" in out
    assert "the same classes" in out


@pytest.mark.parametrize(("flags", "weights"), [([], "float16"), (["--float32"], "float32"), (["--int8"], "int8")])
def test_weights_for_litert_are_chosen(run, flags: list[str], weights: str):
    status, out, _ = run("export", "shapes/1", "--format", "litert", *flags)
    assert status == 0
    assert f"weights in {weights};" in out
    assert zipfile.is_zipfile(Path("exports") / f"shapes-1-{weights}.tflite")


def test_a_file_that_is_there_is_replaced_by_one_that_is_proven(run, tmp_path: Path):
    path = tmp_path / "deep" / "model.tflite"
    path.parent.mkdir()
    path.write_text("old")
    assert run("export", "shapes", "--format", "litert", "--to", path)[0] == 0
    assert path.stat().st_size > 1000
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_an_error(run, tmp_path: Path):
    (tmp_path / "file").write_text("")
    status, _, err = run("export", "shapes", "--format", "litert", "--to", tmp_path / "file" / "model.tflite")
    assert status == 1
    assert "cannot be written" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["shapes", "--format", "onxx"],
            "available: litert, onnx, saved_model. Did you mean 'onnx'?",
        ),
        (["shapes", "--format", "onnx", "--int8"], "is written in float32"),
        (["shapes", "--format", "saved_model", "--int8"], "beside the other versions"),
        (["shapes", "--format", "onnx", "--float16"], "is written in float32"),
        (["shapes", "--format", "litert", "--int8", "--float32"], "choose one"),
    ],
)
def test_what_does_not_fit_is_said(run, arguments: list[str], message: str):
    status, _, err = run("export", *arguments)
    assert status == 2
    assert message in err
    assert not Path("exports").exists()


def test_a_model_that_does_not_exist_is_said(run):
    status, _, err = run("export", "shape", "--format", "onnx")
    assert status == 1
    assert "Did you mean 'shapes'?" in err


def test_a_missing_extra_is_said(run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    status, _, err = run("export", "shapes", "--format", "onnx")
    assert status == 2
    assert "pip install 'onnxruntime" in err


def test_a_saved_model_is_written_anew_beside_its_versions(models: Path, command_line, tmp_path: Path, monkeypatch):
    import shutil

    import cnnapp

    root = tmp_path / "models"
    shutil.copytree(models / "shapes" / "1", root / "shapes" / "1")
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(root))
    status, out, _ = command_line("export", "shapes", "--format", "saved_model")
    assert status == 0
    assert str(root / "shapes" / "2") in out
    assert "its results on the golden examples are those of" in out
    assert cnnapp.load("shapes").card.version == 2
    assert cnnapp.load("shapes").verify() <= 1e-5
