"""Large images: the same answers piece by piece, files written, what does not fit refused, from every way in."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnapp
from cnnapp.prediction import tiled_prediction
from cnnapp.prediction.predictor import Predictor
from cnnapp.results.detections import Detections
from cnnapp.results.large_segmentation import LargeSegmentation
from pipelines.artifacts import memory
from pipelines.core.errors import ConfigError, DataError, ModelError
from pipelines.images import image_io
from pipelines.segmentation import tiled


@pytest.fixture
def run(segmenters: Path, command_line):
    """Run a command line; return exit status and all output."""

    def both(*arguments: object) -> tuple[int, str]:
        status, out, err = command_line(*arguments)
        return status, out + err

    return both


def enlarged(painted: Path, height: int, width: int) -> np.ndarray:
    """Scenes side by side."""
    one = np.asarray(Image.open(sorted((painted / "test" / "images").iterdir())[0]).convert("RGB"))
    rows, columns = -(-height // one.shape[0]), -(-width // one.shape[1])
    return np.tile(one, (rows, columns, 1))[:height, :width]


def test_the_class_map_is_that_of_the_whole_image(segmenters: Path, painted: Path, tmp_path: Path):
    model, image = cnnapp.load("painted"), enlarged(painted, 301, 407)
    whole = model.predict(image)[0]
    steps: list[tuple[int, int]] = []
    parts = model.predict_by_pieces(image, 128, advance=lambda *step: steps.append(step))
    np.testing.assert_array_equal(parts.class_map, whole.class_map)
    np.testing.assert_allclose(parts.confidence, whole.confidence, atol=1e-5)
    assert steps == [(number, 12) for number in range(1, 13)]
    Image.fromarray(image).save(tmp_path / "large.tif", compression="tiff_lzw")
    written = model.segment_to(tmp_path / "large.tif", tmp_path / "masks" / "large.tif", 128)
    np.testing.assert_array_equal(written.mask_rows(0, 301), whole.class_map)
    assert written.areas() == whole.areas()
    assert [record["segmentation"] for record in written.to_coco()] == [
        record["segmentation"] for record in whole.to_coco()
    ]
    drawn = written.draw(side=150)
    assert max(drawn.width, drawn.height - 40) <= 150


def test_detections_are_those_of_the_whole_image(detectors: Path, scattered: Path):
    model = cnnapp.load("scattered")
    one = np.asarray(Image.open(sorted(scattered.rglob("*.png"))[0]).convert("RGB"))
    image = np.tile(one, (4, 4, 1))[:211, :263]
    for scales in ((1.0,), (1.0, 0.7)):
        whole = model.predict(image, scales=scales)[0]
        parts = model.predict_by_pieces(image, 96, scales=scales)
        assert len(whole) > 3
        assert len(parts) == len(whole)
        order, other = (np.lexsort(found.boxes.round(1).T) for found in (whole, parts))
        np.testing.assert_array_equal(parts.class_ids[other], whole.class_ids[order])
        exact = scales == (1.0,)
        np.testing.assert_allclose(parts.boxes[other], whole.boxes[order], atol=1e-3 if exact else 0.2)
        np.testing.assert_allclose(parts.scores[other], whole.scores[order], atol=1e-5 if exact else 0.02)


def test_classes_of_whole_images_have_no_pieces(models: Path):
    with pytest.raises(ConfigError, match="whose answer is for the whole image"):
        cnnapp.load("shapes").predict_by_pieces(np.zeros((100, 100, 3), np.uint8))
    with pytest.raises(ConfigError, match="whose answers have no masks"):
        cnnapp.load("shapes").segment_to(np.zeros((100, 100, 3), np.uint8), "mask.tif")


def test_what_does_not_fit_into_memory_is_refused_before_it_is_decoded(
    segmenters: Path, monkeypatch: pytest.MonkeyPatch
):
    model = cnnapp.load("painted")
    monkeypatch.setattr(memory, "available", lambda: 10_000_000)
    buffer = io.BytesIO()
    Image.new("L", (3000, 2000)).save(buffer, "PNG")
    cut = buffer.getvalue()[:200]  # there is nothing to decode
    with pytest.raises(DataError, match=r"3000 x 2000 pixels needs .* --tile 1024"):
        model.predict(cut)
    assert model.predict(np.zeros((30, 30, 3), np.uint8))


def test_an_image_of_too_many_pixels_names_the_flag(segmenters: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(image_io, "MAX_PIXELS", 5000)
    model, image = cnnapp.load("painted"), Image.new("RGB", (101, 100))
    with pytest.raises(DataError, match=r"101 x 100 pixels; at most 5,000 .* --tile 1024"):
        model.predict(image_bytes(image))
    with pytest.raises(DataError, match="--masks FOLDER"):
        model.predict_by_pieces(image_bytes(image), 64)


def image_bytes(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def test_a_png_of_too_many_pixels_is_written_by_windows(
    segmenters: Path, painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    image = enlarged(painted, 130, 150)
    model = cnnapp.load("painted")
    whole = model.predict(image)[0]
    monkeypatch.setattr(image_io, "MAX_PIXELS", 5000)
    written = model.segment_to(image_bytes(Image.fromarray(image)), tmp_path / "mask.tif", 64)
    np.testing.assert_array_equal(written.mask_rows(0, 130), whole.class_map)
    with pytest.raises(DataError, match="too large for that"):
        written.to_coco()


@pytest.mark.slow
def test_the_command_line_writes_masks_piece_by_piece(run, painted: Path, tmp_path: Path):
    Image.fromarray(enlarged(painted, 200, 220)).save(tmp_path / "large.tif")
    status, text = run(
        "predict", "painted", "large.tif", "missing.tif", "--tile", "96", "--masks", "masks", "--draw", "drawn",
        "--csv", "areas.csv", "--json", "answers.json", "--coco", "runs.json",
    )  # fmt: skip
    assert status == 1
    assert "large.tif: 220 x 200 pixels: " in text
    assert "missing.tif: there is no such file" in text
    expected = cnnapp.load("painted").predict(tmp_path / "large.tif")[0]
    with (
        Image.open(tmp_path / "masks" / "0001-large.tif") as mask,
        Image.open(tmp_path / "drawn" / "0001-large.png") as drawn,
    ):
        np.testing.assert_array_equal(np.asarray(mask), expected.class_map)
        assert drawn.width == 220
    record = json.loads((tmp_path / "answers.json").read_text())["answers"][0]
    assert (record["exact"], record["mask"]) == (True, "masks/0001-large.tif")
    assert "large.tif,background," in (tmp_path / "areas.csv").read_text()
    assert json.loads((tmp_path / "runs.json").read_text())[0]["image_id"] == "large.tif"
    assert run("predict", "painted", "large.tif", "--tile", "96")[0] == 0  # without a folder for masks
    arguments = ["--json", "without.json", "--coco", "again.json", "--draw", "drawn"]
    status, text = run("predict", "painted", "large.tif", "--tile", "96", *arguments)
    assert status == 0, text
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads((tmp_path / "runs.json").read_text())
    again = json.loads((tmp_path / "without.json").read_text())["answers"][0]
    assert again == {key: value for key, value in record.items() if key != "mask"}
    status, text = run("predict", "painted", "large.tif", "--blend")
    assert (status, "--tile" in text) == (2, True)


@pytest.mark.parametrize("how", [["--tile", "96"], []])
def test_a_picture_that_cannot_be_written_costs_no_answer(run, painted: Path, tmp_path: Path, how: list[str]):
    image = Image.fromarray(enlarged(painted, 60, 70))
    for name in ("one.png", "two.png"):
        image.save(tmp_path / name)
    (tmp_path / "drawn").write_text("a file, not a folder")
    arguments = [*how, "--draw", "drawn", "--csv", "areas.csv", "--json", "answers.json"]
    status, text = run("predict", "painted", "one.png", "two.png", *arguments)
    assert status == 1
    assert text.count("cannot be written") == 1
    assert "0001-one.png: cannot be written" in text
    assert "(and 1 more)" in text
    record = json.loads((tmp_path / "answers.json").read_text())
    assert [answer["source"] for answer in record["answers"]] == ["one.png", "two.png"]
    assert record["failed"] == []
    assert "two.png,background," in (tmp_path / "areas.csv").read_text()


def test_an_answer_that_cannot_be_drawn_is_given(run, painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Image.fromarray(enlarged(painted, 60, 70)).save(tmp_path / "one.png")

    def refuse(*_: object, **__: object) -> None:
        raise DataError("one.png: is gone")

    monkeypatch.setattr(LargeSegmentation, "draw", refuse)
    status, text = run("predict", "painted", "one.png", "--tile", "96", "--draw", "drawn", "--json", "answers.json")
    assert status == 1
    assert "cannot be drawn: one.png: is gone" in text
    assert "could not be read" not in text
    assert len(json.loads((tmp_path / "answers.json").read_text())["answers"]) == 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "array"])
def test_boxes_are_drawn_on_a_small_version_of_a_large_image(kind: str, monkeypatch: pytest.MonkeyPatch):
    pixels = np.full((1200, 6000, 3), 90, np.uint8)
    found = Detections("a.png", np.array([[3000, 300, 4200, 900]], "float32"), np.ones(1), np.zeros(1, int), ("cat",))
    monkeypatch.setattr(image_io, "MAX_PIXELS", 1_000_000)
    drawn = np.asarray(found.draw(pixels if kind == "array" else image_bytes(Image.fromarray(pixels), kind)))
    assert drawn.shape == (400, 2000, 3)  # of every third pixel
    changed = np.argwhere((drawn != 90).any(-1))
    left, right = changed[changed[:, 0] == 250, 1].min(), changed[changed[:, 0] == 250, 1].max()
    assert (left, right) == (1000, 1399)
    assert changed[:, 0].max() == 299


def test_a_finished_mask_is_not_computed_again(
    segmenters: Path, painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model, path = cnnapp.load("painted"), tmp_path / "mask.tif"
    Image.fromarray(enlarged(painted, 100, 130)).save(tmp_path / "image.png")
    first = model.segment_to(tmp_path / "image.png", path, 64)
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise AssertionError("is computed again")

    with monkeypatch.context() as patch:
        patch.setattr(tiled.Mosaic, "_inputs", refuse)
        steps: list[tuple[int, int]] = []
        again = model.segment_to(tmp_path / "image.png", path, 64, advance=lambda *step: steps.append(step))
        assert steps == [(6, 6)]
        assert again.areas() == first.areas()
        assert path.read_bytes() == before
        with pytest.raises(AssertionError):
            model.segment_to(tmp_path / "image.png", path, 96)
    # Another tile is another run, which writes over the file; so does one where there is no mask of ours.
    assert model.segment_to(tmp_path / "image.png", path, 96).areas() == first.areas()
    path.write_text("no mask")
    assert model.segment_to(tmp_path / "image.png", path, 96).areas() == first.areas()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["image.png", "mask.tif"]


def test_images_are_told_from_each_other(tmp_path: Path):
    tell = tiled_prediction._fingerprint
    content = bytes(3 * 2**20)
    paths = [tmp_path / "a.raw", tmp_path / "b.raw"]
    for path in paths:
        path.write_bytes(content)
        os.utime(path, ns=(1, 1))
    assert tell(paths[0]) == tell(str(paths[0])) != tell(paths[1])
    before = tell(paths[0])
    for place in (5, len(content) - 5):
        paths[0].write_bytes(content[:place] + b"x" + content[place + 1 :])
        os.utime(paths[0], ns=(1, 1))
        assert tell(paths[0]) != before
    pixels = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    assert tell(pixels) == tell(pixels.copy()) != tell(pixels.reshape(6, 4, 3))
    assert tell(pixels[:, ::-1]) != tell(pixels)
    assert tell(np.asfortranarray(pixels)) == tell(pixels)


def test_verify_counts_objects_of_pieces_alone(detectors: Path, monkeypatch: pytest.MonkeyPatch):
    model = cnnapp.load("scattered")
    true = Predictor.predict_by_pieces

    def doctored(change):
        def answer(self, *arguments, **options):
            found = true(self, *arguments, **options)
            return Detections(found.source, *change(found.boxes, found.scores, found.class_ids), found.class_names)

        return answer

    def doubled(boxes, scores, class_ids):
        return [np.concatenate([part[:1], part]) for part in (boxes, scores, class_ids)]

    def missing(boxes, scores, class_ids):
        return boxes[1:], scores[1:], class_ids[1:]

    for change in (doubled, missing):
        monkeypatch.setattr(Predictor, "predict_by_pieces", doctored(change))
        with pytest.raises(ModelError, match=r", 1 objects differ"):
            model.verify_tiling(96)


def test_verify_allows_pieces_more_objects_than_a_full_answer_has(detectors: Path, monkeypatch: pytest.MonkeyPatch):
    model = cnnapp.load("scattered")
    boxes = np.arange(400, dtype="float32").reshape(100, 4) * 10
    whole = Detections("a", boxes, np.linspace(0.9, 0.6, 100), np.zeros(100, int), ("cross", "disc"))

    def parts(score: float) -> Detections:
        more = [np.concatenate([one, other]) for one, other in ((boxes, boxes[:1] + 5000), (whole.scores, [score]))]
        return Detections("a", *more, np.zeros(101, int), whole.class_names)

    monkeypatch.setattr(Predictor, "predict", lambda *_: [whole])
    monkeypatch.setattr(Predictor, "predict_by_pieces", lambda *_: parts(0.5))
    assert model.verify_tiling(96).other == 0
    monkeypatch.setattr(Predictor, "predict_by_pieces", lambda *_: parts(0.7))
    with pytest.raises(ModelError, match=r", 1 objects differ"):
        model.verify_tiling(96)


@pytest.mark.slow
def test_verify_compares_pieces_with_the_whole(
    run, detectors: Path, models: Path, segmenters: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(segmenters))
    status, text = run("verify", "painted", "--quick", "--tiling")
    assert status == 0, text
    assert "413 x 397 pixels in tiles of 128" in text
    assert "0 pixels differ" in text
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(detectors))
    status, text = run("verify", "scattered", "--quick", "--tiling", "--tile", "96")
    assert status == 0, text
    assert "0 objects differ" in text
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(models))
    status, text = run("verify", "shapes", "--quick", "--tiling")
    assert (status, "whose answer is for the whole image" in text) == (2, True)


def test_a_large_segmentation_is_shown_in_a_notebook(segmenters: Path, painted: Path, tmp_path: Path):
    written = cnnapp.load("painted").segment_to(enlarged(painted, 70, 80), tmp_path / "mask.tif", 64)
    assert isinstance(written, LargeSegmentation)
    assert "background" in written._repr_html_()
    assert written.size == (70, 80)
