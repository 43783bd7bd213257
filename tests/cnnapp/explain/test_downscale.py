"""Images that are looked at smaller than they are."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import cnnapp
from cnnapp.explain.downscale import quick, reduced
from drawings import draw_scene
from pipelines.artifacts import memory
from pipelines.core.errors import DataError
from pipelines.images import image_io
from profiles import examples


@settings(max_examples=examples(40))
@given(width=st.integers(1, 90), height=st.integers(1, 90), most=st.integers(1, 3000))
def test_an_image_is_reduced_to_its_limit_and_keeps_its_shape(width: int, height: int, most: int):
    data = image_io.encode(Image.new("L", (width, height)))
    found = reduced(data, most)
    assert found.original == (height, width)
    with Image.open(io.BytesIO(found.data)) as picture:
        assert (picture.height, picture.width) == found.size
    if width * height <= most:
        assert found.data == data
        assert not found
    else:
        assert found
        # No side is below one pixel, which alone may make more of an image that is hardly wide.
        assert np.prod(found.size) <= max(most, *found.size)
        share = (most / (width * height)) ** 0.5
        for now, was in zip(found.size, found.original, strict=True):
            assert abs(now - was * share) <= 1
    assert found.before((0.0, 0.0, found.size[1], found.size[0])) == pytest.approx((0, 0, width, height))


def test_a_turned_photograph_keeps_its_upright_shape(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (400, 100)).save(tmp_path / "turned.jpg", exif=exif)
    found = reduced(tmp_path / "turned.jpg", 10_000)
    assert (found.original, found.size) == ((400, 100), (200, 50))


def test_classifiers_are_shown_one_size_so_that_nothing_is_reduced(trained, segmenter):
    large = image_io.encode(Image.new("L", (2000, 1000)))
    assert not quick(cnnapp.Predictor(trained.path).inside, large)
    assert quick(cnnapp.Predictor(segmenter.path).inside, large).size == (512, 1024)


@pytest.mark.slow
def test_maps_of_one_layer_are_those_of_all(segmenter, detector, trained):
    for model in map(cnnapp.Predictor, (segmenter.path, detector.path, trained.path)):
        image = draw_scene(5)[0]
        together, shown = model.features(image), model.inside.shown(image)
        assert model.inside.sizes(shown) == {layer: maps.shape for layer, maps in together.items()}
        for layer in (model.inside.first_convolution, model.inside.layers[-1]):
            alone = model.inside.maps_of(shown, str(layer), "a.png")
            np.testing.assert_allclose(alone[str(layer)], together[str(layer)], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_the_command_explains_what_it_would_refuse(
    segmenters: Path, command_line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    model = cnnapp.load("painted")
    scene = draw_scene(5, (80, 120))[0].resize((360, 240))
    scene.save(tmp_path / "scene.png")
    whole = model.explain(tmp_path / "scene.png", "disc")
    needed = memory.needed(240, 360, model.card.training["scale"], model.card.input["bytes_per_pixel"], 3)
    monkeypatch.setattr(memory, "available", lambda: needed // 2)
    with pytest.raises(DataError, match="GiB of memory; only"):
        model.explain(tmp_path / "scene.png")
    layer = model.inside.layers[0]
    status, _, error = command_line(
        "explain", "painted", "scene.png", "--class", "disc", "--draw", "why", "--features", layer, "--json", "a.json"
    )
    assert status == 0, error
    assert "scene.png: looked at in " in error
    assert "of 360 x 240, which fit into memory" in error
    [record] = json.loads((tmp_path / "a.json").read_text())["explanations"]
    # In pixels of the image as it was.
    np.testing.assert_allclose(record["region"], whole.region, atol=6)
    with Image.open(tmp_path / "why" / "0001-scene.png") as drawn:
        assert drawn.width % 360 == 0
    assert (tmp_path / "why" / f"0001-scene.{layer}.png").exists()
