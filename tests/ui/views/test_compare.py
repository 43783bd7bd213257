"""The page Compare, driven by Streamlit's own test harness."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from drawings import draw_scene, draw_shape
from pipelines.artifacts.model_card import read_card, write_card
from places import ROOT


def compare_page() -> None:
    from ui.views import compare

    compare.page()


def open_page(**query: str) -> AppTest:
    page = AppTest.from_function(compare_page, default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    return page


def png(picture) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def doubled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    """Makes a folder of saved models with one of them twice: as it is, and as version 2, which mocks change."""
    import shutil

    def make(path: Path) -> str:
        name = path.parent.name
        for version in (1, 2):
            copy = Path(shutil.copytree(path, tmp_path / name / str(version)))
            write_card(copy, read_card(copy).model_copy(update={"version": version}))
        monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
        return name

    return make


def test_a_model_alone_has_nothing_to_be_compared_with(models: Path, command_line):
    page = open_page()
    assert "No other model for classification knows classes of shapes/1" in page.info[0].value
    command = page.info[0].value.split("`")[1].split()
    assert command[:3] == ["cnnapp", "train", "classification"]
    # The command is one: it fails for want of the name of its own data only.
    status, _, error = command_line(*command[1:], "--data", "nosuch")
    assert (status, "nosuch" in error) == (1, True)


def test_models_without_a_common_class_are_not_offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("digits", "fashion", "digit-scenes"):
        (tmp_path / name).symlink_to(ROOT / "saved_models" / name)
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
    page = open_page(model="digits")
    assert [box.label for box in page.selectbox] == ["Model"]
    assert "cnnapp train classification --data digits" in page.info[0].value


def test_a_model_of_the_address_that_cannot_be_compared_with_is_named(trained, doubled):
    doubled(trained.path)
    page = open_page(model="shapes/1", **{"with": "nosuch"})
    assert [each.value for each in page.warning] == [
        "There is no model nosuch to compare shapes/1 with; showing shapes/2."
    ]
    page = open_page(model="shapes/2", **{"with": "shapes/7"})
    assert "There is no model shapes/7" in page.warning[0].value
    assert page.selectbox[1].value == "shapes/1"


def test_a_model_agrees_with_its_copy(trained, doubled):
    doubled(trained.path)
    page = open_page(model="shapes/1", **{"with": "shapes/2"})
    uploads = [(f"{kind}.png", png(draw_shape(kind, 1)), "image/png") for kind in ("disc", "cross")]
    page.file_uploader[0].set_value(uploads).run()
    assert not page.exception
    assert page.subheader[0].value == "They agree on 2 of 2 images"
    assert page.query_params["with"] == "shapes/2"


def turned(answer):
    """Return the same answer with the classes of two objects changed."""
    from dataclasses import replace

    if hasattr(answer, "scores") and not hasattr(answer, "boxes"):
        return replace(answer, scores=answer.scores[::-1].copy())
    if hasattr(answer, "boxes"):
        return replace(answer, class_ids=1 - answer.class_ids)
    class_map = answer.class_map.copy()
    class_map[:5] = 1
    return replace(answer, class_map=class_map)


@pytest.fixture
def second_turned(monkeypatch: pytest.MonkeyPatch):
    """Version 2 answers otherwise where the name of the image begins with "other"."""
    import cnnapp

    answer = cnnapp.Predictor.predict_each

    def changed(model, images, batch_size=32, names=None, **options):
        for name, found in answer(model, images, batch_size, names=names, **options):
            yield name, turned(found) if model.card.version == 2 and name.startswith("other") else found

    monkeypatch.setattr(cnnapp.Predictor, "predict_each", changed)


@pytest.mark.parametrize("task", ["trained", "detector", "segmenter"])
def test_the_image_that_differs_comes_first(task: str, request, doubled, second_turned):
    name = doubled(request.getfixturevalue(task).path)
    page = open_page(model=f"{name}/1", **{"with": f"{name}/2"})
    pictures = [draw_shape("disc", 2)] * 2 if task == "trained" else [draw_scene(5, (37, 50))[0]] * 2
    uploads = [(file, png(one), "image/png") for file, one in zip(("same.png", "other.png"), pictures, strict=True)]
    page.file_uploader[0].set_value(uploads).run()
    assert not page.exception
    assert not page.error
    assert page.subheader[0].value == "They agree on 1 of 2 images"
    table = page.dataframe[0].value
    assert table["Image"].tolist() == ["other.png", "same.png"]
    assert table["Agree"].tolist() == ["no", "yes"]
    assert any("other.png" in text.value and "differ" in text.value for text in page.markdown)


def test_labels_of_a_zip_say_who_is_right(trained, doubled, second_turned):
    doubled(trained.path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(8):
            archive.writestr(f"other/disc/{number}.png", png(draw_shape("disc", number)))
    page = open_page(model="shapes/1", **{"with": "shapes/2"})
    page.file_uploader[0].set_value([("shapes.zip", buffer.getvalue(), "application/zip")]).run()
    assert not page.exception
    import cnnapp

    answers = cnnapp.load("shapes/1").predict([png(draw_shape("disc", number)) for number in range(8)])
    right = int(np.sum([answer.class_name == "disc" for answer in answers]))
    assert f"A right: {right} of 8, B right: {8 - right} of 8" in page.info[0].value


def test_embedded_digits_are_offered_with_their_labels(doubled):
    doubled(ROOT / "saved_models" / "digits" / "1")
    page = open_page(model="digits/1", **{"with": "digits/2"})
    page.button_group(key="place").set_value("Labelled digits").run()
    assert not page.exception
    assert page.subheader[0].value == "They agree on 280 of 280 images"
    assert "A right: 279 of 280" in page.info[0].value
    assert page.pagination[0].num_pages == 35
