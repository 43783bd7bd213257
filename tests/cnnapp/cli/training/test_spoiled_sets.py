"""Images that cannot be used: `train`, `check` and `evaluate` name the same ones in the same words."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from places import ROOT
from small_sets import MADE, spoil


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNAPP_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", ["classification", "detection", "segmentation"])
def test_training_and_check_name_the_same_images_in_the_same_words(name: str, tmp_path: Path, command_line):
    root = MADE[name](tmp_path / "set")
    bad = spoil(name, root)
    if name == "segmentation":
        mask = root / "test" / "masks" / "3.png"
        Image.new("L", (9, 9)).save(mask)
        bad[mask] = "is 9 x 9 pixels (width x height), but its image 3.png is 50 x 37; save the mask in the size"
    status, _, err = command_line("train", name, "--data", root, "--name", "x")
    assert status == 1
    refused = set(re.findall(r"^  (\S+: .*)$", err, re.MULTILINE))
    assert len(refused) == len(bad)
    assert not Path("saved_models").exists()
    status, out, _ = command_line("check", root, "--task", name)
    listed = set(re.findall(r"^error (.*)$", out, re.MULTILINE))
    assert status == 1
    assert refused <= listed
    assert all(any(one.startswith(f"{path}: {reason}") for one in refused) for path, reason in bad.items())


def test_a_set_that_was_checked_is_trained_without_a_word_of_it(tmp_path: Path, command_line):
    root = MADE["classification"](tmp_path / "set")
    status, out, _ = command_line("check", root)
    assert status == 0
    assert "error" not in out


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Folders of handwritten digits, of which the shipped model was not trained."""
    from pipelines import data

    root, splits = tmp_path / "digits", data.load("digits", seed=1)
    for part in ("train", "validation", "test"):
        seen: dict[int, int] = {}
        for example in splits[part].examples():
            number = seen[example.label] = seen.get(example.label, 0) + 1
            if number <= 3:
                folder = root / part / splits.classes[example.label]
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{number}.png").write_bytes(example.image)
    return root


def test_evaluation_names_all_or_measures_the_others(
    digits: Path, tmp_path: Path, command_line, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(ROOT / "saved_models"))
    (digits / "test" / "3" / "1.png").write_bytes(b"")
    (digits / "test" / "8" / "2.png").write_text("text")
    (digits / "train" / "8" / "2.png").write_text("not needed")
    arguments = ("evaluate", "digits", "--data", digits, "--report", tmp_path / "report")
    status, _, err = command_line(*arguments)
    assert status == 1
    assert "2 of 30 images cannot be used" in err
    assert f"{digits}/test/3/1.png: the file is empty" in err
    assert f"{digits}/test/8/2.png: is not an image that can be read" in err
    assert not (tmp_path / "report").exists()
    status, out, err = command_line(*arguments, "--skip-bad-images")
    assert status == 0, err
    assert re.search(r"skipped images\W+2\b", out)
    record = json.loads((tmp_path / "report" / "report.json").read_text())
    assert record["images"] == 28
    assert [one["image"] for one in record["skipped"]["images"]] == ["test/3/1.png", "test/8/2.png"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Skipped images: 2 that cannot be used" in page
    assert "test/8/2.png" in page
    status, _, err = command_line(*arguments, "--split", "all")
    assert "3 of 90 images cannot be used" in err


def test_images_that_only_tensorflow_reads_are_drawn_in_reports(tmp_path: Path):
    """What is decoded by the graph is shown as it decodes it; Pillow need not read it."""
    from pipelines.classification.auto_config import _look_at
    from pipelines.classification.plots import Mistake, mistakes_picture
    from pipelines.data import Example

    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    text = b"tEXtkey\0value"
    data[33:33] = (len(text) - 4).to_bytes(4, "big") + text + b"\0\0\0\0"  # a comment with a wrong checksum
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(data))
    assert mistakes_picture([Mistake(bytes(data), "a")]).png
    assert _look_at([Example("a", bytes(data), 0)]) == ([40], [40], False)
