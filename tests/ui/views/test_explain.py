"""The page that shows why, driven by Streamlit's own test harness, with the models that ship."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

import cnnapp
from cnnapp.explain.decisions import decide
from pipelines.artifacts.golden import read_golden
from pipelines.core.percent import percent
from pipelines.images import image_io
from places import ROOT

VIEWS = ("Evidence", "Filters", "Feature maps", "Receptive field")
PAGE = "from ui.views import explain; explain.page()"


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(ROOT / "saved_models"))


def open_page(**query: str) -> AppTest:
    page = AppTest.from_string(PAGE, default_timeout=120)
    for name, value in query.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    return page


def below_pictures(page: AppTest) -> list[str]:
    return [caption for picture in page.image for caption in picture.captions]


def captions(page: AppTest) -> str:
    """What is written below the pictures and elsewhere on the page."""
    return "\n".join(
        [*below_pictures(page), *(text.value for text in [*page.markdown, *page.caption, *page.subheader])]
    )


@pytest.mark.parametrize("name", ["digits", "digit-scenes", "digit-segmentation"])
def test_every_view_shows_pictures_with_captions_for_every_task(name: str):
    for view in VIEWS:
        page = open_page(model=name, view=view)
        assert not page.error, view
        pictures = below_pictures(page)
        assert len(pictures) >= (1 if view == "Feature maps" else 2), view
        assert all(pictures), view


def test_the_class_of_the_address_is_explained_and_another_can_be_chosen():
    model = cnnapp.load("digits")
    data = read_golden(model.served.directory).inputs[0]
    page = open_page(model="digits", **{"class": "7"})
    assert page.subheader[0].value == f"7 · {percent(model.explain(data, '7').score, 1)}"
    assert "class activation map" in captions(page)
    assert "logits" in captions(page)
    page.selectbox(key="explain class").set_value("3").run()
    assert page.subheader[0].value == f"3 · {percent(model.explain(data, '3').score, 1)}"
    assert page.query_params["class"] in ("3", ["3"])
    page.selectbox(key="explain class").set_value("").run()
    found = model.explain(data)
    assert page.subheader[0].value == f"{found.class_name} · {percent(found.score, 1)}"
    assert "class" not in page.query_params


def test_the_layer_of_the_address_is_shown_and_kept_from_view_to_view():
    page = open_page(model="digits", layer="pool1")
    assert page.button_group(key="explain view").value == "Feature maps"
    assert "the maps of pool1" in captions(page)
    page.selectbox(key="explain layer").set_value("stage2_conv1").run()
    assert "the maps of stage2_conv1" in captions(page)
    page.button_group(key="explain view").set_value("Receptive field").run()
    assert not page.exception
    assert page.select_slider(key="explain sight").value == "stage2_conv1"
    page.select_slider(key="explain sight").set_value("pool1").run()
    page.button_group(key="explain view").set_value("Feature maps").run()
    assert page.selectbox(key="explain layer").value == "pool1"


def test_what_is_seen_grows_with_the_layer_and_moves_with_the_point():
    model = cnnapp.load("digit-segmentation")
    data = read_golden(model.served.directory).inputs[0]
    shown = model.inside.shown(data)
    page = open_page(model="digit-segmentation", layer="first_conv", view="Receptive field")
    for layer in ("first_conv", "pool2"):
        page.select_slider(key="explain sight").set_value(layer).run()
        page.number_input(key="explain x").set_value(60).run()
        page.number_input(key="explain y").set_value(40).run()
        left, top, right, bottom = model.inside.growth(shown, 60.5, 40.5)[layer]
        assert f"sees {right - left:.0f} × {bottom - top:.0f} pixels" in captions(page)
        found = decide(model.inside, shown, 60.5, 40.5)
        assert f"{found.class_name} · {percent(found.score, 1)}**: the pixel at x 60, y 40" in captions(page)
    page.button_group(key="explain view").set_value("Evidence").run()
    page.button_group(key="explain view").set_value("Receptive field").run()
    assert (page.number_input(key="explain x").value, page.number_input(key="explain y").value) == (60, 40)
    # Another model's images are others: there it begins at their evidence.
    page.selectbox(key="model choice").set_value("digits/1").run()
    assert not page.exception
    assert not page.warning  # of the layer, which only the model before has
    digits = cnnapp.load("digits")
    x, y = digits.explain(read_golden(digits.served.directory).inputs[0]).best
    assert (page.number_input(key="explain x").value, page.number_input(key="explain y").value) == (int(x), int(y))


def test_a_detector_is_looked_at_where_it_found_something_and_maps_begin_with_a_convolution():
    page = open_page(model="digit-scenes", view="Receptive field")
    model = cnnapp.load("digit-scenes")
    found = model.explain(read_golden(model.served.directory).inputs[0])
    progress = [text.value for text in page.markdown if text.value.startswith(f"**{found.class_name} · ")]
    assert len(progress) == 1
    assert float(progress[0].split("·")[1].split("%")[0]) == pytest.approx(100 * found.score, abs=0.1)
    assert "confidence map" in captions(open_page(model="digit-scenes", view="Evidence"))
    page = open_page(model="digit-scenes", view="Feature maps")
    assert page.selectbox(key="explain layer").value == "stage1_conv1"


@pytest.mark.parametrize("view", VIEWS)
def test_a_photograph_is_looked_at_smaller_which_is_said(view: str):
    photograph = image_io.encode(Image.effect_noise((2000, 1500), 60).convert("RGB"))
    page = open_page(model="digit-segmentation", view=view)
    page.file_uploader[0].set_value([("photograph.png", photograph, "image/png")]).run()
    assert not page.exception
    assert not page.error
    assert "photograph.png is large: looked at in 836 x 627 pixels, of 2000 x 1500." in captions(page)


def test_what_the_address_asks_for_in_vain_is_named_until_another_is_chosen():
    page = open_page(model="digits/7", view="nosuch", **{"class": "zzz"})
    assert page.selectbox(key="model choice").value == "digits/1"
    assert [each.value for each in page.warning] == [
        "There is no model digits/7; showing digits/1.",
        "There is no view nosuch; showing Evidence.",
        "There is no class zzz; showing Predicted class.",
    ]
    page.selectbox(key="explain class").set_value("3").run()
    assert len(page.warning) == 2
    page.selectbox(key="model choice").set_value("fashion/1").run()
    assert [each.value for each in page.warning] == ["There is no view nosuch; showing Evidence."]
    page = open_page(model="nosuch", layer="zzz", view="Feature maps")
    assert page.warning[0].value == f"There is no model nosuch; showing {page.selectbox(key='model choice').value}."
    assert page.warning[1].value.startswith("There is no layer zzz; showing ")


def test_an_upload_is_explained_and_a_bad_one_gets_one_line():
    data = read_golden(ROOT / "saved_models" / "fashion" / "1").inputs[1]
    page = open_page(model="fashion")
    page.file_uploader[0].set_value([("coat.png", data, "image/png")]).run()
    assert not page.exception
    found = cnnapp.load("fashion").explain(data)
    assert page.subheader[0].value == f"{found.class_name} · {percent(found.score, 1)}"
    page.file_uploader[0].set_value([("bad.png", b"no image", "image/png")]).run()
    assert not page.exception
    assert [error.value for error in page.error] == ["bad.png: is not an image that can be read"]


def test_without_a_model_the_page_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
    assert "cnnapp demo" in open_page().warning[0].value


def test_a_model_of_an_earlier_version_says_how_to_get_explanations(monkeypatch: pytest.MonkeyPatch):
    from pipelines.artifacts.served_model import ServedModel

    monkeypatch.setattr(ServedModel, "has", lambda model, signature: False)
    import streamlit as st

    st.cache_resource.clear()
    assert "cnnapp export digits --format saved_model" in open_page(model="digits").error[0].value


def test_an_image_that_is_hardly_high_can_be_clicked_and_seen():
    page = open_page(model="digit-segmentation", view="Receptive field")
    wide = image_io.encode(Image.effect_noise((1500, 10), 60).convert("RGB"))
    page.file_uploader[0].set_value([("wide.png", wide, "image/png")]).run()
    assert not page.exception
    assert not page.error
    assert (page.number_input(key="explain x").value, page.number_input(key="explain y").value) == (750, 5)


@pytest.mark.parametrize(("size", "rows"), [((10, 1500), 5), ((1500, 10), 64), ((48, 64), 48), ((1, 1), 1)])
def test_the_places_to_click_on_cover_every_pixel_once(size: tuple[int, int], rows: int):
    from ui.components import clickable_image

    height, width = size
    parts = [clickable_image._parts(side, max(44, 328 * side / max(size))) for side in size]
    assert abs(len(parts[0]) - rows) <= 4
    covered = [[place for begin, end in part for place in range(begin, end)] for part in parts]
    assert covered == [list(range(height)), list(range(width))]
    cells = clickable_image._cells(*parts)
    assert all(
        each["left"] <= each["x"] < each["right"] and each["top"] <= each["y"] < each["bottom"] for each in cells
    )


def test_an_address_with_the_former_name_of_a_view_still_opens_it():
    page = open_page(model="digits", view="What it sees")
    assert page.button_group(key="explain view").value == "Receptive field"
    assert not page.warning
