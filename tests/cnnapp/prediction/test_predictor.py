"""The predictor: every way in gives the same answer; bad images do not disturb the rest."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnapp
from cnnapp.prediction import model_paths
from drawings import draw_shape
from pipelines.artifacts.golden import read_golden


@pytest.fixture
def predictor(models: Path) -> cnnapp.Predictor:
    return cnnapp.load("shapes")


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = [draw_shape(kind, seed, (20 + seed, 30)) for seed in range(5) for kind in ("disc", "cross")]


def test_paths_bytes_arrays_and_pictures_give_the_same_answer(predictor, tmp_path: Path):
    picture = PICTURES[0]
    picture.save(tmp_path / "a.png")
    picture.save(tmp_path / "a.webp", lossless=True)
    inputs = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        png(picture),
        np.asarray(picture),
        picture,
        tmp_path / "a.webp",
    ]
    # Each alone: by its place in a batch, the last bits of an image's scores differ.
    answers = [predictor.predict(each)[0] for each in inputs]
    for answer in answers[1:]:
        assert np.array_equal(answer.scores, answers[0].scores)
    for answer, alone in zip(predictor.predict(inputs), answers, strict=True):
        assert np.allclose(answer.scores, alone.scores, rtol=0, atol=1e-6)
    assert answers[0].source == str(tmp_path / "a.png")


@pytest.mark.parametrize("batch_size", [1, 3, 10, 100])
def test_the_size_of_a_batch_does_not_matter(predictor, batch_size: int):
    expected = [predictor.predict(picture)[0] for picture in PICTURES]
    found = predictor.predict(PICTURES, batch_size=batch_size)
    for a, b in zip(expected, found, strict=True):
        assert np.allclose(a.scores, b.scores, atol=1e-6)


def test_bad_images_get_their_reason_and_the_rest_their_answers(predictor, tmp_path: Path):
    cut = png(PICTURES[1])[:70]
    (tmp_path / "text.png").write_text("no image")
    inputs = [PICTURES[0], cut, tmp_path / "missing.png", PICTURES[1], tmp_path / "text.png", b"", PICTURES[2]]
    names = ["zero", "one", "two", "three", "four", "five", "six"]
    found = list(predictor.predict_each(inputs, names=names))
    assert [name for name, _ in found] == names
    bad = {name: str(answer) for name, answer in found if isinstance(answer, cnnapp.DataError)}
    assert bad == {
        "one": bad["one"],
        "two": "two: there is no such file",
        "four": "four: is not an image that can be read",
        "five": "five: the file is empty",
    }
    assert bad["one"].startswith("one: the image cannot be decoded: the file is damaged or incomplete")
    answer = dict(found)["three"]
    assert np.allclose(answer.scores, predictor.predict(PICTURES[1])[0].scores, atol=1e-6)
    with pytest.raises(cnnapp.DataError, match="cannot be decoded"):
        predictor.predict([PICTURES[0], cut])


def test_nothing_is_answered_with_nothing(predictor):
    assert predictor.predict([]) == []
    with pytest.raises(ValueError, match="batch_size: received 0"):
        predictor.predict([PICTURES[0]], batch_size=0)


def test_orientation_does_not_matter(predictor):
    """The same picture, stored in each of the eight ways."""
    upright = np.asarray(draw_shape("cross", 3, (30, 40)).resize((400, 300)))
    turns = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
             5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 7: np.rot90(upright, 2).transpose(1, 0, 2),
             8: np.rot90(upright, -1)}  # fmt: skip
    stored = []
    for orientation, pixels in turns.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(
            buffer, "JPEG", quality=100, subsampling=0, exif=exif.tobytes()
        )
        stored.append(buffer.getvalue())
    answers = predictor.predict(stored)
    for answer in answers[1:]:
        assert np.allclose(answer.scores, answers[0].scores, atol=1e-3)


def test_several_threads_may_ask_at_once(predictor):
    expected = predictor.predict(PICTURES)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: predictor.predict(PICTURES), range(8)):
            for a, b in zip(expected, found, strict=True):
                assert np.array_equal(a.scores, b.scores)


def test_a_model_verifies_itself(predictor, monkeypatch: pytest.MonkeyPatch):
    assert predictor.verify() <= 1e-5
    golden = read_golden(predictor.served.directory)
    golden.outputs["scores"] = golden.outputs["scores"] + 0.01
    monkeypatch.setattr("cnnapp.prediction.self_check.read_golden", lambda _: golden)
    with pytest.raises(cnnapp.ModelError, match=r"largest difference 0\.01"):
        predictor.verify()


def test_names_versions_and_paths_lead_to_a_model(models: Path, trained):
    for name in ("shapes", f"shapes/{trained.path.name}", trained.path, trained.path.parent, str(trained.path)):
        assert model_paths.resolve(name) == trained.path
    assert repr(cnnapp.load("shapes")) == f"<Predictor shapes/{trained.path.name}: classification, 2 classes>"


def test_what_is_no_model_is_answered_with_what_exists(models: Path, tmp_path: Path):
    with pytest.raises(
        cnnapp.ModelError, match=r"unknown saved model 'shape'; available: shapes. Did you mean 'shapes'"
    ):
        cnnapp.load("shape")
    with pytest.raises(cnnapp.ModelError, match=r"unknown version of shapes 'shapes/77'"):
        cnnapp.load("shapes/77")
    with pytest.raises(cnnapp.ModelError, match="holds no saved model"):
        cnnapp.load(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(cnnapp.ModelError, match="not a saved model of this application"):
        cnnapp.load(tmp_path)


def test_without_any_model_it_is_said_where_they_were_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path / "none"))
    with pytest.raises(cnnapp.ModelError, match=r"digits: there is no such saved model. No saved models in .*none\."):
        cnnapp.load("digits")
    assert model_paths.names() == {}
