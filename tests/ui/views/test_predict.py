"""The page, driven by Streamlit's own test harness."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from drawings import draw_shape
from pipelines.artifacts.golden import read_golden
from pipelines.core.errors import ImageTooLargeError
from places import ROOT

APP = str(ROOT / "ui" / "app.py")


def png(kind: str, seed: int) -> bytes:
    buffer = io.BytesIO()
    draw_shape(kind, seed).save(buffer, "PNG")
    return buffer.getvalue()


def take_example(page: AppTest, number: int = 0) -> None:
    """Choose an example that the model was shipped with."""
    page.button_group(key="place").set_value("Examples").run()
    examples = page.button_group[1]
    examples.set_value([examples.options[number]]).run()
    assert not page.exception


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Gives what a button on the page downloads, which is made only now."""
    import streamlit

    offered: dict[str, Any] = {}
    monkeypatch.setattr(streamlit, "download_button", lambda label, data, *rest, **more: offered.update({label: data}))
    return lambda label: offered[label]()


def open_page(**query: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    return page


def test_the_page_opens_with_a_model_and_asks_for_images(models: Path):
    page = open_page()
    assert page.title[0].value == "What is in this image?"
    assert page.selectbox[0].value.startswith("shapes/")
    assert "Upload images" in page.info[0].value


def test_an_example_is_answered(models: Path, trained):
    page = open_page(model="shapes")
    names = read_golden(trained.path).outputs["class_names"].tolist()
    take_example(page, 1)
    assert page.subheader[0].value.startswith(names[1])
    assert page.dataframe[0].value["Class"].tolist() == [names[1]]


def test_uploads_are_answered_and_bad_ones_get_one_line(models: Path):
    import cnnapp

    page = open_page()
    files = [("a.png", png("disc", 1), "image/png"), ("bad.png", b"no image", "image/png"),
             ("a.png", png("cross", 2), "image/png")]  # fmt: skip
    page.file_uploader[0].set_value(files).run()
    assert not page.exception
    assert [error.value for error in page.error] == ["bad.png: is not an image that can be read"]
    table = page.dataframe[0].value
    assert table["Image"].tolist() == ["a.png", "a.png (2)", "bad.png"]
    expected = cnnapp.load("shapes").predict([png("disc", 1), png("cross", 2)])
    assert table["Class"].tolist()[:2] == [answer.class_name for answer in expected]


def test_answers_can_be_downloaded(models: Path, files):
    page = open_page()
    uploads = [("a.png", png("disc", 1), "image/png"), ("bad.png", b"no image", "image/png")]
    page.file_uploader[0].set_value(uploads).run()
    rows = list(csv.DictReader(io.StringIO(files("Download CSV"))))
    assert [row["source"] for row in rows] == ["a.png", "bad.png"]
    assert 0 <= float(rows[0]["disc"]) <= 1
    record = json.loads(files("Download JSON"))
    assert record["model"] == "shapes/1"
    assert [answer["source"] for answer in record["answers"]] == ["a.png"]
    assert [failure["source"] for failure in record["failed"]] == ["bad.png"]
    with zipfile.ZipFile(io.BytesIO(files("Download pictures"))) as archive:
        assert archive.namelist() == ["0001-a.png"]


def test_the_page_and_the_command_line_write_the_same_files(models: Path, files, tmp_path: Path, command_line):
    page = open_page()
    (tmp_path / "a.png").write_bytes(png("cross", 3))
    page.file_uploader[0].set_value([("a.png", png("cross", 3), "image/png")]).run()
    command_line("predict", "shapes", "a.png", "--csv", "a.csv", "--json", "a.json")
    assert (tmp_path / "a.csv").read_text() == files("Download CSV")
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(files("Download JSON"))


def test_a_folder_as_zip_is_answered_and_what_is_no_image_is_said(models: Path):
    page = open_page()
    content = {
        "birds/crow/1.png": png("disc", 1),
        "birds/crow/deep/2.png": png("cross", 2),
        "__MACOSX/birds/crow/._1.png": b"junk",
        "birds/.DS_Store": b"junk",
        "birds/notes.txt": b"text",
    }
    page.file_uploader[0].set_value([("birds.zip", zipped(content), "application/zip")]).run()
    assert not page.exception
    assert page.dataframe[0].value["Image"].tolist() == ["birds/crow/1.png", "birds/crow/deep/2.png"]
    assert [each.value for each in page.warning] == [
        "birds.zip: 1 file skipped (not an image), such as birds/notes.txt"
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"PK\x03\x04 and no more", "is not a zip file"), (zipped({"a.txt": b"text"}), "holds no image")],
)
def test_a_bad_zip_is_said_in_one_line(data: bytes, said: str, models: Path):
    page = open_page()
    uploads = [("bad.zip", data, "application/zip"), ("a.png", png("disc", 1), "image/png")]
    page.file_uploader[0].set_value(uploads).run()
    assert not page.exception
    assert said in page.warning[0].value
    assert page.dataframe[0].value["Image"].tolist() == ["a.png"]


