"""Large images in bounded memory: what one call takes, what is refused undecoded, and a run that goes on."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnnapp
from pipelines.artifacts import memory
from pipelines.artifacts.served_model import ServedModel
from pipelines.images import image_io
from pipelines.images.windowed_reader import open_raster
from pipelines.segmentation.dense_prediction import LabelSpec
from pipelines.segmentation.tiled import Mosaic
from pipelines.segmentation.tiling import Halo


def stored(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def model(segmenters: Path) -> cnnapp.Predictor:
    return cnnapp.load("painted")


def needed(model: cnnapp.Predictor, height: int, width: int) -> int:
    return memory.needed(height, width, 1.0, model.card.input["bytes_per_pixel"], len(model.card.classes))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images there were in each call."""
    found: list[int] = []
    answer = ServedModel.__call__

    def counted(served: ServedModel, data: list[bytes], **options: Any) -> Any:
        found.append(len(data))
        return answer(served, data, **options)

    monkeypatch.setattr(ServedModel, "__call__", counted)
    return found


def test_a_batch_is_divided_until_the_answers_of_a_call_fit(model, calls: list[int], monkeypatch: pytest.MonkeyPatch):
    images = [np.full((30, 40, 3), value, np.uint8) for value in range(7)]
    expected = model.predict(images)
    assert calls == [7]
    calls.clear()
    monkeypatch.setattr(memory, "available", lambda: int(3.5 * needed(model, 30, 40) / 0.8))
    found = list(model.predict_each([*images[:2], b"no image", *images[2:]], names=list("abcdefgh")))
    assert calls == [3, 3, 1]
    assert [name for name, _ in found] == list("abcdefgh")
    answers = [answer for _, answer in found if isinstance(answer, cnnapp.Segmentation)]
    for answer, one in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(answer.class_map, one.class_map)


def test_one_that_fits_alone_is_answered_alone(model, calls: list[int], monkeypatch: pytest.MonkeyPatch):
    small, large = np.zeros((20, 20, 3), np.uint8), np.zeros((60, 60, 3), np.uint8)
    monkeypatch.setattr(memory, "available", lambda: int(1.1 * needed(model, 60, 60) / 0.8))
    assert [answer.size for answer in model.predict([small, small, large, small])] == [(20, 20)] * 2 + [
        (60, 60),
        (20, 20),
    ]
    assert calls == [2, 1, 1]


def test_the_answers_of_a_call_are_as_large_as_its_largest_sides(model, calls, monkeypatch: pytest.MonkeyPatch):
    high, wide = np.zeros((120, 10, 3), np.uint8), np.zeros((10, 120, 3), np.uint8)
    monkeypatch.setattr(memory, "available", lambda: int(2.5 * needed(model, 120, 10) / 0.8))
    model.predict([high, wide])
    assert calls == [1, 1]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "PPM", "BMP"])
@pytest.mark.parametrize("as_path", [False, True])
def test_what_does_not_fit_is_refused_before_it_is_decoded(
    model, kind: str, as_path: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    image = Image.new("P" if kind == "BMP" else "RGB", (300, 200))
    data = stored(image, kind)
    (tmp_path / "image").write_bytes(data)
    monkeypatch.setattr(memory, "available", lambda: 10_000_000)
    monkeypatch.setattr(image_io, "encode", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(cnnapp.DataError, match=r"300 x 200 pixels needs .* --tile 1024"):
        model.predict(tmp_path / "image" if as_path else data)


@pytest.mark.parametrize("kind", [np.asarray, lambda image: image])
def test_arrays_and_pictures_are_refused_before_they_are_encoded(model, kind, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "available", lambda: 10_000_000)
    monkeypatch.setattr(image_io, "encode", lambda *_: pytest.fail("was encoded"))
    with pytest.raises(cnnapp.DataError, match="300 x 200 pixels needs"):
        model.predict(kind(Image.new("RGB", (300, 200))))


@pytest.mark.parametrize("side", [30, 46])  # twice as many pixels as Pillow's limit is an error, fewer a warning
def test_an_image_that_pillow_calls_a_bomb_is_refused_in_our_words(model, side: int, monkeypatch: pytest.MonkeyPatch):
    data = stored(Image.new("RGB", (side, side)), "TIFF")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000 if side == 46 else 2000)
    monkeypatch.setattr(image_io, "MAX_PIXELS", 800)
    with pytest.raises(cnnapp.DataError, match=r"at most 800 .*--tile 1024"):
        model.predict(data)


def test_what_is_wrong_with_a_file_is_said_as_before(model, tmp_path: Path):
    (tmp_path / "empty.png").write_bytes(b"")
    for source, message in (
        (tmp_path / "missing.png", "missing.png: there is no such file"),
        (tmp_path, "is a folder, not an image"),
        (tmp_path / "empty.png", "empty.png: the file is empty"),
        (np.zeros(5, np.uint8), "expected uint8 of shape"),
    ):
        with pytest.raises(cnnapp.DataError, match=message):
            model.predict(source)


def test_a_blended_run_that_goes_on_counts_no_piece_twice():
    """What is computed again for the rows that fade is not told."""
    record = LabelSpec(1.0, 3, 1, 1).to_json() | {"halo": Halo(0, 0, 1, ("mean",)).to_json()}
    card = SimpleNamespace(name="any", input=record, classes=["a", "b", "c"])
    served = SimpleNamespace(card=card, directory=Path(), run=lambda _, pixels: {"outputs": pixels})
    pixels = np.random.default_rng(0).integers(0, 255, (200, 130, 3)).astype(np.uint8)
    with open_raster(pixels) as raster:
        mosaic = Mosaic(served, raster, 64, blend=True)  # type: ignore[arg-type]
        whole = list(mosaic.bands())
        for start in range(len(mosaic.rows)):
            told: list[int] = []
            bands = list(mosaic.bands(start, lambda told=told: told.append(1)))  # type: ignore[misc]
            assert start * len(mosaic.columns) + len(told) == mosaic.pieces
            assert [band.first for band in bands] == [band.first for band in whole[start:]]
            np.testing.assert_array_equal(bands[0].class_map, whole[start].class_map)
