"""The report of a detector: what it shows, what it keeps, and that nothing is too little for it."""

from __future__ import annotations

import io
import json
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from cnnapp.reports.html_report import write
from pipelines.detection.evaluation import report as detection_report
from pipelines.detection.evaluation.examples import Case, cases_picture
from pipelines.detection.evaluation.metrics import detection_figures
from pipelines.detection.evaluation.report import Answered, report
from pipelines.images.boxes import Detected, Objects

TABLES = ["Overview", "Classes", "Error types"]
PICTURES = [
    "Precision and recall",
    "Free-response ROC (FROC)",
    "Error types",
    "Recall by object size",
    "True positives, false positives and misses",
]


def picture(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


PNG = picture()


def answered(number: int, classes: int = 2, right: bool = True) -> Answered:
    """Answer an image with one object of each class, which is found, or missed beside a false alarm."""
    boxes = np.array([[20.0 * place + 2, 5, 20 * place + 18, 15 + number % 7] for place in range(classes)], np.float32)
    truth = Objects.of(boxes, range(classes))
    moved = boxes if right else boxes + np.float32(40)
    scores = np.linspace(0.95, 0.6, classes, dtype=np.float32) - np.float32(number / 1000)
    return Answered(f"image-{number}", PNG, truth, Detected(moved, scores, truth.class_ids))


def check(found, pictures: list[str] = PICTURES) -> None:
    assert list(found.tables) == TABLES
    for rows in found.tables.values():
        assert len({len(row) for row in rows}) == 1
        assert all(isinstance(cell, str) for row in rows for cell in row)
    assert [each.title for each in found.pictures] == pictures
    for each in found.pictures:
        assert each.caption
        assert Image.open(io.BytesIO(each.png)).size > (300, 100)
    assert json.loads(json.dumps(found.figures, allow_nan=False)) == found.figures


def test_a_report_has_its_tables_and_pictures(tmp_path):
    images = [answered(number, right=number % 3 > 0) for number in range(9)]
    found = report("cars on the test images", iter(images), ("car", "bus"))
    check(found)
    assert found.figures == detection_figures([each.truth for each in images], [each.found for each in images],
                                              ("car", "bus"))  # fmt: skip
    overview = dict(found.tables["Overview"][1:])
    assert (overview["images"], overview["objects"]) == ("9", "18")
    assert [row[0] for row in found.tables["Error types"]] == ["class", "car", "bus", "all"]
    write(found, tmp_path)
    assert "cars on the test images" in (tmp_path / "report.html").read_text()


def test_the_protocol_of_uiuc_adds_equal_error():
    found = report("cars", [answered(0, 1), answered(1, 1)], ("car",), "uiuc")
    check(found)
    assert found.figures["uiuc"]["equal_error"]["f1"] == 1.0
    assert "UIUC: at equal error" in dict(found.tables["Overview"])
    assert "uiuc" not in report("cars", [answered(0, 1)], ("car",)).figures


@pytest.mark.parametrize(
    "images",
    [
        [Answered("a", PNG, Objects.of([], []), Detected(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int)))],
        [Answered("a", PNG, Objects.of([], []), Detected(np.array([[0, 0, 9, 9.0]]), np.ones(1), np.zeros(1, int)))],
        [
            Answered(
                "a", PNG, Objects.of([[0, 0, 9, 9]], [1]), Detected(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
            )
        ],
        [Answered("a", PNG, Objects.of([[0, 0, 9, 9]], [1], [True]), answered(0).found)],
        [Answered("a", PNG, Objects.of([[4, 4, 4, 4]], [1]), answered(0).found)],
    ],
    ids=["nothing at all", "no objects", "no detections", "all ignored", "no area"],
)
def test_a_report_of_very_little(images: list[Answered]):
    check(report("little", images, ("car", "bus")))


def test_a_report_of_no_images_has_no_images_to_show():
    check(report("none", [], ("car",)), PICTURES[:-1])


def test_many_classes_stay_legible():
    classes = [f"a class with a rather long name, number {number}" for number in range(40)]
    found = report("many", [answered(0, 40), answered(1, 40, right=False)], classes)
    check(found)
    assert "12 classes with the most objects; 28 more are omitted" in found.pictures[0].caption
    assert "20 classes with the most" in found.pictures[2].caption
    assert all(max(Image.open(io.BytesIO(each.png)).size) < 2000 for each in found.pictures)


def test_curves_are_told_in_words(tmp_path):
    found = report("cars", [answered(number, right=number < 3) for number in range(4)], ("car", "bus", "tram"))
    told = found.pictures[0].alt
    # Three of four objects of each class are found before anything is wrong.
    assert "1.000 at recall 0.5, 0.000 at recall 0.8" in told
    assert "by class: car 0.752, bus 0.752." in told  # 76 of 101 recalls; there is no tram
    write(found, tmp_path)
    assert f"alt='{told}'" in (tmp_path / "report.html").read_text()


def test_a_single_class_has_no_panel_of_its_own():
    one, two = (report("cars", [answered(0, number)], ("car", "bus")[:number]).pictures[0] for number in (1, 2))
    assert "Below: each class" not in one.caption
    assert "Below: each class" in two.caption
    assert Image.open(io.BytesIO(one.png)).height < Image.open(io.BytesIO(two.png)).height


def test_images_are_let_go_as_they_are_read():
    alive: weakref.WeakSet[Answered] = weakref.WeakSet()
    most = 0

    def images() -> Iterator[Answered]:
        nonlocal most
        for number in range(120):
            alive.add(each := answered(number, right=number % 2 == 0))
            most = max(most, len(alive))
            yield each

    report("long", images(), ("car", "bus"))
    assert most <= detection_report._KEPT + 3


def test_the_worst_images_are_shown_first(monkeypatch: pytest.MonkeyPatch):
    shown: list[str] = []

    def watch(cases, classes):
        shown.extend(case.id for case in cases)
        return cases_picture(cases, classes)

    monkeypatch.setattr(detection_report, "cases_picture", watch)
    report("bad", [answered(number, right=number not in (17, 31)) for number in range(60)], ("car", "bus"))
    assert set(shown[:2]) == {"image-17", "image-31"}
    assert len(shown) == 12


def test_an_image_that_cannot_be_opened_is_said_so():
    each = answered(0)
    found = cases_picture([Case("broken", b"\x89PNG", each.truth, each.found)], ("car", "bus"))
    assert Image.open(io.BytesIO(found.png)).size > (100, 50)


def test_boxes_are_drawn_where_they_are():
    # A black image, twice as wide as high: the frame of a detection that fills it shows in the blue of a hit.
    buffer = io.BytesIO()
    Image.new("RGB", (80, 40)).save(buffer, format="PNG")
    whole = Objects.of([[20, 10, 60, 30]], [0])
    case = Case("one", buffer.getvalue(), whole, Detected(whole.boxes, np.ones(1, np.float32), whole.class_ids))
    pixels = np.asarray(Image.open(io.BytesIO(cases_picture([case], ("car",)).png)).convert("RGB")).astype(int)
    blue = (np.abs(pixels - [0x3F, 0xA9, 0xF5]).sum(axis=2) < 30) & (np.arange(len(pixels)) > 60)[:, None]
    dark = (pixels.sum(axis=2) == 0) & (np.arange(len(pixels)) > 60)[:, None]
    rows, columns = np.nonzero(dark)
    left, right, top, bottom = columns.min(), columns.max(), rows.min(), rows.max()
    seen_rows, seen_columns = np.nonzero(blue)
    assert seen_columns.min() == pytest.approx(left + (right - left) / 4, abs=4)
    assert seen_columns.max() == pytest.approx(left + (right - left) * 3 / 4, abs=4)
    assert seen_rows.max() == pytest.approx(top + (bottom - top) * 3 / 4, abs=4)
