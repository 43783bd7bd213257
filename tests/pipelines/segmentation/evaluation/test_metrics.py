"""Figures of segmentation, against values worked out by hand, a direct count, and Keras."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.images.masks import IGNORED
from pipelines.reporting.statistics import calibration
from pipelines.segmentation.evaluation.metrics import (
    PixelCounts,
    intersection_over_union,
    mean_iou,
    segmentation_figures,
)

CLASSES = 5
NAMES = tuple("abcde")
SEEDS = st.integers(0, 2**32 - 1)


def answers(seed: int, most: int = 14) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make a truth with ignored pixels, answers and confidences; some classes are in neither."""
    dice = np.random.default_rng(seed)
    shape = tuple(dice.integers(1, most, 2))
    present = dice.choice(CLASSES, dice.integers(1, CLASSES), replace=False)
    truth = dice.choice(np.append(present, IGNORED), shape).astype(np.uint8)
    guess = dice.choice(np.append(present, dice.integers(CLASSES)), shape)
    prediction = np.where((dice.random(shape) < 0.6) & (truth != IGNORED), truth, guess)
    return truth, prediction, dice.random(shape, np.float32)


def counted(*images: tuple[np.ndarray, np.ndarray, np.ndarray], classes: int = CLASSES) -> PixelCounts:
    counts = PixelCounts(classes)
    for image in images:
        counts.add(*image)
    return counts


def simple(truth: list, prediction: list, confidence: float = 1.0, classes: int = 2) -> PixelCounts:
    mask = np.array(truth, np.uint8)
    return counted((mask, np.array(prediction), np.full(mask.shape, confidence)), classes=classes)


def test_figures_by_hand():
    # Of class a 3 of 4 are right, of b 2 of 3, one of which is taken for c; the ignored pixel is not looked at.
    counts = simple([[0, 0, 0, 0], [1, 1, 1, 255]], [[0, 0, 0, 1], [1, 1, 2, 0]], classes=3)
    found = segmentation_figures(counts, ("a", "b", "c"))
    assert found["confusion"] == [[3, 1, 0], [0, 2, 1], [0, 0, 0]]
    assert (found["images"], found["pixels"], found["ignored_pixels"]) == (1, 7, 1)
    assert found["pixel_accuracy"] == pytest.approx(5 / 7)
    assert found["mean_accuracy"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert found["mean_iou"] == pytest.approx((3 / 4 + 2 / 4 + 0) / 3)
    assert found["frequency_weighted_iou"] == pytest.approx(4 / 7 * 3 / 4 + 3 / 7 * 2 / 4)
    assert found["expected_calibration_error"] == pytest.approx(2 / 7)
    row = found["classes"]["a"]
    assert {name: row[name] for name in ("iou", "precision", "recall", "pixels")} == {
        "iou": 0.75, "precision": 1.0, "recall": 0.75, "pixels": 4,
    }  # fmt: skip
    assert row["f1"] == pytest.approx(2 * 0.75 / 1.75)
    only_answered = found["classes"]["c"]
    assert (only_answered["iou"], only_answered["precision"], only_answered["recall"]) == (0.0, 0.0, None)


def test_a_class_that_nowhere_occurs_has_no_figures():
    found = segmentation_figures(simple([[0, 1]], [[0, 1]], classes=3), ("a", "b", "c"))
    assert found["classes"]["c"] == {
        "iou": None, "precision": None, "recall": None, "f1": None, "boundary_f1": None, "pixels": 0,
    }  # fmt: skip
    assert found["mean_iou"] == found["mean_accuracy"] == found["boundary_f1"] == 1.0


def test_boundary_f1_by_hand():
    # The tolerance is 1 pixel. The boundary of the first image is 1 off, that of the second 2.
    truth = np.zeros((4, 10), np.uint8)
    truth[:, 5:] = 1
    near, far = (np.roll(truth, shift, axis=1) for shift in (1, 2))
    near[:, 0] = far[:, :2] = 0
    sure = np.ones(truth.shape)
    found = segmentation_figures(counted((truth, near, sure), (truth, far, sure), classes=2), ("a", "b"))
    assert found["boundary_f1"] == found["classes"]["a"]["boundary_f1"] == pytest.approx(0.5)
    assert segmentation_figures(counted((truth, near, sure), classes=2), ("a", "b"))["boundary_f1"] == 1.0
    assert segmentation_figures(counted((truth, far, sure), classes=2), ("a", "b"))["boundary_f1"] == 0.0


def test_a_boundary_that_is_only_answered_counts_as_wrong():
    assert segmentation_figures(simple([[0, 0, 0]], [[0, 1, 0]]), ("a", "b"))["boundary_f1"] == 0.0


@given(SEEDS)
def test_mean_iou_is_a_direct_count(seed: int):
    truth, prediction, _ = image = answers(seed)
    expected = []
    for number in range(CLASSES):
        pairs = [(t == number, p == number) for t, p in zip(truth.flat, prediction.flat, strict=True) if t != IGNORED]
        if union := sum(t or p for t, p in pairs):
            expected.append(sum(t and p for t, p in pairs) / union)
    found = mean_iou(counted(image).confusion)
    assert found == (pytest.approx(np.mean(expected)) if expected else None)


@given(SEEDS)
def test_mean_iou_is_that_of_keras(seed: int):
    images = [answers(seed), answers(seed + 1)]
    peer = keras.metrics.MeanIoU(CLASSES, ignore_class=IGNORED)
    for truth, prediction, _ in images:
        peer.update_state(truth.astype(np.int32), prediction.astype(np.int32))
    # Keras gives 0 where there is nothing to measure.
    assert (mean_iou(counted(*images).confusion) or 0.0) == pytest.approx(float(peer.result()), abs=1e-6)


@given(SEEDS)
def test_calibration_is_that_of_classification(seed: int):
    truth, prediction, confidence = image = answers(seed)
    known = truth != IGNORED
    found = counted(image).calibration()
    if not known.any():
        assert np.isnan(found.error)
        return
    # Two scores of which the first is the larger, and labels that say whether it is right.
    sure = 0.5 + confidence / 2
    scores = np.stack([sure[known], 1 - sure[known]], axis=1)
    expected = calibration((truth != prediction)[known], scores)
    found = counted((truth, prediction, sure)).calibration()
    assert found.count.tolist() == expected.count.tolist()
    assert found.error == pytest.approx(expected.error, abs=1e-6)
    np.testing.assert_allclose(found.accuracy, expected.accuracy)
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-6)