def test_a_photograph_is_answered(models: Path):
    page = open_page()
    assert not page.camera_input
    page.button_group(key="place").set_value("Camera").run()
    buffer = io.BytesIO()
    draw_shape("disc", 4).save(buffer, "JPEG")
    page.camera_input[0].set_value(("shot.jpg", buffer.getvalue(), "image/jpeg")).run()
    assert not page.exception
    assert page.dataframe[0].value["Image"].tolist() == ["photograph.jpg"]


def test_many_images_are_shown_a_page_at_a_time(models: Path, monkeypatch: pytest.MonkeyPatch):
    import cnnapp

    asked: list[str] = []
    answer = cnnapp.Predictor.predict_each

    def counted(model, images, batch_size, *, names):
        names = list(names)
        asked.extend(names)
        return answer(model, images, batch_size, names=names)

    monkeypatch.setattr(cnnapp.Predictor, "predict_each", counted)
    page = open_page()
    names = [f"{number}.png" for number in range(27)]
    page.file_uploader[0].set_value([(name, png("disc", 1), "image/png") for name in names]).run()
    assert page.pagination[0].num_pages == 3
    assert len(page.subheader) == 12 + 1
    page.pagination[0].set_value(3).run()
    assert not page.exception
    assert len(page.subheader) == 3 + 1
    assert page.dataframe[0].value["Image"].tolist() == names
    assert asked == names  # each once


def test_the_address_names_the_model_and_follows_the_choice(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(ROOT / "saved_models"))
    page = open_page(model="fashion")
    assert page.selectbox[0].value == "fashion/1"
    assert page.query_params["model"] == "fashion/1"
    page.selectbox[0].set_value("digits/1").run()
    assert page.query_params["model"] == "digits/1"
    page.query_params["model"] = "fashion/1"  # as the browser does when it goes back
    page.run()
    assert page.selectbox[0].value == "fashion/1"
    assert open_page(model="nonsense").selectbox[0].value == "digit-scenes/1"


def test_without_a_model_the_page_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
    assert "cnnapp demo" in open_page().warning[0].value


