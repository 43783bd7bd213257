"""Answers of segmentation from Python and the command line: areas, overlays, masks, COCO's run lengths."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

import cnnapp
from cnnapp.results.segmentation import Segmentation
from pipelines.images.palette import class_colours


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
    assert plain[1, 1].tolist() == [213, 94, 0]
    only = np.asarray(found.draw(picture, opacity=1.0, shown=[2], side=4, legend=False))
    assert only[1, 1].tolist() == [100, 100, 100]
    assert only[2, 2].tolist() == [0, 114, 178]
    assert found.draw(picture, side=400).height > 400  # with a legend below


@pytest.mark.parametrize("opacity", [0.0, 0.3, 0.55, 1.0])
def test_colours_are_mixed_as_the_formula_says(opacity: float):
    dice = np.random.default_rng(0)
    pixels = dice.integers(0, 256, (600, 33, 3)).astype(np.uint8)
    class_map = dice.integers(0, 3, (600, 33)).astype(np.uint8)
    drawn = np.asarray(answer(class_map).draw(pixels, opacity, side=1, legend=False))
    share = opacity * (class_map > 0)[..., None]
    np.testing.assert_allclose(
        drawn, pixels * (1 - share) + class_colours(["background", "disc", "cross"])[class_map] * share, atol=0.501
    )


@pytest.mark.parametrize("size", [(400, 300), (301, 7), (100, 60), (1, 1)])
def test_a_drawing_of_every_nth_pixel_is_as_large_as_asked(size: tuple[int, int]):
    dice = np.random.default_rng(1)
    pixels = dice.integers(0, 256, (*size, 3)).astype(np.uint8)
    class_map = dice.integers(0, 3, size).astype(np.uint8)
    found = Segmentation("a.png", class_map, dice.uniform(0, 1, size).astype(np.float32), ("background", "b", "c"))
    step = -(-max(size) // 100)
    small = found.draw(pixels, side=1, legend=False, largest=100)
    assert max(small.size) <= 100
    whole = np.asarray(found.draw(pixels, side=1, legend=False))
    np.testing.assert_array_equal(np.asarray(small), whole[::step, ::step])
    grey = np.asarray(found.draw_confidence(side=1, largest=100))
    np.testing.assert_array_equal(grey, np.rint(found.confidence[::step, ::step] * 255))


@pytest.mark.parametrize(("largest", "limit"), [(None, 30), (100, 12)])
def test_a_drawing_takes_little_more_memory_than_its_picture(largest: int | None, limit: int):
    class_map = np.ones((1500, 1000), np.uint8)
    found, picture = answer(class_map), Image.new("RGB", (1000, 1500))
    buffer = io.BytesIO()
    picture.save(buffer, "BMP")
    tracemalloc.start()
    try:
        found.draw(buffer.getvalue(), side=0, legend=False, largest=largest)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most / class_map.size < limit


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


@pytest.mark.slow
def test_evaluate_check_verify_and_list_know_segmentation(run, painted: Path, tmp_path: Path):
    status, text = run("evaluate", "painted", "--data", painted)
    assert status == 0, text
    assert "IoU" in text
    assert (tmp_path / "reports" / "painted-1" / "report.html").is_file()
    status, text = run("check", painted)
    assert (status, "No problems found" in text) == (0, True), text
    status, text = run("verify", "painted", "--quick")
    assert (status, "largest difference 0" in text) == (0, True), text
    assert "mean IoU" in run("list")[1]
    status, text = run("predict", "painted", "x.png", "--scales", "1,2")
    assert (status, "scales" in text) == (2, True)


@pytest.fixture
def boxed(tmp_path: Path) -> Path:
    """A set with boxes and masks, and one thing wrong with each."""
    root = tmp_path / "boxed"
    for folder in ("Annotations", "JPEGImages", "SegmentationClass"):
        (root / folder).mkdir(parents=True)
    dice = np.random.default_rng(0)
    for number in range(30):
        pixels = dice.integers(0, 256, (20, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{number}.jpg")
        mask = np.zeros((20, 30), np.uint8)
        mask[2:9, 3:9] = 200 if number == 3 else 1
        Image.fromarray(mask).save(root / "SegmentationClass" / f"{number}.png")
        left = 94 if number == 5 else 4
        (root / "Annotations" / f"{number}.xml").write_text(
            f"<annotation><filename>{number}.jpg</filename><size><width>30</width><height>20</height><depth>3</depth>"
            f"</size><object><name>cat</name><bndbox><xmin>{left}</xmin><ymin>3</ymin>"
            f"<xmax>{left + 5}</xmax><ymax>9</ymax></bndbox></object></annotation>"
        )
    (root / "classes.txt").write_text("background\ncat\n")
    return root


def test_a_set_with_boxes_and_masks_is_looked_over_for_both(run, boxed: Path):
    wrong = {"boxes": "entirely outside", "masks": "the value 200"}
    looked = {
        (): (1, {"boxes", "masks"}),
        ("--task", "detection"): (1, {"boxes"}),
        ("--task", "segmentation"): (1, {"masks"}),
        ("--ignore", "200"): (0, set()),
        ("--task", "segmentation", "--ignore", "200"): (0, set()),
    }
    for options, (expected, kinds) in looked.items():
        status, text = run("check", boxed, *options)
        assert {kind for kind, said in wrong.items() if said in text} == kinds, (options, text)
        assert status == expected, text
        assert ("boxes:" in text.splitlines(), "masks:" in text.splitlines()) == ((len(kinds) == 2,) * 2)
        if len(kinds) == 2:
            places = [text.index(said) for said in ("boxes:", wrong["boxes"], "masks:", wrong["masks"])]
            assert places == sorted(places)


def test_boxes_that_cannot_be_read_at_all_do_not_hide_the_masks(run, boxed: Path, monkeypatch: pytest.MonkeyPatch):
    from pipelines.data.checks import detection

    def refuse(*_):
        raise cnnapp.DataError("the boxes: cannot be read")

    monkeypatch.setattr(detection, "check", refuse)
    status, text = run("check", boxed)
    assert status == 1
    assert "the boxes: cannot be read" in text
    assert "the value 200" in text
    assert run("check", boxed, "--ignore", "200")[0] == 0


def test_scenes_are_looked_over_for_either_task(run, monkeypatch: pytest.MonkeyPatch):
    from pipelines.data.embedded import scenes

    few = {"train": 60, "validation": 20, "test": 20}
    boxes, masks = scenes.load, scenes.load_masks
    monkeypatch.setattr(scenes, "load", lambda seed: boxes(seed, few))
    monkeypatch.setattr(scenes, "load_masks", lambda seed: masks(seed, few))
    found = {task: run("check", "scenes", "--task", task) for task in ("detection", "segmentation")}
    assert [status for status, _ in found.values()] == [0, 0], found
    assert "objects" in found["detection"][1]
    assert "of the pixels" in found["segmentation"][1]
    status, text = run("check", "scenes")
    assert status == 0
    assert text.index("boxes:") < text.index("objects") < text.index("masks:") < text.index("of the pixels")


def test_a_task_that_does_not_fit_is_said(run, painted: Path):
    status, text = run("check", painted, "--task", "segmentatio")
    assert (status, "Did you mean 'segmentation'" in text) == (2, True)
    status, text = run("check", painted, "--task", "detection", "--ignore", "3")
    assert (status, "--ignore" in text) == (2, True)
    status, text = run("check", "digits", "--task", "classification")
    assert (status, "No problems found" in text) == (0, True)
    assert run("check", painted, "--task", "detection")[0] == 1


def test_masks_are_for_segmentation_alone(run, models: Path, monkeypatch: pytest.MonkeyPatch):
    status, text = run("predict", "shapes", "x.png", "--masks", "masks")
    assert (status, "only segmentation gives masks" in text) == (2, True)


@pytest.mark.parametrize("kind", ["litert", "onnx"])
def test_a_segmentation_of_today_is_written_in_other_formats(run, kind: str):
    status, out = run("export", "painted", "--format", kind)
    assert status == 0
    assert "against the saved model: largest difference of a score" in out
