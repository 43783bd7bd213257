"""All ways in take the same images: what is too large for one is too large for all, in the same words."""

from __future__ import annotations

import base64
import inspect
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cnnapp
from cnnapp.prediction import uploads
from cnnapp.prediction.prediction_cache import AnswerStore
from cnnapp.service.limits import Limits
from cnnapp.service.model import LoadedModel
from cnnapp.service.protocol import Refusal
from drawings import draw_shape
from hostile_files import within
from pipelines.core.errors import DataError
from pipelines.core.progress import Reporter
from pipelines.data import classification, detection, segmentation
from pipelines.images import image_io
from pipelines.tasks.registry import find_task
from places import ROOT
from sets_of_formats import class_folders, coco, masks

SOURCES: dict[str, Any] = {
    "classification": classification,
    "detection": detection,
    "segmentation": segmentation,
}
MODELS = ROOT / "saved_models"


def png_of(side: int) -> bytes:
    """Return a PNG that says how large it is, and holds nothing."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = b"IDAT" + zlib.compress(bytes(100))
    parts = (header, body, b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts
    )


def jpeg_of(scans: int) -> bytes:
    buffer = io.BytesIO()
    draw_shape("disc", 1).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


def tiff_of(tile: int) -> bytes:
    fields = [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (322, tile), (323, tile), (324, 8), (325, 4)]
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + packed + bytes(4)


TOO_LARGE = {
    "pixels": (png_of(20_000), "at most 178,956,970 pixels are decoded at once, and the image has more"),
    "pixels of a slow format": (
        b"P2 5000 4000 255 1",
        "5000 x 4000 pixels; at most 16,777,216 of PPM are decoded, which takes long; save it as PNG or TIFF",
    ),
    "scans": (jpeg_of(200), "has more than 100 scans, the most that are decoded; save it anew"),
    "tiles": (tiff_of(2**16), "has tiles of 65,536 x 65,536 pixels; at most 268,435,456 samples are decoded at once"),
}


@pytest.fixture(scope="module")
def predictors() -> dict[str, cnnapp.Predictor]:
    names = {"classification": "digits", "detection": "digit-scenes", "segmentation": "digit-segmentation"}
    return {task: cnnapp.load(MODELS / name / "1") for task, name in names.items()}


@pytest.fixture(scope="module")
def served() -> LoadedModel:
    return LoadedModel(MODELS / "digits" / "1", Limits())


def refusal_of(call: Callable[[], Any]) -> str:
    try:
        call()
    except (DataError, Refusal) as error:
        return str(error)
    return ""


Way = Callable[[dict[str, cnnapp.Predictor], bytes, Path], str]


def by_method(task: str, method: str, of_path: bool = False) -> Way:
    def call(predictors: dict[str, cnnapp.Predictor], data: bytes, folder: Path) -> str:
        (folder / "a.img").write_bytes(data)
        image: Any = folder / "a.img" if of_path else data
        arguments = [[image]] if method in ("predict", "predict_each") else [image]
        if method == "segment_to":
            arguments.append(folder / "mask.tif")

        def ask() -> None:
            found = getattr(predictors[task], method)(*arguments)
            for _, answer in found if method == "predict_each" else ():
                if isinstance(answer, DataError):
                    raise answer

        return refusal_of(ask)

    return call


def in_a_set(task: str, checked: bool) -> Way:
    make, file = {
        "classification": (class_folders, "train/cross/0.png"),
        "detection": (coco, "train/0.png"),
        "segmentation": (masks, "train/images/0.png"),
        "masks": (masks, "train/masks/0.png"),
    }[task]
    name = "segmentation" if task == "masks" else task

    def call(predictors: dict[str, cnnapp.Predictor], data: bytes, folder: Path) -> str:
        root = make(folder / "set")
        (root / file).write_bytes(data)
        if checked:
            return "\n".join(map(str, find_task(name).check(str(root), None, 0, Reporter(quiet=True)).problems))
        return refusal_of(lambda: list(SOURCES[name].load(str(root))["train"].examples()))

    return call


def uploaded(packed: bool) -> Way:
    """What the page does with what is uploaded."""

    def call(predictors: dict[str, cnnapp.Predictor], data: bytes, folder: Path) -> str:
        files = [("a.png", data)]
        if packed:
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("a.png", data)
            files = [("a.zip", buffer.getvalue())]
        found = uploads.gather(files)
        (answered,) = AnswerStore().answer(predictors["classification"], found.images)
        return str(answered.answer)

    return call


def shown(predictors: dict[str, cnnapp.Predictor], data: bytes, folder: Path) -> str:
    return refusal_of(lambda: image_io.open_rgb(data))


METHODS = {
    (task, method)
    for task, found in (
        ("classification", ("predict", "predict_each", "explain", "features")),
        ("detection", ("predict", "score_map", "predict_by_pieces")),
        ("segmentation", ("predict", "predict_by_pieces", "segment_to")),
    )
    for method in found
}
WAYS: dict[str, Way] = {
    **{f"{method}, {task}": by_method(task, method) for task, method in sorted(METHODS)},
    **{f"{method}, {task}, a path": by_method(task, method, of_path=True) for task, method in sorted(METHODS)},
    **{f"a data set, {task}": in_a_set(task, checked=False) for task in (*SOURCES, "masks")},
    **{f"check, {task}": in_a_set(task, checked=True) for task in (*SOURCES, "masks")},
    "an upload": uploaded(packed=False),
    "an upload in a zip": uploaded(packed=True),
    "a picture on the page": shown,
}
IN_TILES = ("predict_by_pieces", "segment_to")


@pytest.mark.parametrize("way", WAYS)
def test_what_is_too_large_is_refused_in_the_same_words(
    way: str, predictors: dict[str, cnnapp.Predictor], tmp_path: Path
):
    for number, (kind, (data, said)) in enumerate(TOO_LARGE.items()):
        if kind == "pixels" and way.startswith(IN_TILES):
            continue  # That is what tiles are for.
        folder = tmp_path / str(number)
        folder.mkdir()
        with within(60):
            assert said in WAYS[way](predictors, data, folder), kind


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_a_service_refuses_them_in_the_same_words(kind: str, served: LoadedModel):
    data, said = TOO_LARGE[kind]
    body = json.dumps({"instances": [{"b64": base64.b64encode(data).decode()}]}).encode()
    with within(30), pytest.raises(Refusal) as refused:
        served.read(body)
    assert said in str(refused.value)


def test_the_command_line_refuses_them_in_the_same_words(command_line, tmp_path: Path):
    for number, (data, _) in enumerate(TOO_LARGE.values()):
        (tmp_path / f"{number}.png").write_bytes(data)
    for command in (("predict", MODELS / "digits" / "1"), ("explain", MODELS / "digits" / "1")):
        status, _, err = command_line(*command, *sorted(tmp_path.glob("*.png")))
        assert status == 1
        assert "Traceback" not in err
        if command[0] == "predict":
            assert all(said in err for _, said in TOO_LARGE.values())


def test_every_method_that_takes_an_image_is_tried():
    for name, method in inspect.getmembers(cnnapp.Predictor, inspect.isfunction):
        if not name.startswith("_") and {"image", "images"} & set(inspect.signature(method).parameters):
            assert name in {known for _, known in METHODS}, name