def test_a_damaged_model_is_said_in_one_line(trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import shutil

    copy = Path(shutil.copytree(trained.path, tmp_path / "broken" / "1"))
    (copy / "assets" / "labels.txt").write_text("x")
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
    assert "labels.txt: differs" in open_page().error[0].value


def test_a_detector_draws_boxes_and_its_thresholds_act_at_once(detectors: Path):
    page = open_page(model="scattered")
    take_example(page)
    assert "×" in page.subheader[0].value
    before = len(page.dataframe[0].value)
    page.button_group(key="classes scattered/1").set_value([1]).run()
    assert not page.exception
    assert len(page.dataframe[0].value) == before  # switches are of what is drawn
    page.slider[0].set_value(1.0).run()
    assert not page.exception
    assert page.subheader[0].value == "nothing found"
    page.slider[0].set_value(0.02).run()
    assert len(page.dataframe[0].value) >= before
    page.selectbox[1].set_value("disc").run()
    assert not page.exception


def test_segmentation_shows_overlay_confidence_and_areas(segmenters: Path):
    page = open_page(model="painted")
    take_example(page)
    assert "Share" in page.dataframe[0].value.columns
    page.slider[0].set_value(0.2).run()
    page.button_group(key="classes painted/1").set_value([1]).run()
    assert not page.exception
    areas = page.dataframe[0].value
    page.toggle[0].set_value(True).run()
    assert not page.exception
    assert page.dataframe[0].value.equals(areas)


def test_pieces_are_answered_once_for_the_images_at_hand(segmenters: Path, monkeypatch: pytest.MonkeyPatch):
    import cnnapp

    asked: list[str] = []
    answer = cnnapp.Predictor.predict_by_pieces

    def counted(model, image, tile, *, name, **rest):
        asked.append(name)
        return answer(model, image, tile, name=name, **rest)

    monkeypatch.setattr(cnnapp.Predictor, "predict_by_pieces", counted)
    page = open_page(model="painted")
    files = [(name, png("disc", number), "image/png") for number, name in enumerate(("a.png", "b.png"))]
    page.file_uploader[0].set_value(files).run()
    assert not asked
    page.toggle[0].set_value(True).run()
    assert asked == ["a.png", "b.png"]
    tables = [table.value for table in page.dataframe]
    page.slider[0].set_value(0.2).run()
    page.button_group(key="classes painted/1").set_value([1]).run()
    assert not page.exception
    assert asked == ["a.png", "b.png"]
    assert all(table.value.equals(before) for table, before in zip(page.dataframe, tables, strict=True))
    page.file_uploader[0].set_value([("a.png", png("cross", 9), "image/png"), files[1]]).run()
    assert asked == ["a.png", "b.png", "a.png"]  # of another content
    page.file_uploader[0].set_value(files).run()
    assert asked == ["a.png", "b.png", "a.png", "a.png"]  # which was forgotten meanwhile
    page.file_uploader[0].set_value([]).run()
    assert not page.exception
    assert not len(page.session_state["answers"])


def test_pieces_are_answered_anew_for_other_options(detectors: Path, monkeypatch: pytest.MonkeyPatch):
    import cnnapp

    asked: list[float] = []
    answer = cnnapp.Predictor.predict_by_pieces

    def counted(*arguments, **options):
        asked.append(options["score_threshold"])
        return answer(*arguments, **options)

    monkeypatch.setattr(cnnapp.Predictor, "predict_by_pieces", counted)
    page = open_page(model="scattered")
    take_example(page)
    page.toggle[0].set_value(True).run()
    page.slider[0].set_value(0.5).run()
    page.selectbox[1].set_value("disc").run()
    assert not page.exception
    assert asked[1:] == [0.5]


@pytest.mark.parametrize(("model", "drawn"), [("painted", "Segmentation"), ("scattered", "Detections")])
def test_what_cannot_be_drawn_is_said_and_the_table_remains(
    model: str, drawn: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    import cnnapp

    request.getfixturevalue("segmenters" if model == "painted" else "detectors")

    def refuse(*_, **__):
        raise cnnapp.DataError("has too many pixels")

    monkeypatch.setattr(getattr(cnnapp, drawn), "draw", refuse)
    page = open_page(model=model)
    take_example(page)
    assert "cannot be drawn: has too many pixels" in page.error[0].value
    assert page.subheader[-1].value == "All results"


def test_an_image_that_is_too_large_is_answered_in_pieces_by_itself(
    segmenters: Path, monkeypatch: pytest.MonkeyPatch, files
):
    import cnnapp

    expected = cnnapp.load("painted").predict([png("disc", 1)])[0].class_map

    def refuse(model, size, name, options):
        raise ImageTooLargeError(f"{name}: would take 99 GiB")

    monkeypatch.setattr(cnnapp.Predictor, "_refuse_too_large", refuse)
    page = open_page(model="painted")
    page.file_uploader[0].set_value([("a.png", png("disc", 1), "image/png")]).run()
    assert not page.exception
    assert not page.error
    assert "a.png is large: it was processed in tiles" in page.info[0].value
    archive = zipfile.ZipFile(io.BytesIO(files("Download masks")))
    with archive, Image.open(io.BytesIO(archive.read("0001-a.png"))) as mask:
        np.testing.assert_array_equal(np.asarray(mask), expected)


def test_a_class_switch_changes_the_drawn_picture_alone(segmenters: Path, files):
    page = open_page(model="painted")
    take_example(page)

    def pictures() -> bytes:
        with zipfile.ZipFile(io.BytesIO(files("Download pictures"))) as archive:
            return archive.read(archive.namelist()[0])

    before, masks = pictures(), files("Download masks")
    page.button_group(key="classes painted/1").set_value([]).run()
    assert pictures() != before
    assert files("Download masks") == masks
