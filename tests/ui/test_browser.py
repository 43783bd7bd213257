"""The page Predict in a real Chromium: upload, answer, threshold, download, camera."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnapp
from drawings import draw_shape
from page_server import download, keep, needs_chromium, open_page, served, wait_for_pictures
from pipelines.core.percent import percent
from pipelines.data.embedded import scenes
from places import ROOT

pytestmark = needs_chromium


def test_upload_answer_download(address: str, models: Path, browser, tmp_path: Path):
    paths = []
    for number, kind in enumerate(("disc", "cross")):
        paths.append(tmp_path / f"{kind}.png")
        draw_shape(kind, number).save(paths[-1])
    (tmp_path / "broken.png").write_bytes(paths[0].read_bytes()[:70])
    with zipfile.ZipFile(tmp_path / "folder.zip", "w") as archive:
        archive.write(paths[1], "folder/cross.png")
        archive.writestr("__MACOSX/folder/._cross.png", b"junk")
        archive.writestr("folder/notes.txt", b"no image")
    page, trouble = open_page(browser, address + "?model=shapes")
    page.set_input_files("input[type=file]", [paths[0], tmp_path / "broken.png", tmp_path / "folder.zip"])
    page.get_by_text("All results").wait_for(timeout=60_000)
    page.get_by_text("broken.png: the image cannot be decoded").wait_for()
    page.get_by_text("folder.zip: 1 file skipped (not an image), such as folder/notes.txt").wait_for()
    wait_for_pictures(page, 2)
    rows = list(csv.DictReader(io.StringIO(download(page, "Download CSV").decode())))
    expected = cnnapp.load("shapes").predict(paths)
    for row, name, answer in zip(rows, ("disc.png", "folder/cross.png"), expected, strict=False):
        assert row["source"] == name
        assert row["class_name"] == answer.class_name
        assert float(row["score"]) == pytest.approx(answer.score, abs=1e-5)
        shown = page.get_by_role("heading", name=f"{answer.class_name} · {percent(answer.score, 1)}")
        assert shown.count() >= 1
    assert rows[2]["error"].startswith("broken.png")
    record = json.loads(download(page, "Download JSON"))
    assert [answer["source"] for answer in record["answers"]] == ["disc.png", "folder/cross.png"]
    keep(page, "predict-classes.png")
    assert not trouble


@pytest.mark.slow
def test_boxes_follow_the_threshold_and_a_score_map_is_drawn(address: str, browser, tmp_path: Path):
    drawn = next(scenes.load(0).test.examples())
    path = tmp_path / "scene.png"
    path.write_bytes(drawn.image)
    expected = cnnapp.load(ROOT / "saved_models" / "digit-scenes").predict([path])[0]
    assert len(expected) >= 1
    page, trouble = open_page(browser, address + "?model=digit-scenes")
    page.set_input_files("input[type=file]", [path])
    found = ", ".join(f"{count} × {name}" for name, count in expected.counts().items())
    page.get_by_role("heading", name=found).wait_for(timeout=60_000)
    assert len(json.loads(download(page, "Download COCO"))) == len(expected)
    digit = expected.class_names[expected.class_ids[0]]
    page.get_by_role("combobox", name="Show confidence map for").click()
    page.get_by_role("option", name=digit, exact=True).click()
    page.get_by_text(f"confidence for {digit} at every window").first.wait_for(timeout=60_000)
    wait_for_pictures(page, 2)
    keep(page, "predict-boxes.png")
    page.get_by_role("slider", name="Minimum confidence").press("End")
    page.get_by_role("heading", name="nothing found").wait_for(timeout=60_000)
    assert json.loads(download(page, "Download COCO")) == []
    assert not trouble


@pytest.mark.slow
def test_a_photograph_is_answered_once_the_camera_is_chosen(address: str, browser):
    page, trouble = open_page(browser, address)
    assert page.get_by_role("button", name="Take Photo").count() == 0
    page.get_by_text("Camera", exact=True).click()
    # Before the camera's first picture, the button does nothing.
    page.wait_for_function("document.querySelector('video')?.videoWidth > 0", timeout=60_000)
    page.get_by_role("button", name="Take Photo").click(timeout=30_000)
    page.get_by_text("All results").wait_for(timeout=60_000)
    page.get_by_text("photograph.jpg").first.wait_for()
    assert not trouble


@pytest.mark.slow
def test_the_mask_of_the_page_is_that_of_a_process_with_only_tensorflow(
    segmenters: Path, painted: Path, browser, tmp_path: Path
):
    model = segmenters / "painted" / "1"
    path = sorted((painted / "test" / "images").iterdir())[0]
    code = """
        import sys
        for name in ("layers", "pipelines", "cnnapp", "ui", "keras"):
            sys.modules[name] = None
        import numpy as np, tensorflow as tf
        answer = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
        np.save(sys.argv[3], answer(image_bytes=tf.constant([open(sys.argv[2], "rb").read()]))["class_map"].numpy()[0])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(model), str(path), str(tmp_path / "map.npy")]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    expected = np.load(tmp_path / "map.npy")
    assert len(np.unique(expected)) > 1

    with served(tmp_path / "page.log") as address:
        page, trouble = open_page(browser, address + "?model=painted")
        page.set_input_files("input[type=file]", [path])
        wait_for_pictures(page, 2)
        for pieces in (False, True):
            if pieces:
                page.get_by_text("Process in tiles").click()
                page.wait_for_timeout(3000)
            with Image.open(io.BytesIO(download(page, "Download the mask"))) as mask:
                np.testing.assert_array_equal(np.asarray(mask), expected)
        with zipfile.ZipFile(io.BytesIO(download(page, "Download masks"))) as archive:
            (name,) = archive.namelist()
            with Image.open(io.BytesIO(archive.read(name))) as mask:
                assert mask.mode == "P"
                np.testing.assert_array_equal(np.asarray(mask), expected)
        with zipfile.ZipFile(io.BytesIO(download(page, "Download pictures"))) as archive:
            assert archive.namelist() == [name]
        keep(page, "predict-areas.png")
    assert not trouble
