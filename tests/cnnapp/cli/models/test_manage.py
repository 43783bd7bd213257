"""Saved models: renamed, deleted and put back, pinned. All on copies of one that ships."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import cnnapp
from cards import as_earlier_versions
from cnnapp.cli.models import trash
from cnnapp.prediction import model_paths, pins
from pipelines.artifacts.model_card import WARMUP, check_files, doubts, read_card, write_card
from pipelines.storage.leftovers import beside
from places import ROOT


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with digits/1, digits/2 and fashion/1."""
    root = tmp_path / "saved"
    for source, name, version in (("digits", "digits", 1), ("digits-lenet5", "digits", 2), ("digits", "fashion", 1)):
        copy = Path(shutil.copytree(ROOT / "saved_models" / source / "1", root / name / str(version)))
        write_card(copy, read_card(copy).model_copy(update={"name": name, "version": version}))
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(root))
    return root


def warmed_up(directory: Path) -> set[str]:
    """Return the names of models in the warm-up requests of a saved model."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    records = tf.data.TFRecordDataset(str(directory / WARMUP)).as_numpy_iterator()
    return {prediction_log_pb2.PredictionLog.FromString(each).predict_log.request.model_spec.name for each in records}


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_models_lists_as_list_does(models: Path, command_line):
    status, out, _ = command_line("models")
    assert status == 0
    assert command_line("list")[1] == command_line("models", "list")[1] == out
    assert "digits/2" in out
    assert "99.64 %" in out


def test_a_renamed_model_is_whole_under_its_new_name(models: Path, command_line):
    before = {path: path.read_bytes() for path in (models / "digits" / "1" / "variables").iterdir()}
    pins.pin(models / "digits", 1)
    status, out, _ = command_line("models", "rename", "digits", "numerals")
    assert (status, out.strip()) == (0, str(models / "numerals"))
    assert list(model_paths.names()) == ["fashion", "numerals"]
    for version in ("1", "2"):
        directory = models / "numerals" / version
        card = read_card(directory)
        assert (card.name, str(card.version), check_files(directory, card)) == ("numerals", version, [])
        assert warmed_up(directory) == {"numerals"}
    assert [(models / "numerals" / "1" / "variables" / path.name).read_bytes() for path in before] == [*before.values()]
    assert model_paths.resolve("numerals") == models / "numerals" / "1"  # the pin went along
    assert sorted(path.name for path in models.iterdir()) == ["fashion", "numerals"]  # nothing is left behind
    assert command_line("verify", "--quick", "numerals")[0] == 0


@pytest.mark.parametrize(
    ("old", "new", "status", "said"),
    [
        ("digits", "fashion", 1, "is the name of another saved model"),
        ("digit", "x", 1, "Did you mean 'digits'?"),
        ("digits", "../x", 2, "name: received '../x'"),
        ("digits", "7", 2, "not a number alone"),
    ],
)
def test_a_name_that_cannot_be_is_refused(old, new, status, said, models: Path, command_line):
    before = files(models)
    found, _, err = command_line("models", "rename", old, new)
    assert (found, said in err) == (status, True), err
    assert files(models) == before


def test_a_renamed_model_has_a_manifest_where_it_had_one_and_no_signature(models: Path, command_line):
    (models / "digits" / "1" / "model.sig").write_text("signed")
    as_earlier_versions(models / "digits" / "2")
    status, _, err = command_line("models", "rename", "digits", "numerals")
    assert status == 0
    assert "sign numerals/1 again" in err
    assert not (models / "numerals" / "1" / "model.sig").exists()
    assert doubts(models / "numerals" / "1") == []
    assert "was saved without manifest.json" in doubts(models / "numerals" / "2")[0]


def test_what_a_killed_command_left_is_cleared_away(models: Path, command_line):
    left = beside(models / "numerals")
    left = left.with_name(left.name.replace(left.name.split("-")[1], "00000000"))
    shutil.copytree(models / "digits", left)
    assert list(model_paths.names()) == ["digits", "fashion"]
    assert command_line("models", "rename", "digits", "numerals")[0] == 0
    assert sorted(path.name for path in models.iterdir()) == ["fashion", "numerals"]


def test_a_damaged_model_is_not_renamed(models: Path, command_line):
    (models / "digits" / "2" / "saved_model.pb").write_bytes(b"other")
    before = files(models)
    status, _, err = command_line("models", "rename", "digits", "numerals")
    assert (status, "saved_model.pb: differs" in err) == (1, True)
    assert files(models) == before


def test_what_is_deleted_comes_back(models: Path, command_line):
    before = files(models)
    status, out, _ = command_line("models", "delete", "digits/1", "fashion")
    assert (status, "Deleted digits/1, fashion." in out) == (0, True)
    assert model_paths.names() == {"digits": [2]}
    assert command_line("models", "delete", "digits")[0] == 0
    assert model_paths.names() == {}
    assert "Put back digits." in command_line("models", "undo")[1]
    assert model_paths.names() == {"digits": [2]}
    assert command_line("models", "undo")[0] == 0
    assert files(models) == before
    status, _, err = command_line("models", "undo")
    assert (status, "the trash is empty" in err) == (1, True)


def test_what_is_there_again_is_not_written_over(models: Path, command_line):
    command_line("models", "delete", "fashion")
    shutil.copytree(models / "digits", models / "fashion")
    status, _, err = command_line("models", "undo")
    assert (status, "fashion: is there again" in err) == (1, True)
    shutil.rmtree(models / "fashion")
    assert command_line("models", "undo")[0] == 0
    assert read_card(models / "fashion" / "1").classes[0] == "0"


def test_the_only_version_is_the_model(models: Path, command_line):
    assert "Deleted fashion." in command_line("models", "delete", "fashion/1")[1]
    assert not (models / "fashion").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [("digits/3", "unknown version of digits 'digits/3'; available: digits/1, digits/2"), ("digts", "'digits'")],
)
def test_what_is_not_there_is_not_deleted(name: str, said: str, models: Path, command_line):
    status, _, err = command_line("models", "delete", "fashion", name)
    assert (status, said in err) == (1, True), err
    assert "fashion" in model_paths.names()


@pytest.mark.parametrize(
    ("record", "said"),
    [("{", "cannot be read"), ("[]", "cannot be read"), ('{"names": ["../../x"], "when": ""}', "names '../../x'")],
)
def test_a_record_of_the_trash_that_was_altered_moves_nothing(record: str, said: str, models: Path, command_line):
    command_line("models", "delete", "fashion")
    (path,) = (models / trash.TRASH).glob("*/deleted.json")
    path.write_text(record)
    for command in (["undo"], ["empty-trash", "-y"]):
        status, _, err = command_line("models", *command)
        assert (status, said in err) == (1, True), err
    assert (path.parent / "fashion" / "1" / "saved_model.pb").is_file()


def test_a_deletion_that_was_killed_is_undone(models: Path, command_line):
    command_line("models", "delete", "digits/1", "fashion")
    (path,) = (models / trash.TRASH).glob("*/deleted.json")
    (path.parent / "fashion").rename(models / "fashion")  # as if it was not moved yet
    assert command_line("models", "undo")[0] == 0
    assert model_paths.names() == {"digits": [1, 2], "fashion": [1]}


def test_the_trash_is_emptied_after_asking(models: Path, command_line, monkeypatch: pytest.MonkeyPatch):
    command_line("models", "delete", "fashion")
    asked: list[str] = []

    def answer(question: str, abort: bool) -> None:
        asked.append(question)

    monkeypatch.setattr("typer.confirm", answer)
    status, out, _ = command_line("models", "empty-trash")
    assert (status, "fashion" in out, len(asked)) == (0, True, 1)
    assert not (models / trash.TRASH).exists()
    assert "The trash is empty." in command_line("models", "empty-trash")[1]


def meant_by(name: str | Path) -> int:
    return read_card(model_paths.resolve(name)).version


def test_a_pinned_version_is_what_the_name_means(models: Path, command_line):
    assert meant_by("digits") == 2
    assert command_line("models", "pin", "digits", 1)[1] == "digits now means digits/1.\n"
    assert meant_by("digits") == 1
    assert meant_by(models / "digits") == 1
    assert cnnapp.load("digits").card.version == 1
    assert meant_by("digits/2") == 2
    # As the page offers them, and takes the first for the name.
    assert model_paths.listed() == ["digits/1", "digits/2", "fashion/1"]
    assert "digits/1 (pinned)" in command_line("models")[1]
    status, _, err = command_line("models", "delete", "digits/1")
    assert (status, "is pinned" in err) == (2, True)
    assert command_line("models", "unpin", "digits")[1] == "digits now means digits/2.\n"
    assert meant_by("digits") == 2
    assert command_line("models", "unpin", "digits")[1] == "digits was not pinned.\n"


def test_models_of_the_installation_stay_as_they_are(tmp_path: Path, command_line, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CNNAPP_SAVED_MODELS", raising=False)
    for words in (["rename", "digits", "x"], ["delete", "digits"], ["pin", "digits", 1]):
        status, _, err = command_line("models", *words)
        assert (status, "came with the installation" in err) == (1, True), err


def test_a_pin_that_holds_nothing_is_said(models: Path, command_line):
    status, _, err = command_line("models", "pin", "digits", 3)
    assert (status, "received version 3; available: 1, 2" in err) == (1, True)
    pins.pin(models / "digits", 1)
    shutil.rmtree(models / "digits" / "1")
    with pytest.raises(cnnapp.ModelError, match="pinned to version 1, which is not there; available: 2"):
        model_paths.resolve("digits")
    assert command_line("models", "unpin", "digits")[0] == 0
    (models / "digits" / pins.PIN).write_text("two")
    with pytest.raises(cnnapp.ModelError, match="holds 'two'"):
        model_paths.resolve("digits")