@given(SEEDS, st.integers(0, 6))
def test_counts_add_up_in_any_order_and_in_halves(seed: int, cut: int):
    images = [answers(seed + number) for number in range(6)]
    expected = segmentation_figures(counted(*images), NAMES)
    order = np.random.default_rng(seed).permutation(6)
    assert segmentation_figures(counted(*(images[place] for place in order)), NAMES) == expected
    first, second = counted(*images[:cut]), counted(*images[cut:])
    first.merge(second)
    assert segmentation_figures(first, NAMES) == expected


def test_merging_leaves_the_other_as_it_was():
    first, second = counted(answers(1)), counted(answers(2))
    before = segmentation_figures(second, NAMES)
    first.merge(second)
    first.add(*answers(3))
    assert segmentation_figures(second, NAMES) == before


def test_adding_returns_the_confusion_of_the_image_alone():
    counts = counted(answers(1))
    alone = counts.add(*answers(2))
    assert alone.tolist() == counted(answers(2)).confusion.tolist()
    assert alone.dtype == counts.confusion.dtype == np.int64
    alone += 1
    assert counts.confusion.tolist() == counted(answers(1), answers(2)).confusion.tolist()


@pytest.mark.parametrize(
    "images",
    [
        [],
        [(np.zeros((0, 0), np.uint8), np.zeros((0, 0), int), np.zeros((0, 0)))],
        [(np.full((4, 5), IGNORED, np.uint8), np.zeros((4, 5), int), np.ones((4, 5)))],
    ],
    ids=["no images", "no pixels", "all ignored"],
)
def test_nothing_to_measure(images: list):
    found = segmentation_figures(counted(*images), NAMES)
    assert (found["images"], found["pixels"]) == (len(images), 0)
    names = ("mean_iou", "frequency_weighted_iou", "pixel_accuracy", "mean_accuracy", "boundary_f1",
             "expected_calibration_error")  # fmt: skip
    assert [found[name] for name in names] == [None] * len(names)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_figures_are_plain_values():
    found = segmentation_figures(counted(answers(4)), NAMES)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_most_classes_that_fit():
    truth = np.array([[0, 254, 255]], np.uint8)
    counts = counted((truth, np.array([[0, 254, 254]]), np.ones((1, 3))), classes=255)
    assert counts.confusion[254, 254] == 1
    assert np.isnan(intersection_over_union(counts.confusion)).sum() == 253


def test_a_confidence_may_be_off_by_rounding():
    counts = simple([[0, 1]], [[0, 1]], confidence=1 + 1e-6)
    assert counts.calibration().count[-1] == 2
    assert counts.calibration().error == 0.0


MASK = np.zeros((2, 3), np.uint8)


@pytest.mark.parametrize(
    ("truth", "prediction", "confidence", "message"),
    [
        (MASK.astype(int), MASK, MASK + 0.5, "a truth of int64"),
        (MASK[0], MASK[0], MASK[0] + 0.5, r"a truth of uint8 \(3,\)"),
        (MASK, MASK.T, MASK + 0.5, r"a prediction of uint8 \(3, 2\); expected integer \(2, 3\)"),
        (MASK, MASK + 0.5, MASK + 0.5, "a prediction of float64"),
        (MASK, MASK, MASK, "a confidence of uint8"),
        (MASK, MASK.astype(int) - 1, MASK + 0.5, "predictions -1 to -1; expected 0 to 4"),
        (MASK, MASK + 255, MASK + 0.5, "predictions 255 to 255"),
        (MASK + 5, MASK, MASK + 0.5, "class 5; expected 0 to 4, or 255"),
        (MASK, MASK, MASK + 1.5, "confidences 1.5 to 1.5; expected 0 to 1"),
        (MASK, MASK, MASK + np.nan, "confidences nan"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_counted(truth, prediction, confidence, message: str):
    counts = PixelCounts(CLASSES)
    with pytest.raises(ValueError, match=message):
        counts.add(truth, prediction, confidence)
    assert counts.images == counts.pixels == 0


def test_other_numbers_of_classes_are_refused():
    with pytest.raises(ValueError, match="256 classes; expected 1 to 255"):
        PixelCounts(256)
    with pytest.raises(ValueError, match="counts of 3 classes; expected 5"):
        PixelCounts(5).merge(PixelCounts(3))
    with pytest.raises(ValueError, match="1 names; expected 5"):
        segmentation_figures(PixelCounts(5), ("a",))
