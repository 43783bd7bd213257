"""The command that shows why an answer was given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnapp
from drawings import draw_scene, draw_shape


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, kind in enumerate(("disc", "cross")):
        draw_shape(kind, number).save(folder / f"{kind}.png")
    return folder


def test_images_are_explained_and_drawn(models: Path, photos: Path, command_line, tmp_path: Path):
    model = cnnapp.load("shapes")
    layer = model.inside.layers[1]
    status, out, err = command_line(
        "explain", "shapes", photos, "--class", "disc", "--draw", "why", "--features", layer, "--json", "why.json"
    )
    assert (status, err) == (0, "")
    expected = [model.explain(photos / f"{kind}.png", "disc") for kind in ("cross", "disc")]
    assert out.splitlines() == [str(each) for each in expected]
    record = json.loads((tmp_path / "why.json").read_text())
    assert record["explanations"] == [each.to_json() for each in expected]
    assert sorted(path.name for path in (tmp_path / "why").iterdir()) == [
        "0001-cross.png",
        f"0001-cross.{layer}.png",
        "0002-disc.png",
        f"0002-disc.{layer}.png",
    ]
    with Image.open(tmp_path / "why" / "0002-disc.png") as drawn:
        np.testing.assert_array_equal(np.asarray(drawn), np.asarray(expected[1].draw()))


def test_without_a_class_it_is_that_of_the_answer(models: Path, photos: Path, command_line):
    status, out, _ = command_line("explain", "shapes", photos / "disc.png")
    answer = cnnapp.load("shapes").predict([photos / "disc.png"])[0]
    assert status == 0
    assert f"{answer.class_name} ({answer.score * 100:.1f} %)" in out


@pytest.mark.parametrize(("fixture", "name"), [("detectors", "scattered"), ("segmenters", "painted")])
def test_other_tasks_are_explained(
    fixture: str, name: str, request: pytest.FixtureRequest, command_line, tmp_path: Path
):
    request.getfixturevalue(fixture)
    draw_scene(3)[0].save(tmp_path / "scene.png")
    status, out, _ = command_line("explain", name, "scene.png", "--class", "disc", "--draw", "why")
    assert status == 0
    assert "scene.png: disc (" in out
    assert (tmp_path / "why" / "0001-scene.png").is_file()


def test_a_bad_file_is_named_and_the_rest_explained(models: Path, photos: Path, command_line):
    (photos / "bad.png").write_bytes(b"no image")
    status, out, err = command_line("explain", "shapes", photos)
    assert status == 1
    assert len(out.splitlines()) == 2
    assert "bad.png: is not an image that can be read" in err
    assert "1 of 3 images could not be explained" in err


def test_what_cannot_be_asked_is_said(models: Path, photos: Path, command_line):
    for arguments, message in (
        (("--class", "dics"), "unknown class 'dics'"),
        (("--features", "conv"), "--features requires --draw"),
        (("--features", "nothing", "--draw", "why"), "unknown layer 'nothing'"),
    ):
        status, _, err = command_line("explain", "shapes", photos, *arguments)
        assert status == 2
        assert message in err
