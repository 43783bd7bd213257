"""Answers of segmentation from Python and the command line: areas, overlays, masks, COCO's run lengths."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

import cnnapp
from cnnapp.segmented import Segmentation


def answer(class_map, names=("background", "disc", "cross"), confidence=1.0) -> Segmentation:
    class_map = np.array(class_map, np.uint8)
    return Segmentation("a.png", class_map, np.full(class_map.shape, confidence, np.float32), names)


@pytest.mark.parametrize(
    ("class_map", "confidence"),
    [
        (np.zeros((2, 2), np.int64), np.zeros((2, 2))),
        (np.zeros(4, np.uint8), np.zeros(4)),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3))),
        (np.full((2, 2), 9, np.uint8), np.zeros((2, 2))),
    ],
)
def test_what_does_not_fit_is_refused(class_map, confidence):
    with pytest.raises(ValueError, match=r"class_map|confidence"):
        Segmentation("a.png", class_map, confidence.astype(np.float32), ("one", "two"))


def test_areas_are_counted_and_said():
    found = answer([[0, 0, 1], [0, 0, 2]])
    assert [(name, pixels) for name, pixels, _ in found.areas()] == [("background", 4), ("disc", 1), ("cross", 1)]
    assert str(found) == "a.png: 3 x 2 pixels: background 66.7 %, disc 16.7 %, cross 16.7 %"
    assert sum(share for *_, share in found.areas()) == pytest.approx(1)
    assert "background" in found._repr_html_()


def test_a_mask_file_holds_the_classes():
    class_map = np.random.default_rng(0).integers(0, 3, (9, 7)).astype(np.uint8)
    picture = Image.open(io.BytesIO(answer(class_map).mask_png()))
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture), class_map)


def test_run_lengths_are_those_of_coco():
    class_map = np.random.default_rng(1).integers(0, 3, (9, 7)).astype(np.uint8)
    records = answer(class_map, confidence=0.5).to_coco()
    assert [record["category_id"] for record in records] == [0, 1, 2]
    for record in records:
        found = coco_mask.decode(record["segmentation"])
        np.testing.assert_array_equal(found.astype(bool), class_map == record["category_id"])
        assert record["score"] == pytest.approx(0.5)
    json.dumps(answer(class_map).to_json())


def test_an_overlay_colours_what_is_shown():
    picture = np.full((4, 4, 3), 100, np.uint8)
    found = answer(np.diag([0, 1, 2, 1]))
    plain = np.asarray(found.draw(picture, opacity=1.0, side=4, legend=False))
    assert plain[0, 0].tolist() == [100, 100, 100]  # background stays
    assert plain[1, 1].tolist() == [128, 0, 0]
    only = np.asarray(found.draw(picture, opacity=1.0, shown=[2], side=4, legend=False))
    assert only[1, 1].tolist() == [100, 100, 100]
    assert only[2, 2].tolist() == [0, 128, 0]
    assert found.draw(picture, side=400).height > 400  # with a legend below


@pytest.fixture
def run(segmenters: Path, command_line):
    """Run a command line; return exit status and all output."""

    def both(*arguments: object) -> tuple[int, str]:
        status, out, err = command_line(*arguments)
        return status, out + err

    return both


def test_the_command_line_answers_with_masks_areas_and_run_lengths(run, painted: Path, tmp_path: Path):
    files = sorted((painted / "test" / "images").iterdir())[:2]
    status, text = run(
        "predict", "painted", *files, "--masks", "masks", "--draw", "drawn", "--csv", "areas.csv",
        "--coco", "runs.json", "--json", "answers.json",
    )  # fmt: skip
    assert status == 0, text
    assert "50 x 37 pixels: background" in text
    expected = cnnapp.load("painted").predict(files)
    for path, found in zip(sorted((tmp_path / "masks").iterdir()), expected, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), found.class_map)
    assert len(list((tmp_path / "drawn").iterdir())) == 2
    rows = list(csv.DictReader((tmp_path / "areas.csv").read_text().splitlines()))
    assert sum(int(row["pixels"]) for row in rows) == 2 * 37 * 50
    runs = json.loads((tmp_path / "runs.json").read_text())
    assert {record["image_id"] for record in runs} == set(map(str, files))
    assert json.loads((tmp_path / "answers.json").read_text())["answers"][0]["width"] == 50


def test_evaluate_check_verify_and_list_know_segmentation(run, painted: Path, tmp_path: Path):
    status, text = run("evaluate", "painted", "--data", painted)
    assert status == 0, text
    assert "IoU" in text
    assert (tmp_path / "reports" / "painted-1" / "report.html").is_file()
    status, text = run("check", painted)
    assert (status, "nothing is wrong" in text) == (0, True), text
    status, text = run("verify", "painted")
    assert (status, "largest difference 0" in text) == (0, True), text
    assert "mean IoU" in run("list")[1]
    status, text = run("predict", "painted", "x.png", "--scales", "1,2")
    assert (status, "scales" in text) == (2, True)


def test_masks_are_for_segmentation_alone(run, models: Path, monkeypatch: pytest.MonkeyPatch):
    status, text = run("predict", "shapes", "x.png", "--masks", "masks")
    assert (status, "only segmentation gives masks" in text) == (2, True)
