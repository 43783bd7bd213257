"""Where models are: those of the working directory, then the installed ones; one folder alone where it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnapp.prediction import model_paths
from pipelines.artifacts.model_card import CARD
from pipelines.core.errors import ModelError
from places import ROOT


def make(folder: Path, *models: str) -> Path:
    """Make folders that look like saved models."""
    for model in models:
        (folder / model).mkdir(parents=True)
        (folder / model / CARD).write_text("{}")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, where no variable says where models are."""
    monkeypatch.delenv(model_paths.VARIABLE, raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def shipped(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed models."""
    folder = make(tmp_path / "installed", "digits/1", "digits/2", "birds/1")
    monkeypatch.setattr(model_paths, "installed", lambda: folder)
    return folder


def test_models_are_written_to_the_working_directory_wherever_the_code_is(here: Path):
    assert model_paths.root() == Path("saved_models")
    assert not (here / "saved_models").exists()  # it is made when something is written
    assert model_paths.installed() == ROOT / "saved_models"
    assert model_paths.places() == [Path("saved_models"), ROOT / "saved_models"]


def test_a_checkout_is_no_second_place_in_itself(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(model_paths.VARIABLE, raising=False)
    monkeypatch.chdir(ROOT)
    assert model_paths.places() == [Path("saved_models")]


def test_models_packed_with_the_package_are_the_installed_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = tmp_path / "site" / "cnnapp" / "prediction" / "model_paths.py"
    monkeypatch.setattr(model_paths, "__file__", str(module))
    make(tmp_path / "site" / "saved_models", "strange/1")
    assert model_paths.installed() == tmp_path / "site" / "saved_models"
    make(tmp_path / "site" / "cnnapp" / "saved_models", "digits/1")
    assert model_paths.installed() == tmp_path / "site" / "cnnapp" / "saved_models"


def test_installed_models_are_found_where_the_working_directory_has_none(shipped: Path):
    assert model_paths.names() == {"birds": [1], "digits": [1, 2]}
    assert model_paths.resolve("digits") == shipped / "digits" / "2"
    assert model_paths.resolve("digits/1") == shipped / "digits" / "1"


def test_a_model_of_the_working_directory_hides_the_installed_one_of_its_name(here: Path, shipped: Path):
    make(here / "saved_models", "digits/1", "own/3")
    mine = Path("saved_models")
    assert model_paths.names() == {"birds": [1], "digits": [1], "own": [3]}
    assert model_paths.listed() == ["birds/1", "digits/1", "own/3"]
    assert model_paths.homes() == {"birds": shipped / "birds", "digits": mine / "digits", "own": mine / "own"}
    assert model_paths.resolve("digits") == mine / "digits" / "1"
    assert model_paths.resolve("birds/1") == shipped / "birds" / "1"
    with pytest.raises(ModelError, match=r"unknown version of digits 'digits/2'; available: digits/1"):
        model_paths.resolve("digits/2")  # another model's second version would be no version of this one
    assert model_paths.resolve(shipped / "digits") == shipped / "digits" / "2"  # its path leads to it


def test_a_folder_without_versions_hides_nothing(here: Path, shipped: Path):
    (here / "saved_models" / "digits").mkdir(parents=True)  # as a training leaves it that is under way
    assert model_paths.resolve("digits") == shipped / "digits" / "2"


def test_a_folder_that_is_named_is_the_only_one(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = make(tmp_path / "named", "own/1")
    monkeypatch.setenv(model_paths.VARIABLE, str(folder))
    assert (model_paths.root(), model_paths.places()) == (folder, [folder])
    assert model_paths.listed() == ["own/1"]
    with pytest.raises(ModelError, match=r"unknown saved model 'digits'; available: own"):
        model_paths.resolve("digits")


def test_an_empty_variable_names_nothing(shipped: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(model_paths.VARIABLE, "")
    assert model_paths.places() == [Path("saved_models"), shipped]


def test_a_folder_given_by_the_caller_is_the_only_one(here: Path, shipped: Path, tmp_path: Path):
    make(here / "saved_models", "digits/9")
    other = make(tmp_path / "other", "digits/4")
    assert model_paths.resolve("digits", other) == other / "digits" / "4"
    assert model_paths.names(other) == {"digits": [4]}


def test_without_any_model_both_places_are_named(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(model_paths, "installed", lambda: tmp_path / "none")
    with pytest.raises(ModelError, match=rf"digits: .*No saved models in saved_models and {tmp_path / 'none'}\. Train"):
        model_paths.resolve("digits")


def test_files_beside_the_models_are_passed_over(shipped: Path):
    (shipped / "notes.txt").write_text("")
    (shipped / "empty").mkdir()
    (shipped / ".trash" / "old").mkdir(parents=True)
    assert list(model_paths.homes()) == ["birds", "digits"]
