"""The global options that say where models and runs lie, and the list of both places."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cnnapp.prediction import model_paths
from pipelines.core import workspace
from places import ROOT


@pytest.fixture
def run(command_line, monkeypatch: pytest.MonkeyPatch):
    """The command line in an empty folder; what it puts into the environment is taken out again."""
    for variable in (workspace.SAVED_MODELS, workspace.RUNS):
        monkeypatch.setenv(variable, "")
    return command_line


@pytest.mark.parametrize(
    "words",
    [["--saved-models", "mine", "list"], ["list", "--saved-models", "mine"], ["models", "list", "--saved-models=mine"]],
)
def test_the_folder_of_saved_models_is_the_only_one_for_what_is_started_too(run, tmp_path: Path, words: list[str]):
    shutil.copytree(ROOT / "saved_models" / "digits-lenet5", tmp_path / "mine" / "small")
    status, out, _ = run(*words)
    assert status == 0
    assert "small/1" in out
    assert "digits" not in out.replace("│ digits ", "")  # but as the data that it was trained on
    assert os.environ[workspace.SAVED_MODELS] == str(tmp_path / "mine")
    assert model_paths.root() == tmp_path / "mine"


def test_a_folder_without_models_is_named_with_what_to_do(run, tmp_path: Path):
    status, out, _ = run("--saved-models", "none", "list")
    assert (status, out.split(". ")[0]) == (0, f"No saved models in {tmp_path / 'none'}")
    status, _, err = run("--saved-models", "none", "verify", "digits")
    assert status == 1
    assert f"No saved models in {tmp_path / 'none'}" in err
    assert "--saved-models" in err


def test_both_places_are_listed_and_what_is_hidden_is_said(run, tmp_path: Path):
    shutil.copytree(ROOT / "saved_models" / "digits", tmp_path / "saved_models" / "digits")
    (tmp_path / "saved_models" / "broken" / "1").mkdir(parents=True)
    status, out, err = run("list")
    assert status == 0
    first, second = out.split(f"Saved models in {ROOT / 'saved_models'}")
    assert first.startswith("Saved models in saved_models")
    assert "digits/1" in first
    assert "hidden" not in first
    assert "digits/1 (hidden by the one above)" in second
    assert "digits-lenet5/1 " in second
    assert "broken/1: holds no model_card.json" in err


@pytest.mark.parametrize("way", ["option", "variable"])
def test_records_of_training_go_where_they_are_told(run, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from pipelines.training import recipe

    given: dict[str, object] = {}

    def train(task: object, name: str, **options: object) -> object:
        given.update(options)
        return type("Trained", (), {"path": Path("there")})

    monkeypatch.setattr(recipe, "train", train)
    before = ["--runs", "elsewhere"] if way == "option" else []
    if way == "variable":
        monkeypatch.setenv(workspace.RUNS, str(tmp_path / "elsewhere"))
    status, _, err = run(*before, "train", "classification", "--data", "digits", "--name", "mine")
    assert status == 0, err
    assert given["log_dir"] == tmp_path / "elsewhere" / "mine"
    assert given["root"] == Path("saved_models")


def test_without_any_word_they_go_to_the_working_directory(run):
    assert (workspace.saved_models(), workspace.runs()) == (Path("saved_models"), Path("runs"))
