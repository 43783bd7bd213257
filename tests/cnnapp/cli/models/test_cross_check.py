"""One answer everywhere: the same file by every way in, for every task, against Pillow's reading of it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image, ImageOps

import cnnapp
from cnnapp.cli.models import cross_check
from pipelines.artifacts.served_model import ServedModel, as_numpy
from pipelines.data.embedded import scenes
from pipelines.images import image_io
from places import ROOT
from services import RunningService, running_service

MODELS = {"classification": "fashion/1", "detection": "digit-scenes/1", "segmentation": "digit-segmentation/1"}
SCORES = ("scores", "confidence", "boxes")
TOLERANCE = 1e-5


@cache
def served(task: str) -> ServedModel:
    return ServedModel(ROOT / "saved_models" / MODELS[task])


def _picture() -> Image.Image:
    """Return a scene of digits in uneven colours, 128 x 96."""
    grey = scenes.scene(0, "test", 5).image.astype(int)
    return Image.fromarray(np.stack([grey, grey * 7 // 8 + 9, 255 - (255 - grey) * 9 // 10], -1).astype(np.uint8))


def _file(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _turned(picture: Image.Image, orientation: int) -> bytes:
    """Return a photograph of a camera held otherwise: the pixels lie as its sensor did, a tag says how to turn them."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions, each undone by the tag's
    stored = picture if orientation == 1 else picture.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _file(stored, "JPEG", quality=95, exif=exif)


def _files() -> dict[str, bytes]:
    picture = _picture()
    fade = Image.fromarray(np.tile(np.linspace(0, 255, 128).astype(np.uint8), (96, 1)))
    deep = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    with_alpha = picture.copy()
    with_alpha.putalpha(fade)
    return {f"orientation{number}.jpg": _turned(picture, number) for number in range(1, 9)} | {
        "colour.png": _file(picture, "PNG"),
        "grey.png": _file(picture.convert("L"), "PNG"),
        "grey.jpg": _file(picture.convert("L"), "JPEG", quality=95),
        "alpha.png": _file(with_alpha, "PNG"),
        "deep.png": _file(deep, "PNG"),
        "deep.tif": _file(deep, "TIFF"),
        "print.jpg": _file(picture.convert("CMYK"), "JPEG", quality=95),
        "palette.gif": _file(picture.quantize(200), "GIF"),
        "photo.webp": _file(picture, "WEBP", lossless=True),
        "colour.bmp": _file(picture, "BMP"),
    }


FILES = _files()


def _read_by_pillow(data: bytes) -> np.ndarray:
    """Return upright RGB pixels, read without any of the project's code."""
    with Image.open(io.BytesIO(data)) as stored:
        image = ImageOps.exif_transpose(stored)
        if image.mode.startswith("I;16"):
            return (np.asarray(image) >> 8).astype(np.uint8)[..., None].repeat(3, -1)
        if image.mode == "RGBA":
            white = Image.new("RGBA", image.size, "white")
            return np.asarray(Image.alpha_composite(white, image).convert("RGB"))
        return np.asarray(image.convert("RGB"))


@cache
def _expected(task: str) -> dict[str, dict[str, np.ndarray]]:
    """What the model says of each file's pixels, through the signature for decoded images."""
    import tensorflow as tf

    model = served(task)
    options = {name: tf.constant(value, tf.float32) for name, value in model.card.input.get("options", {}).items()}
    return {
        name: as_numpy(model.run("pixels", images=tf.constant(_read_by_pillow(data)[None]), **options))
        for name, data in FILES.items()
    }


def _compare(task: str, name: str, found: dict[str, np.ndarray]) -> None:
    expected = _expected(task)[name]
    assert set(found) == set(expected), name
    for part, wanted in expected.items():
        if part in SCORES:
            scale = 128.0 if part == "boxes" else 1.0
            np.testing.assert_allclose(found[part], wanted, atol=TOLERANCE * scale, err_msg=f"{name}: {part}")
        else:
            np.testing.assert_array_equal(found[part], wanted, err_msg=f"{name}: {part}")


