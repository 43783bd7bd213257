"""The page, driven by Streamlit's own test harness."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from conftest import ROOT, draw_shape
from streamlit.testing.v1 import AppTest

from pipelines.artifact import read_golden

APP = str(ROOT / "ui" / "app.py")


def png(kind: str, seed: int) -> bytes:
    buffer = io.BytesIO()
    draw_shape(kind, seed).save(buffer, "PNG")
    return buffer.getvalue()


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
    page.button_group[0].set_value(1).run()
    assert not page.exception
    assert page.subheader[0].value.startswith(names[1])
    assert page.dataframe[0].value["class_name"].tolist() == [names[1]]


def test_uploads_are_answered_and_bad_ones_get_one_line(models: Path):
    import cnnapp

    page = open_page()
    files = [("a.png", png("disc", 1), "image/png"), ("bad.png", b"no image", "image/png"),
             ("a.png", png("cross", 2), "image/png")]  # fmt: skip
    page.file_uploader[0].set_value(files).run()
    assert not page.exception
    assert [error.value for error in page.error] == ["bad.png: is not an image that can be read"]
    table = page.dataframe[0].value
    assert table["source"].tolist() == ["a.png", "a.png (2)", "bad.png"]
    expected = cnnapp.load("shapes").predict([png("disc", 1), png("cross", 2)])
    assert table["class_name"].tolist()[:2] == [answer.class_name for answer in expected]


def test_the_table_can_be_downloaded(models: Path, monkeypatch: pytest.MonkeyPatch):
    from ui import predict

    kept: list[str] = []
    monkeypatch.setattr(predict.st, "download_button", lambda label, data, *rest, **more: kept.append(data))
    page = open_page()
    page.file_uploader[0].set_value([("a.png", png("disc", 1), "image/png")]).run()
    rows = list(csv.DictReader(io.StringIO(kept[-1])))
    assert [row["source"] for row in rows] == ["a.png"]
    assert 0 <= float(rows[0]["disc"]) <= 1


def test_without_a_model_the_page_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
    assert "make demo" in open_page().warning[0].value


def test_a_damaged_model_is_said_in_one_line(trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import shutil

    copy = Path(shutil.copytree(trained.path, tmp_path / "broken" / "1"))
    (copy / "assets" / "labels.txt").write_text("x")
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
    assert "labels.txt: differs" in open_page().error[0].value


def test_a_detector_draws_boxes_and_its_thresholds_act_at_once(detectors: Path):
    page = open_page(model="scattered")
    page.button_group[0].set_value(0).run()
    assert not page.exception
    assert "×" in page.subheader[0].value
    before = len(page.dataframe[0].value)
    page.slider[0].set_value(1.0).run()
    assert not page.exception
    assert page.subheader[0].value == "nothing found"
    page.slider[0].set_value(0.02).run()
    assert len(page.dataframe[0].value) >= before
    page.selectbox[1].set_value("disc").run()
    assert not page.exception


def test_segmentation_shows_overlay_confidence_and_areas(segmenters: Path):
    page = open_page(model="painted")
    page.button_group[0].set_value(0).run()
    assert not page.exception
    assert "share" in page.dataframe[0].value.columns
    page.slider[0].set_value(0.2).run()
    page.multiselect[0].set_value([1]).run()
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
    page.multiselect[0].set_value([1]).run()
    assert not page.exception
    assert asked == ["a.png", "b.png"]
    assert all(table.value.equals(before) for table, before in zip(page.dataframe, tables, strict=True))
    page.file_uploader[0].set_value([("a.png", png("cross", 9), "image/png"), files[1]]).run()
    assert asked == ["a.png", "b.png", "a.png"]  # of another content
    page.file_uploader[0].set_value(files).run()
    assert asked == ["a.png", "b.png", "a.png", "a.png"]  # which was forgotten meanwhile
    page.file_uploader[0].set_value([]).run()
    assert not page.exception
    assert not page.session_state["answers by pieces"]


def test_pieces_are_answered_anew_for_other_options(detectors: Path, monkeypatch: pytest.MonkeyPatch):
    import cnnapp

    asked: list[float] = []
    answer = cnnapp.Predictor.predict_by_pieces

    def counted(*arguments, **options):
        asked.append(options["score_threshold"])
        return answer(*arguments, **options)

    monkeypatch.setattr(cnnapp.Predictor, "predict_by_pieces", counted)
    page = open_page(model="scattered")
    page.button_group[0].set_value(0).run()
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
    page.button_group[0].set_value(0).run()
    assert not page.exception
    assert "cannot be drawn: has too many pixels" in page.error[0].value
    assert page.subheader[-1].value == "All results"
