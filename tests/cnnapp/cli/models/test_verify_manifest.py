"""`cnnapp verify`: what is proven, what is wrong, and what cannot be told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cards import as_earlier_versions, edit_card
from cnnapp.cli.models.verify import NOT_VERIFIED
from places import ROOT


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of a saved model, to be altered."""
    return Path(shutil.copytree(ROOT / "saved_models" / "digits" / "1", tmp_path / "digits" / "1"))


def test_a_model_that_is_as_it_was_written_is_verified(copied: Path, command_line):
    status, out, err = command_line("verify", "--quick", copied)
    assert (status, err) == (0, "")
    assert "18 files match the hashes of the manifest, and there are no others" in out


def test_without_a_manifest_nothing_is_verified(copied: Path, command_line):
    as_earlier_versions(copied)
    status, out, err = command_line("verify", "--quick", copied)
    assert status == NOT_VERIFIED
    assert "17 files match the hashes on the card, which nothing proves itself" in out
    assert err.count("was saved without manifest.json") == 2  # the note, and the verdict
    assert "not verified" in err
    # It answers all the same, and says it once.
    image = next((copied / "golden").glob("*.png"))
    status, out, err = command_line("predict", copied, image)
    assert (status, err.count("was saved without manifest.json")) == (0, 1), err
    assert command_line("-q", "predict", copied, image)[2] == ""


def test_a_card_that_names_other_classes_is_not_verified(copied: Path, command_line):
    edit_card(copied, lambda record: record["classes"].__setitem__(7, "one"))
    status, _, err = command_line("verify", "--quick", copied)
    assert status == NOT_VERIFIED
    assert "calls class 7 'one', and the graph calls it '7'" in err
    image = copied / "golden" / "input-7.png"
    assert ": 7 (" in command_line("predict", copied, image)[1]


@pytest.mark.parametrize("name", ["model_card.json", "manifest.json", "assets/labels.txt", "golden/input-0.png"])
@pytest.mark.parametrize(
    "command", [["verify"], ["predict"], ["inspect"], ["export", "--format", "onnx"], ["evaluate"]]
)
def test_every_command_refuses_what_was_altered(command: list[str], name: str, copied: Path, command_line):
    data = (copied / name).read_bytes()
    (copied / name).write_bytes(data[:1] + bytes([data[1] ^ 1]) + data[2:])
    words = [command[0], copied, *command[1:]] + (["x.png"] if command == ["predict"] else [])
    status, _, err = command_line(*words)
    assert (status, name in err, "Traceback" in err) == (1, True, False), err


def test_an_extra_file_is_named(copied: Path, command_line):
    (copied / "assets.extra" / "more.bin").write_bytes(b"")
    status, _, err = command_line("verify", "--quick", copied)
    assert (status, "assets.extra/more.bin: is not in manifest.json" in err) == (1, True)