def by_python(task: str, folder: Path) -> dict[str, dict[str, np.ndarray]]:
    return {name: served(task)([image_io.read(folder / name)]) for name in FILES}


def by_tensorflow_alone(task: str, folder: Path) -> dict[str, dict[str, np.ndarray]]:
    return _cut(cross_check.by_tensorflow_alone(served(task), _sent(folder)), task)


def by_saved_model_cli(task: str, folder: Path) -> dict[str, dict[str, np.ndarray]]:
    return _cut(cross_check.by_saved_model_cli(served(task), _sent(folder)), task)


def by_the_page(task: str, folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """The files as they are, uploaded together."""
    return _cut(cross_check.by_the_page(served(task), list(FILES.values())), task)


def _sent(folder: Path) -> list[bytes]:
    """Return what a client sends who brings other formats to those that the graph reads."""
    return [image_io.read(folder / name) for name in FILES]


def _cut(batch: dict[str, np.ndarray], task: str) -> dict[str, dict[str, np.ndarray]]:
    """Return the answers of a batch one by one, in the shape that each has alone; what is filled up is cut off."""
    found = {}
    for at, name in enumerate(FILES):
        like = _expected(task)[name]
        found[name] = {
            part: values[at : at + 1][tuple(slice(size) for size in like[part].shape)] for part, values in batch.items()
        }
    return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One for all tasks."""
    directories = [served(task).directory for task in MODELS]
    with running_service(tmp_path_factory.mktemp("service") / "log.txt", *directories) as running:
        yield running


def by_http_service(task: str, folder: Path, service: RunningService) -> dict[str, dict[str, np.ndarray]]:
    """The files as they are, whatever their format, each in a request of its own."""
    name, _, version = MODELS[task].partition("/")
    found = {}
    for file, data in FILES.items():
        content = {"inputs": {"image_bytes": [{"b64": base64.b64encode(data).decode()}]}}
        answer = requests.post(f"{service.url}/v1/models/{name}/versions/{version}:predict", json=content, timeout=60)
        assert answer.status_code == 200, f"{file}: {answer.text[:500]}"
        like = _expected(task)[file]
        found[file] = {part: np.array(values, like[part].dtype) for part, values in answer.json()["outputs"].items()}
    return found


WAYS: list[Callable[..., dict[str, dict[str, np.ndarray]]]] = [
    by_python,
    by_tensorflow_alone,
    by_saved_model_cli,
    by_the_page,
    by_http_service,
]


def case(way: Callable[..., dict[str, dict[str, np.ndarray]]], task: str) -> Any:
    """Return a case, which is slow where it is by a process of its own, or the page for all but one task."""
    marks = [] if way is by_python or (way, task) in QUICK else [pytest.mark.slow]
    marks += [pytest.mark.service] if way is by_http_service else []
    return pytest.param(way, task, marks=marks, id=f"{way.__name__}-{task}")


QUICK = [(by_tensorflow_alone, "segmentation"), (by_the_page, "detection")]


@pytest.mark.parametrize(("way", "task"), [case(way, task) for way in WAYS for task in MODELS])
def test_every_way_in_gives_the_answer_for_the_pixels(way, task: str, tmp_path: Path, request: pytest.FixtureRequest):
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    more = (request.getfixturevalue("service"),) if way is by_http_service else ()
    answers = way(task, tmp_path, *more)
    assert set(answers) == set(FILES)
    for name, found in answers.items():
        _compare(task, name, found)


@pytest.mark.parametrize("task", MODELS)
def test_the_predictor_says_what_the_model_says(task: str, tmp_path: Path):
    """Paths and bytes are one."""
    model = cnnapp.load(served(task).directory)
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    paths = [tmp_path / name for name in FILES]
    for one, other in zip(model.predict(paths), model.predict(list(FILES.values())), strict=True):
        first, second = (json.dumps(answer.to_json()).replace(answer.source, "it") for answer in (one, other))
        assert first == second


def test_pictures_of_all_orientations_have_the_same_shape_upright():
    shapes = {_read_by_pillow(FILES[f"orientation{number}.jpg"]).shape for number in range(1, 9)}
    assert shapes == {(96, 128, 3)}
