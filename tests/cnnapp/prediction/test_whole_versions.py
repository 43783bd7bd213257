"""Names stand for the newest version that is whole; what is broken is named. All on copies of a model that ships."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import cnnapp
from cards import as_earlier_versions
from cnnapp.prediction import model_paths, pins
from pipelines.artifacts.model_card import CARD, read_card, write_card
from pipelines.core.errors import ConfigError
from pipelines.reporting import notes
from places import ROOT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of digits/1, digits/2 and digits/3."""
    for version in (1, 2, 3):
        copy = Path(
            shutil.copytree(ROOT / "saved_models" / "digits" / "1", tmp_path / "saved" / "digits" / str(version))
        )
        write_card(copy, read_card(copy).model_copy(update={"version": version}))
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path / "saved"))
    notes.forget()
    return tmp_path / "saved" / "digits"


def without(name: str):
    return lambda directory: (directory / name).unlink()


def shorter(directory: Path) -> None:
    with (directory / "variables" / "variables.data-00000-of-00001").open("r+b") as file:
        file.truncate(1000)


def emptied(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.mkdir()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (without("saved_model.pb"), "saved_model.pb: is missing"),
        (without(CARD), f"{CARD}: is missing"),
        (without("manifest.json"), "manifest.json: is missing"),
        (
            lambda directory: shutil.rmtree(directory / "variables"),
            "variables/variables.data-00000-of-00001: is missing",
        ),
        (lambda directory: (directory / CARD).write_text("{"), f"{CARD}: differs"),
        (shorter, "variables/variables.data-00000-of-00001: differs"),
        (emptied, f"holds no {CARD}"),
    ],
)
def test_a_broken_newest_version_does_not_block_its_name(
    broken, said: str, home: Path, caplog: pytest.LogCaptureFixture, command_line
):
    if "manifest" in said:
        card = read_card(home / "3")
        write_card(home / "3", card.model_copy(update={"format": 2}))
    broken(home / "3")
    assert model_paths.resolve("digits") == home / "2"
    assert model_paths.resolve(home) == home / "2"
    (record,) = caplog.records
    assert record.message.startswith(f"{home / '3'}: is broken: ")
    assert said in record.message
    assert record.message.endswith("; digits/2 is used instead")
    assert model_paths.listed() == ["digits/2", "digits/3", "digits/1"]
    # Who names the broken one is told what is broken.
    status, _, err = command_line("verify", "--quick", "digits/3")
    assert (status, said in err) == (1, True), err
    status, out, err = command_line("list")
    assert (status, "digits/3" in out, "unreadable" in err) == (0, False, True)


def test_where_none_is_whole_the_newest_says_why(home: Path, command_line):
    for version in (1, 2, 3):
        (home / str(version) / "saved_model.pb").unlink()
    status, _, err = command_line("predict", "digits", "x.png")
    assert (status, "digits/3: saved_model.pb: is missing" in err) == (1, True), err


def test_models_of_earlier_versions_are_passed_over_as_well(home: Path):
    as_earlier_versions(home / "3")
    assert model_paths.resolve("digits") == home / "3"
    (home / "3" / "saved_model.pb").unlink()
    assert model_paths.resolve("digits") == home / "2"


def test_a_broken_version_is_not_pinned_and_a_pinned_one_is_not_passed_over(home: Path):
    pins.pin(home, 3)
    (home / "3" / "fingerprint.pb").write_bytes(b"x")
    assert model_paths.resolve("digits") == home / "3"
    with pytest.raises(cnnapp.ModelError, match=r"fingerprint.pb: differs"):
        cnnapp.load("digits")
    pins.unpin(home)
    with pytest.raises(cnnapp.ModelError, match=r"fingerprint.pb: differs from what was exported; it is not pinned"):
        pins.pin(home, 3)


def test_what_is_being_built_is_no_model(home: Path):
    shutil.copytree(home / "1", home.parent / ".renaming-abcd1234" / "1")
    (home / "٤").mkdir()
    (home / "04").mkdir()
    assert list(model_paths.names()) == ["digits"]
    assert model_paths.names()["digits"] == [1, 2, 3]


@pytest.mark.parametrize(
    "name", ["a" * 5000, "a\0b", "../" * 2000, "digits/1\0", "digits/4", "digits/../digits/9", "\udcff"]
)
def test_no_name_is_a_traceback(name: str, home: Path):
    with pytest.raises(cnnapp.ModelError):
        model_paths.resolve(name)


@pytest.mark.parametrize("name", ["..", "../x", "a b", "digits/../x", "digits/1/../../x", "digits/-1", "digits/x"])
def test_a_name_behind_a_service_stays_in_its_place(name: str):
    from cnnapp.prediction.remote_predictor import connect

    with pytest.raises(ConfigError, match=r"^(name|version): received"):
        connect("http://127.0.0.1:9", name)
