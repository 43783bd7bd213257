"""`cnnapp evaluate --card`: what an earlier version did not measure comes onto the card of a saved model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cards import edit_card
from drawings import draw_scene
from pipelines.artifacts import manifest
from pipelines.artifacts.model_card import CARD, read_card
from pipelines.data import detection
from places import ROOT


def saved(trained, root: Path, forget: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy a model as an earlier version would have saved it, without a figure; return its card."""
    copy = Path(shutil.copytree(trained.path, root / "saved" / trained.card.name / "1"))
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(root / "saved"))
    change(copy / CARD, lambda metrics: metrics["test"].pop(forget))
    return copy / CARD


def change(card: Path, how: Callable[[dict], object]) -> None:
    edit_card(card.parent, lambda record: how(record["metrics"]))


@pytest.mark.parametrize(
    ("fixture", "data", "figure"),
    [
        ("trained", "shapes", "calibration"),
        ("detector", "scattered", "precision_recall"),
        ("segmenter", "painted", "calibration"),
    ],
)
def test_a_card_gets_what_it_lacks(
    fixture: str,
    data: str,
    figure: str,
    request: pytest.FixtureRequest,
    command_line,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    model, folder = request.getfixturevalue(fixture), request.getfixturevalue(data)
    card = saved(model, tmp_path, figure, monkeypatch)
    status, out, err = command_line("evaluate", model.card.name, "--data", folder, "--card")
    assert status == 0, err
    assert f"reproduced; added {figure}" in out
    assert card.read_bytes() == (model.path / CARD).read_bytes()
    status, out, _ = command_line("verify", model.card.name, "--quick")
    assert (status, f"{len(model.card.files) + 1} files match the hashes" in out) == (0, True)


def test_a_card_that_has_all_is_left_as_it_is(models: Path, trained, shapes: Path, command_line):
    before = (trained.path / CARD).stat().st_mtime_ns
    for part in ("validation", "test"):
        status, out, _ = command_line("evaluate", "shapes", "--data", shapes, "--split", part, "--card")
        assert (status, "nothing to add" in out) == (0, True)
    status, out, _ = command_line("evaluate", "shapes", "--data", shapes)
    assert (status, "card:" in out) == (0, False)
    assert (trained.path / CARD).stat().st_mtime_ns == before


def test_a_card_that_disagrees_is_left_as_it_is(
    trained, shapes: Path, command_line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    card = saved(trained, tmp_path, "calibration", monkeypatch)
    change(card, lambda metrics: metrics["test"].update(log_loss=0.25))
    before = card.read_bytes()
    status, _, err = command_line("evaluate", "shapes", "--data", shapes, "--card")
    assert status == 1
    assert "and 0.25 on its card; the card is unchanged" in " ".join(err.split())
    assert card.read_bytes() == before
    assert (Path("reports") / "shapes-1" / "report.html").is_file()


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--split", "all"], 2, "none for all to add to"),
        (["--split", "train"], 2, "none for train to add to"),
        (["--seed", "3"], 1, "is not the data that shapes/1 was measured on"),
        (["--scales", "1"], 2, "leave out --scales"),
        (["--test", "digits"], 2, "--test: is for detection and segmentation"),
    ],
)
def test_what_does_not_belong_on_a_card_is_refused(
    options: list[str],
    status: int,
    message: str,
    trained,
    shapes: Path,
    command_line,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    card = saved(trained, tmp_path, "calibration", monkeypatch)
    before = card.read_bytes()
    found, _, err = command_line("evaluate", "shapes", "--data", shapes, "--card", *options)
    assert found == status
    assert message in " ".join(err.split())
    assert card.read_bytes() == before


def test_data_that_the_card_names_need_not_be_said(models: Path, command_line, monkeypatch: pytest.MonkeyPatch):
    status, _, err = command_line("evaluate", "shapes")
    assert status == 2
    assert "shapes/1 was trained on shapes, and its card does not say where that lies" in " ".join(err.split())
    asked: list = []
    monkeypatch.setattr("cnnapp.reports.html_report._load", lambda task, card, data, *rest: asked.append(data) or 1 / 0)
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(ROOT / "saved_models"))
    for name, source in (("digits", "digits"), ("fashion", "tfds:fashion_mnist"), ("digit-scenes", "scenes")):
        with pytest.raises(ZeroDivisionError):
            command_line("evaluate", name)
        assert asked.pop() == source


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """A few more images of discs and crosses with boxes, in parts of no matter."""
    root = tmp_path / "street"
    for kind in ("images", "labels"):
        (root / kind / "test").mkdir(parents=True)
    for number in range(5):
        picture, found = draw_scene(7000 + number)
        picture.save(root / "images" / "test" / f"{number}.png")
        sides = (picture.width, picture.height)
        centres = [(kind, [(a + b) / 2 for a, b in zip(box[:2], box[2:], strict=True)], box) for kind, box in found]
        lines = [
            f"{kind} {x / sides[0]} {y / sides[1]} {(box[2] - box[0]) / sides[0]} {(box[3] - box[1]) / sides[1]}"
            for kind, (x, y), box in centres
        ]
        (root / "labels" / "test" / f"{number}.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text("test: images/test\nnames: [cross, disc]\n")
    return root


@pytest.mark.slow
def test_so_does_the_card_of_a_model_that_was_tested_on_another_set(
    detector, scattered: Path, street: Path, command_line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    card = saved(detector, tmp_path, "precision_recall", monkeypatch)
    status, out, err = command_line("evaluate", "scattered", "--data", scattered, "--test", street, "--report", "both")
    assert status == 0, err
    status, out, err = command_line("evaluate", "scattered", "--data", street, "--split", "all", "--report", "alone")
    assert status == 0, err
    both, alone = (json.loads(Path(name, "report.json").read_text()) for name in ("both", "alone"))
    assert both["images"] == 5
    assert both.pop("title") != alone.pop("title")
    assert both == alone

    record = json.loads(card.read_text())
    record["data"]["fingerprint"] = detection.load(str(scattered), test=str(street)).fingerprint
    record["metrics"]["test"] = {name: value for name, value in both.items() if name != "precision_recall"}
    card.write_text(json.dumps(record))
    manifest.seal(card.parent)
    status, _, err = command_line("evaluate", "scattered", "--data", scattered, "--card")
    assert (status, "is not the data" in " ".join(err.split())) == (1, True)
    status, out, err = command_line("evaluate", "scattered", "--data", scattered, "--test", street, "--card")
    assert status == 0, err
    assert "added precision_recall" in out
    assert read_card(card.parent).metrics["test"]["precision_recall"] == both["precision_recall"]
