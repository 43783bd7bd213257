"""Detections as answers: the record, the predictor, the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnapp
from cnnapp.prediction.score_maps import draw_score_map
from cnnapp.results.writers import to_coco, to_rows
from drawings import draw_scene

NAMES = ("cat", "dog")
BOXES = np.float32([[1, 2, 11, 22], [30, 5, 39, 9]])


def found(scores=(0.9, 0.4), class_ids=(1, 0)) -> cnnapp.Detections:
    return cnnapp.Detections("a.png", BOXES, np.float32(scores), np.array(class_ids), NAMES)


def test_objects_are_given_one_by_one():
    first, second = found()
    assert (first.class_name, first.class_id, first.box) == ("dog", 1, (1, 2, 11, 22))
    assert second.score == pytest.approx(0.4)
    assert [each.class_name for each in found().above(0.5)] == ["dog"]


def test_the_line_names_what_was_found():
    assert str(found()) == "a.png: 2 objects: dog (90.0 %) at 1, 2, 11, 22; cat (40.0 %) at 30, 5, 39, 9"
    assert str(found().above(0.95)) == "a.png: no object"


@pytest.mark.parametrize(
    "wrong", [{"scores": (0.9,)}, {"scores": (0.9, 1.4)}, {"class_ids": (0, 2)}, {"class_ids": (-1, 0)}]
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"scores|class_ids"):
        found(**wrong)


def test_records_for_others():
    assert json.loads(json.dumps(found().to_json()))["objects"][0]["box"] == [1, 2, 11, 22]
    assert to_coco([found()])[1] == {
        "image_id": "a.png", "category_id": 1, "bbox": [30, 5, 9, 4], "score": pytest.approx(0.4),
    }  # fmt: skip
    rows = to_rows([found()], [{"source": "b", "error": "bad"}], NAMES, "detection")
    assert rows[1] == ["a.png", "dog", "0.900000", "1.00", "2.00", "11.00", "22.00", ""]
    assert {len(row) for row in rows} == {8}


def test_boxes_are_drawn_where_they_are():
    picture = found().draw(Image.new("RGB", (50, 40)), side=50)
    assert picture.size == (50, 40)
    drawn = np.asarray(picture).any(-1)
    assert drawn[2:22, 1].all()
    assert drawn[21, 1:11].all()
    assert not drawn[25:, :].any()


@pytest.fixture
def model(detectors: Path) -> cnnapp.Predictor:
    return cnnapp.load("scattered")


def test_the_predictor_answers_with_boxes(model):
    picture, truth = draw_scene(5)
    answer = model.predict(picture)[0]
    assert isinstance(answer, cnnapp.Detections)
    assert len(answer.above(0.5)) >= len(truth) - 1
    assert len(model.predict(picture, score_threshold=0.0)[0]) > len(answer)
    with pytest.raises(cnnapp.ConfigError, match="score_threshold"):
        model.predict(picture, score_treshold=0.1)
    assert model.verify() <= 1e-5


def test_the_score_map_is_high_at_objects_and_low_elsewhere(model):
    picture, truth = draw_scene(5)
    scores = model.score_map(picture)
    assert scores.shape == (14, 18, 2)
    (kind, (left, top, right, bottom)) = truth[0]
    row, column = int((top + bottom) / 8), int((left + right) / 8)
    assert scores[row, column, kind] == scores[row - 1 : row + 2, column - 1 : column + 2, kind].max() or (
        scores[row - 1 : row + 2, column - 1 : column + 2, kind].max() > 0.3
    )
    assert np.median(scores) < 0.05
    assert draw_score_map(model, picture, kind).size[0] >= picture.width


def test_all_windows_at_once_are_certified_to_be_each_window_alone(model, run):
    found = model.certify()
    assert found.relative_difference < 1e-4
    assert found.size == (14, 18)
    assert found.compared == 14 * 18
    status, text = run("verify", "scattered", "--quick")
    assert (status, "speed-up" in text) == (0, True)


def test_a_scan_that_is_not_its_windows_is_no_success(model, run, monkeypatch: pytest.MonkeyPatch):
    honest = type(model._served).run

    def blurred(served, signature, **inputs):
        outputs = honest(served, signature, **inputs)
        if signature == "windows" and outputs["outputs"].shape[1] > 1:
            outputs["outputs"] *= 1.001
        return outputs

    monkeypatch.setattr(type(model._served), "run", blurred)
    with pytest.raises(cnnapp.ModelError, match="each window alone"):
        model.certify()
    status, text = run("verify", "scattered", "--quick")
    assert (status, "each window alone by" in text) == (1, True)


def test_a_classifier_has_no_score_map(models: Path):
    with pytest.raises(cnnapp.ModelError, match="only detection"):
        cnnapp.load("shapes").score_map(Image.new("RGB", (9, 9)))


@pytest.fixture
def run(detectors: Path, command_line):
    """Run a command line; return exit status and all output."""

    def both(*arguments: object) -> tuple[int, str]:
        status, out, err = command_line(*arguments)
        return status, out + err

    return both


def test_predict_writes_every_form(run, tmp_path: Path):
    draw_scene(5)[0].save(tmp_path / "five.png")
    arguments = ["--json", "a.json", "--csv", "a.csv", "--coco", "a.coco.json", "--draw", "drawn"]
    status, text = run("predict", "scattered", "five.png", *arguments)
    assert status == 0, text
    assert "five.png: " in text
    objects = json.loads((tmp_path / "a.json").read_text())["answers"][0]["objects"]
    assert objects
    assert len(json.loads((tmp_path / "a.coco.json").read_text())) == len(objects)
    assert len(list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))) == len(objects)
    with Image.open(tmp_path / "drawn" / "0001-five.png") as drawn:
        assert drawn.size[0] >= 72
    status, text = run("predict", "scattered", "five.png", "--score", "1", "--scales", "1,0.5")
    assert (status, "no object" in text) == (0, True)


def test_coco_results_of_a_classifier_are_refused(run, models: Path, tmp_path: Path):
    draw_scene(5)[0].save(tmp_path / "five.png")
    status, text = run("predict", "shapes", "five.png", "--coco", "a.json")
    assert (status, "for classification" in text) == (2, True)


def test_evaluate_check_and_list_know_detection(run, scattered: Path, tmp_path: Path):
    status, text = run("evaluate", "scattered", "--data", scattered, "--split", "all", "--protocol", "uiuc")
    assert status == 0, text
    report = json.loads((tmp_path / "reports" / "scattered-1" / "report.json").read_text())
    assert report["images"] == 208
    assert report["uiuc"]["equal_error"]["recall"] > 0.8
    status, text = run("check", scattered)
    assert (status, "208 images" in text or "208" in text) == (0, True)
    status, text = run("list")
    assert "AP50" in text
    status, text = run("evaluate", "scattered", "--data", scattered, "--protocol", "coca")
    assert (status, "coco" in text) == (2, True)


def test_wrong_training_options_are_said_at_once(run):
    status, text = run("train", "detection", "--data", "scenes", "--name", "x", "--conv", "unshared")
    assert (status, "conv" in text) == (2, True)


@pytest.mark.slow
def test_a_detector_of_today_is_written_for_litert(run):
    status, out = run("export", "scattered", "--format", "litert")
    assert status == 0
    assert "of a box" in out
    assert Path("exports/scattered-1-float16.tflite").is_file()
