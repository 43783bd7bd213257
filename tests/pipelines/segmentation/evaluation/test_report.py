"""The report of a segmentation model: what it shows, what it keeps, and that nothing is too little for it."""

from __future__ import annotations

import io
import json
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from cnnapp.reports.html_report import write
from pipelines.images.masks import IGNORED, colours
from pipelines.segmentation.evaluation.examples import Case, Gallery, cases_picture, shrink
from pipelines.segmentation.evaluation.metrics import PixelCounts, segmentation_figures
from pipelines.segmentation.evaluation.plots import iou_picture
from pipelines.segmentation.evaluation.report import AnsweredMask, report

NAMES = ("ground", "car", "tree")
FIGURES = ["Intersection over union", "Confusion matrix", "Reliability"]
GALLERIES = ["The worst images", "Typical images", "The best images"]


def picture(size: tuple[int, int] = (30, 40), colour: tuple[int, int, int] = (90, 120, 60)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size[::-1], colour).save(buffer, format="PNG")
    return buffer.getvalue()


PNG = picture()


def answered(number: int, wrong: int = 0, size: tuple[int, int] = (30, 40)) -> AnsweredMask:
    """Answer an image, with so many columns of it wrong."""
    truth = np.zeros(size, np.uint8)
    truth[:, : size[1] // 2] = 1
    truth[: size[0] // 3] = 2
    truth[-1] = IGNORED
    found = np.where(truth == IGNORED, 0, truth).astype(np.int64)
    found[:, :wrong] = (found[:, :wrong] + 1) % 3
    return AnsweredMask(f"image-{number}", PNG, truth, found, np.full(size, 0.8, np.float32))


def check(found, pictures: list[str]) -> None:
    assert list(found.tables) == ["Overview", "Classes"]
    for rows in found.tables.values():
        assert len({len(row) for row in rows}) == 1
        assert all(isinstance(cell, str) for row in rows for cell in row)
    assert [each.title for each in found.pictures] == pictures
    for each in found.pictures:
        assert each.caption
        assert Image.open(io.BytesIO(each.png)).size > (300, 100)
    assert json.loads(json.dumps(found.figures, allow_nan=False)) == found.figures


def test_a_report_has_its_tables_and_pictures(tmp_path):
    images = [answered(number, wrong=number) for number in range(12)]
    found = report("streets on the test images", iter(images), NAMES)
    check(found, FIGURES + GALLERIES)
    counts = PixelCounts(3)
    for each in images:
        counts.add(each.truth, each.class_map, each.confidence)
    assert found.figures == segmentation_figures(counts, NAMES)
    overview = dict(found.tables["Overview"][1:])
    assert overview["images"] == "12"
    assert overview["pixels"] == f"{12 * 29 * 40:,} and {12 * 40:,} ignored"
    assert overview["mean intersection over union (IoU)"] == f"{found.figures['mean_iou']:.4f}"
    assert [row[0] for row in found.tables["Classes"]] == ["class", *NAMES]
    write(found, tmp_path)
    assert "streets on the test images" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("images", "pictures"),
    [
        ([], []),
        ([AnsweredMask("a", PNG, np.zeros((0, 0), np.uint8), np.zeros((0, 0), int), np.zeros((0, 0)))], []),
        ([AnsweredMask("a", PNG, np.full((3, 3), IGNORED, np.uint8), np.zeros((3, 3), int), np.ones((3, 3)))], []),
        ([AnsweredMask("a", PNG, np.zeros((1, 1), np.uint8), np.zeros((1, 1), int), np.ones((1, 1)))], GALLERIES[:1]),
        ([answered(number) for number in range(5)], GALLERIES[::2]),
    ],
    ids=["no images", "no pixels", "all ignored", "one pixel", "all right"],
)
def test_a_report_of_very_little(images: list[AnsweredMask], pictures: list[str]):
    check(report("little", images, NAMES), FIGURES + pictures if pictures else [])


def test_many_classes_stay_legible():
    names = [f"a class with a rather long name, number {number}" for number in range(150)]
    truth = np.arange(150, dtype=np.uint8).repeat(16).reshape(40, 60)
    each = AnsweredMask("many", picture((40, 60)), truth, truth[::-1].astype(int), np.ones(truth.shape))
    found = report("many", [each], names)
    check(found, [*FIGURES, GALLERIES[0]])
    assert "The 30 most common classes" in found.pictures[0].caption
    assert all(max(Image.open(io.BytesIO(each.png)).size) < 2000 for each in found.pictures)


def test_an_image_with_a_wrong_mask_is_named():
    each = answered(3)
    wrong = AnsweredMask("street-3", PNG, each.truth, each.class_map + 9, each.confidence)
    with pytest.raises(ValueError, match="street-3: received predictions 9 to 11; expected 0 to 2"):
        report("wrong", [each, wrong], NAMES)


def test_images_are_let_go_as_they_are_read():
    alive: weakref.WeakSet[AnsweredMask] = weakref.WeakSet()
    most = 0

    def images() -> Iterator[AnsweredMask]:
        nonlocal most
        for number in range(80):
            alive.add(each := answered(number, wrong=number % 30))
            most = max(most, len(alive))
            yield each

    report("long", images(), NAMES)
    assert most <= 2


def offer(gallery: Gallery, score: float, name: str = "") -> None:
    mask = np.zeros((2, 2), np.uint8)
    gallery.offer(name or f"image {score}", score, PNG, mask, mask)


@pytest.mark.parametrize("order", ["rising", "falling", "shuffled"])
def test_the_worst_the_median_and_the_best_are_shown(order: str):
    scores = [number / 34 for number in range(35)]
    if order != "rising":
        scores = scores[::-1] if order == "falling" else np.random.default_rng(5).permutation(scores).tolist()
    gallery = Gallery(shown=3)
    for score in scores:
        offer(gallery, score)
    places = [[round(case.score * 34) for case in group] for group in gallery.groups()]
    assert places == [[0, 1, 2], [16, 17, 18], [32, 33, 34]]


def test_of_many_images_some_near_the_median_are_kept():
    gallery = Gallery(shown=3)
    for number in range(500):
        offer(gallery, number / 500)
    worst, ordinary, best = gallery.groups()
    assert [case.score for case in worst] == [0, 1 / 500, 2 / 500]
    assert [case.score for case in best] == [497 / 500, 498 / 500, 499 / 500]
    assert all(0.35 < case.score < 0.65 for case in ordinary)
    assert len(gallery._drawn) == 36


@pytest.mark.parametrize(("count", "sizes"), [(0, (0, 0, 0)), (1, (1, 0, 0)), (4, (3, 0, 1)), (7, (3, 1, 3))])
def test_no_image_is_shown_twice(count: int, sizes: tuple[int, int, int]):
    gallery = Gallery(shown=3)
    for number in range(count):
        offer(gallery, 0.5, f"equal {number}")
    groups = gallery.groups()
    assert tuple(map(len, groups)) == sizes
    assert len({case.id for group in groups for case in group}) == count


def test_what_is_kept_is_small():
    truth = np.zeros((900, 1200), np.uint8)
    truth[:, 600:] = 7
    case = shrink("large", 0.5, picture((900, 1200)), truth, truth.astype(np.int64))
    assert case.image is not None
    assert case.image.shape == (300, 400, 3)
    assert case.truth.shape == case.found.shape == (300, 400)
    assert np.array_equal(case.truth, truth[::3, ::3])
    assert case.truth.base is None or case.truth.base.size <= 300 * 400


def test_an_image_that_cannot_be_opened_is_said_so():
    mask = np.zeros((20, 20), np.uint8)
    case = shrink("broken", 1.0, b"\x89PNG", mask, mask)
    assert case.image is None
    assert Image.open(io.BytesIO(cases_picture("a", "b", [case], NAMES).png)).size > (300, 100)


def test_masks_and_errors_are_drawn_in_their_colours():
    truth = np.zeros((200, 200), np.uint8)
    truth[:, 100:] = 1
    found = np.zeros((200, 200), np.uint8)
    case = Case("one", 0.5, np.full((200, 200, 3), 200, np.uint8), truth, found)
    pixels = np.asarray(Image.open(io.BytesIO(cases_picture("a", "b", [case], NAMES).png)).convert("RGB")).astype(int)
    quarters = np.array_split(pixels, 4, axis=1)

    def share(part: np.ndarray, colour) -> float:
        return float((np.abs(part - colour).sum(axis=2) < 12).sum())

    red, black = colours(2)[1], colours(2)[0]
    assert share(quarters[1], red) == pytest.approx(share(quarters[1], black), rel=0.15)
    assert share(quarters[2], red) < 0.1 * share(quarters[2], black)
    assert share(quarters[3], [0xC0, 0x39, 0x2B]) == pytest.approx(share(quarters[2], black) / 2, rel=0.15)


def test_bars_say_how_many_are_left_out():
    rows = {str(number): {"iou": 0.5 if number else None, "pixels": number} for number in range(41)}
    assert "The 30 most common classes" in iou_picture(rows, 0.5).caption
    assert "most common" not in iou_picture({"a": {"iou": 1.0, "pixels": 3}}, 1.0).caption
