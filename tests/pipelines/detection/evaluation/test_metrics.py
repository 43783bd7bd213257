"""Figures of detectors, against pycocotools run the standard way, cases worked out by hand, and invariants."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.detection.evaluation.average_precision import (
    coco_figures,
    coco_results,
    precision_recall,
    voc_average_precision,
)
from pipelines.detection.evaluation.errors import ERROR_KINDS, error_kinds, kinds_of
from pipelines.detection.evaluation.matching import IGNORED, WRONG, Curve, centred, curve, match, overlapping, rank
from pipelines.detection.evaluation.metrics import (
    OperatingPoint,
    best_point,
    detection_figures,
    equal_error,
    froc,
    log_average_miss_rate,
    point_at,
)
from pipelines.images.boxes import Detected, Objects
from profiles import examples

CLASSES = ("a", "b", "c")
NO_OBJECTS = Objects.of([], [])
NOTHING = Detected(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))


def detected(boxes: object, scores: object, class_ids: object = None) -> Detected:
    points = np.asarray(scores, np.float32).reshape(-1)
    ids = np.zeros(len(points), np.int32) if class_ids is None else np.asarray(class_ids, np.int32)
    return Detected(np.asarray(boxes, np.float32).reshape(-1, 4), points, ids)


def square(place: float, side: float = 10) -> list[float]:
    return [place, 0, place + side, side]


def random_scenes(
    seed: int, images: int = 12, ignored: float = 0.15, levels: int = 0
) -> tuple[list[Objects], list[Detected]]:
    """Draw objects of all sizes, and detections: moved, confused, doubled, made up; scores on levels or distinct."""
    dice = np.random.default_rng(seed)
    truths, found = [], []
    for _ in range(images):
        count = int(dice.integers(0, 7))
        corners = dice.uniform(0, 200, (count, 2))
        boxes = np.concatenate([corners, corners + np.exp(dice.uniform(2, 5.5, (count, 2)))], axis=1)
        ids = dice.integers(0, len(CLASSES) - 1, count)
        truths.append(Objects.of(boxes, ids, dice.random(count) < ignored))
        chosen = dice.integers(0, count, int(dice.integers(0, 12))) if count else np.zeros(0, int)
        sizes = np.tile(boxes[chosen, 2:] - boxes[chosen, :2], 2)
        moved = boxes[chosen] + sizes * dice.normal(0, 0.1, (len(chosen), 4))
        alone = np.tile(dice.uniform(0, 200, (2, 2)), 2) + np.array([0, 0, 40, 60])
        answers = np.concatenate([np.sort(moved.reshape(-1, 2, 2), axis=1).reshape(-1, 4), alone])
        guesses = np.concatenate([ids[chosen], [0, 1]])
        guesses = np.where(dice.random(len(guesses)) < 0.1, 1 - guesses, guesses)
        scores = dice.random(len(answers))
        scores = np.round(scores * levels) / levels if levels else scores
        found.append(detected(answers, scores, guesses))
    return truths, found


SEEDS = st.integers(0, 2**31)


# === Against pycocotools ===


@pytest.mark.parametrize("levels", [0, 5])
@pytest.mark.parametrize("seed", range(3))
def test_coco_figures_are_those_of_pycocotools_run_on_files(tmp_path: Path, seed: int, levels: int):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truths, found = random_scenes(seed, images=30, levels=levels)
    ids, categories = [10 * number + 7 for number in range(len(truths))], [3, 18, 44]
    annotations = []
    for name, truth in zip(ids, truths, strict=True):
        for box, class_id, ignored in zip(truth.boxes.tolist(), truth.class_ids, truth.ignored, strict=True):
            width, height = box[2] - box[0], box[3] - box[1]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": name, "category_id": categories[class_id],
                 "bbox": [box[0], box[1], width, height], "area": width * height, "iscrowd": int(ignored)}
            )  # fmt: skip
    dataset = {
        "images": [{"id": name, "width": 500, "height": 500, "file_name": f"{name}.png"} for name in ids],
        "categories": [{"id": number, "name": name} for number, name in zip(categories, CLASSES, strict=True)],
        "annotations": annotations,
    }
    (tmp_path / "truth.json").write_text(json.dumps(dataset))
    (tmp_path / "found.json").write_text(json.dumps(coco_results(ids, found, categories)))
    with contextlib.redirect_stdout(io.StringIO()):
        truth_file = COCO(str(tmp_path / "truth.json"))
        evaluation = COCOeval(truth_file, truth_file.loadRes(str(tmp_path / "found.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()

    ours = coco_figures(truths, found, CLASSES)
    names = ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"]
    names += ["ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"]
    assert [ours[name] for name in names] == evaluation.stats.tolist()
    assert 0 < ours["ap"] < ours["ap50"] < 1
    for number, name in enumerate(CLASSES[:2]):
        evaluation.params.catIds = [categories[number]]
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        assert [ours["classes"][name]["ap"], ours["classes"][name]["ap50"]] == evaluation.stats[:2].tolist()
    assert ours["classes"]["c"] == {"ap": None, "ap50": None}


@settings(max_examples=examples(10))
@given(seed=SEEDS)
def test_the_area_below_a_recorded_curve_is_the_recorded_average_precision(seed: int):
    figures = coco_figures(*random_scenes(seed), CLASSES)
    curves = figures["precision_recall"]
    pairs = [(curves["mean50"], figures["ap50"]), (curves["mean75"], figures["ap75"])]
    pairs += [(curves["classes"][name], figures["classes"][name]["ap50"]) for name in CLASSES]
    assert curves["classes"]["c"] is None  # of which there is never an object
    for shown, area in pairs:
        assert (shown is None) == (area is None)
        if shown is not None:
            assert len(shown) == 101
            assert np.mean(shown) == pytest.approx(area, abs=5e-5)
            assert shown == [round(value, 4) for value in shown] == sorted(shown, reverse=True)
            assert 0 <= shown[-1] <= shown[0] <= 1


def test_a_recorded_curve_by_hand():
    # Of four objects in the order of the scores: found, wrong, found; the others are missed.
    truth = Objects.of([square(0), square(50), square(100), square(150)], [0] * 4)
    found = detected([square(0), square(500), square(50)], [0.9, 0.8, 0.7])
    curves = coco_figures([truth], [found], ["a", "b"])["precision_recall"]
    assert curves["mean50"] == curves["mean75"] == curves["classes"]["a"]
    assert curves["classes"]["a"] == [1.0] * 26 + [0.6667] * 25 + [0.0] * 50  # up to recalls of 1/4 and 2/4
    assert curves["classes"]["b"] is None


def test_coco_figures_print_nothing(capfd: pytest.CaptureFixture[str]):
    coco_figures(*random_scenes(0), CLASSES)
    assert capfd.readouterr() == ("", "")


def test_crowds_are_matched_as_pycocotools_matches_them():
    # Its average precision at IoU 0.5 is the mean of 101 values, which our own curve must give as well.
    for seed in range(5):
        truths, found = random_scenes(seed, images=25, ignored=0.4)
        shown = precision_recall(truths, found, 0)
        best = np.append(np.maximum.accumulate(shown.precision[::-1])[::-1], 0.0)
        ours = best[np.searchsorted(shown.recall, np.linspace(0, 1, 101))].mean()
        assert ours == pytest.approx(coco_figures(truths, found, CLASSES)["classes"]["a"]["ap50"], abs=1e-12)


def test_results_name_images_and_categories():
    found = [detected(square(5), [0.5], [1]), NOTHING]
    assert coco_results(["x", "y"], found) == [
        {"image_id": "x", "category_id": 2, "bbox": [5.0, 0.0, 10.0, 10.0], "score": 0.5}
    ]
    with pytest.raises(ValueError, match="received 1 ids and detections of 2"):
        coco_results([1], found)


# === Pascal VOC, by hand ===

# Three objects; the detections by falling score: right, wrong, right, wrong.
# Precision 1, 1/2, 2/3, 2/4 at recall 1/3, 1/3, 2/3, 2/3; from the right, the best is 1, 2/3, 2/3, 1/2.
THREE = [Objects.of([square(0), square(100)], [0, 0]), Objects.of([square(0)], [0])]
FOUR = [detected([square(0), square(50)], [0.9, 0.8]), detected([square(0), square(50)], [0.7, 0.6])]


def test_voc_average_precision_over_all_points_by_hand():
    # 1/3 * 1 + 1/3 * 2/3 = 5/9.
    assert voc_average_precision(THREE, FOUR, 0) == pytest.approx(5 / 9)


def test_voc_average_precision_over_eleven_points_by_hand():
    # 1 at recalls of 0, 0.1, 0.2, 0.3; 2/3 at 0.4, 0.5, 0.6; nothing from 0.7 on: (4 + 3 * 2/3) / 11.
    assert voc_average_precision(THREE, FOUR, 0, eleven_points=True) == pytest.approx(6 / 11)


def test_eleven_points_reach_a_recall_that_is_exact_in_tenths():
    # 3 of 10 found and all right: 1 at recalls of 0, 0.1, 0.2 and 0.3.
    truth = [Objects.of([square(20 * place) for place in range(10)], [0] * 10)]
    found = [detected([square(20 * place) for place in range(3)], [0.9, 0.8, 0.7])]
    assert voc_average_precision(truth, found, 0, eleven_points=True) == pytest.approx(4 / 11)


def test_a_second_detection_is_wrong_for_voc():
    # Right, duplicate, right: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1: 1/2 * 1 + 1/2 * 2/3.
    truth = [Objects.of([square(0), square(100)], [0, 0])]
    found = [detected([square(0), square(1), square(100)], [0.9, 0.8, 0.7])]
    assert voc_average_precision(truth, found, 0) == pytest.approx(5 / 6)


def test_voc_asks_for_the_object_of_highest_overlap_and_coco_takes_the_next():
    # Two objects 2 apart: the second detection lies best on the first object, which is taken.
    truth = Objects.of([square(0), square(2)], [0, 0])
    found = detected([square(0), square(0.5)], [0.9, 0.8])
    assert match(truth, found, overlapping(), second_choice=False).tolist() == [0, WRONG]
    assert match(truth, found, overlapping()).tolist() == [0, 1]
    # Of two objects one is found, by the first of two detections.
    assert voc_average_precision([truth], [found], 0) == pytest.approx(1 / 2)


def test_a_difficult_object_is_neither_asked_for_nor_wrong():
    truth = [Objects.of([square(0), square(100)], [0, 0], [True, False])]
    found = [detected([square(0), square(1), square(100)], [0.9, 0.8, 0.7])]
    assert voc_average_precision(truth, found, 0) == 1.0
    assert match(truth[0], found[0], overlapping()).tolist() == [IGNORED, IGNORED, 1]
    # What overlaps a difficult object too little is wrong, as anywhere: precision 1/2 at full recall.
    assert voc_average_precision(truth, [detected([square(6), square(100)], [0.9, 0.7])], 0) == 0.5


def test_a_detection_within_a_crowd_is_ignored():
    crowd = Objects.of([[0, 0, 100, 100]], [0], [True])
    inside = detected([[10, 10, 20, 20], [95, 0, 105, 10], [94, 0, 106, 10]], [0.9, 0.8, 0.7])
    # The second has half of its area inside, and the third just half too.
    assert match(crowd, inside, overlapping()).tolist() == [IGNORED, IGNORED, IGNORED]
    assert match(crowd, detected([96, 0, 106, 10], [0.9]), overlapping()).tolist() == [WRONG]
    assert match(crowd, inside, overlapping(crowds=False)).tolist() == [WRONG, WRONG, WRONG]


def test_a_real_object_is_chosen_before_an_ignored_one():
    truth = Objects.of([square(3), square(0)], [0, 0], [False, True])
    assert match(truth, detected(square(0), [0.9]), overlapping()).tolist() == [0]
    # The second detection finds the real object taken, and is forgiven.
    assert match(truth, detected([square(3), square(2)], [0.9, 0.8]), overlapping()).tolist() == [0, IGNORED]


def slow_voc_area(truths: list[Objects], found: list[Detected], class_id: int) -> float | None:
    """Go through all detections one by one, in plain Python."""
    total = sum(int(((truth.class_ids == class_id) & ~truth.ignored).sum()) for truth in truths)
    listed = sorted(
        (-float(answers.scores[row]), image, row)
        for image, answers in enumerate(found)
        for row in range(len(answers))
        if answers.class_ids[row] == class_id
    )
    taken, points, hits, wrong = set(), [], 0, 0
    for _, image, row in listed:
        best, place = 0.0, -1
        for index in range(len(truths[image])):
            if truths[image].class_ids[index] != class_id:
                continue
            a, b = found[image].boxes[row].astype(float), truths[image].boxes[index].astype(float)
            wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            shared = wide * high if wide > 0 and high > 0 else 0.0
            share = shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
            if share > best:
                best, place = share, index
        if best >= 0.5 and truths[image].ignored[place]:
            continue
        if best >= 0.5 and (image, place) not in taken:
            taken.add((image, place))
            hits += 1
        else:
            wrong += 1
        points.append((hits, hits / (hits + wrong)))
    if not total:
        return None
    return sum(max((p for h, p in points if h >= wanted), default=0.0) for wanted in range(1, total + 1)) / total


@given(SEEDS)
def test_voc_average_precision_is_the_area_of_a_slow_loop(seed: int):
    truths, found = random_scenes(seed)
    for class_id in range(3):
        assert voc_average_precision(truths, found, class_id) == pytest.approx(slow_voc_area(truths, found, class_id))


# === Rates of false alarms, by hand ===


def test_log_average_miss_rate_by_hand():
    # In 10 images with 4 objects: two are found without a false alarm, one more with one (0.1 an image). Rates of 0.01,
    # 0.018, 0.032, 0.056 miss half, and 0.1, 0.18, 0.32, 0.56, 1 a quarter: (1/2)^(4/9) (1/4)^(5/9).
    shown = Curve(np.array([0.9, 0.8, 0.7]), np.array([2, 2, 3]), np.array([0, 1, 1]), objects=4, images=10)
    assert log_average_miss_rate(shown) == pytest.approx(0.5 ** (4 / 9) * 0.25 ** (5 / 9))


def test_before_the_first_point_of_a_curve_everything_is_missed():
    # Two false alarms in one image come first: at most one an image leaves nothing.
    shown = Curve(np.array([0.9, 0.8]), np.array([0, 3]), np.array([2, 2]), objects=3, images=1)
    assert log_average_miss_rate(shown) == 1.0
    assert froc(shown)["sensitivity"] == [0, 0, 0, 0, 1, 1, 1]
    assert froc(shown)["mean"] == pytest.approx(3 / 7)


def test_nothing_missed_is_the_least_miss_rate():
    shown = precision_recall([Objects.of(square(0), [0])], [detected(square(0), [0.5])], 0)
    assert log_average_miss_rate(shown) == pytest.approx(1e-10)
    assert froc(shown)["mean"] == 1.0


# === Points of a curve, by hand ===


def test_equal_error_is_where_there_are_as_many_detections_as_objects():
    # Right, wrong, right, wrong with 3 objects: after three detections precision and recall are 2/3.
    assert equal_error(THREE, FOUR, overlapping()) == OperatingPoint(
        pytest.approx(0.7), pytest.approx(2 / 3), pytest.approx(2 / 3), pytest.approx(2 / 3)
    )


def test_equal_error_without_such_a_point_is_the_nearest():
    # One detection for three objects; then scores of which two and four are as near, and four are better.
    assert equal_error(THREE, [detected(square(0), [0.5]), NOTHING], overlapping()) == OperatingPoint(
        0.5, 1.0, pytest.approx(1 / 3), pytest.approx(0.5)
    )
    ties = [detected([square(0), square(50), square(100), square(70)], [0.75, 0.75, 0.5, 0.5]), NOTHING]
    assert equal_error(THREE, ties, overlapping()).threshold == 0.5


def test_the_first_detection_being_wrong_is_not_equal_error():
    found = [detected([square(50), square(0), square(100)], [0.9, 0.8, 0.7]), NOTHING]
    assert equal_error(THREE, found, overlapping()).recall == pytest.approx(2 / 3)


def test_centres_decide_as_in_the_protocol_of_uiuc():
    # A car of 100 x 40 at (0, 0): half axes of 25 and 10. (15/25)^2 + (8/10)^2 = 1 is on the ellipse, more is outside.
    truth = Objects.of([[0, 0, 100, 40]], [0])
    for right, down, hit in [(15, 8, True), (15.1, 8, False), (-25, 0, True), (0, 10.1, False), (18, 8, False)]:
        found = detected([right, down, 100 + right, 40 + down], [0.5])
        assert (match(truth, found, centred()) >= 0).tolist() == [hit], (right, down)
    # The size of the detection does not matter, and a second one is wrong.
    twice = detected([[40, 15, 60, 25], [0, 0, 100, 40]], [0.9, 0.8])
    assert match(truth, twice, centred()).tolist() == [0, WRONG]


def test_the_best_threshold_by_hand():
    # F1 after each of the four: 2/4, 2/5, 4/6, 4/7.
    shown = precision_recall(THREE, FOUR)
    best = best_point(shown)
    assert (best.threshold, best.f1) == (pytest.approx(0.7), pytest.approx(2 / 3))
    assert point_at(shown, best.threshold) == best
    assert point_at(shown, 0.95) == OperatingPoint(0.95, None, 0.0, 0.0)
    assert [len(answers.above(best.threshold)) for answers in FOUR] == [2, 1]


def test_detections_of_equal_score_come_and_go_together():
    found = [detected([square(0), square(50)], [0.5, 0.5]), detected(square(0), [0.5])]
    shown = precision_recall(THREE, found, 0)
    assert (shown.thresholds.tolist(), shown.right.tolist(), shown.wrong.tolist()) == ([0.5], [2], [1])


# === Kinds of errors ===


def test_every_kind_of_error():
    truth = Objects.of([square(0), square(100), square(200), square(300)], [0, 0, 1, 1], [False, False, False, True])
    found = detected(
        # found; again; IoU 5/15; the other class; nothing there; the other class, and too far; under the threshold
        [square(0), square(1), square(105), square(200), square(400), square(206), square(100)],
        [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.1],
        [0, 0, 0, 0, 1, 0, 0],
    )
    kinds, missed = kinds_of(truth, found.above(0.4))
    assert kinds == ["correct", "duplicate", "localisation", "confusion", "background", "background"]
    assert missed.tolist() == [False, True, True, False]
    counts = error_kinds([truth], [found], CLASSES, 0.4)
    assert counts["a"] == dict(zip(ERROR_KINDS, [1, 1, 1, 1, 1, 1], strict=True))
    assert counts["b"] == dict(zip(ERROR_KINDS, [0, 0, 0, 0, 1, 1], strict=True))
    assert counts["c"] == dict.fromkeys(ERROR_KINDS, 0)


def test_a_detection_on_an_ignored_object_is_of_no_kind():
    kinds, missed = kinds_of(Objects.of(square(0), [0], [True]), detected(square(0), [0.9]))
    assert (kinds, missed.tolist()) == ([None], [False])


@given(SEEDS, st.floats(0, 1))
def test_kinds_of_errors_add_up(seed: int, threshold: float):
    truths, found = random_scenes(seed)
    counts = error_kinds(truths, found, CLASSES, threshold)
    total = {kind: sum(row[kind] for row in counts.values()) for kind in ERROR_KINDS}
    shown = precision_recall(truths, [answers.above(threshold) for answers in found])
    assert total["correct"] + total["missed"] == shown.objects
    assert total["correct"] == (shown.right[-1] if len(shown.right) else 0)
    assert sum(total[kind] for kind in ERROR_KINDS[1:5]) == (shown.wrong[-1] if len(shown.wrong) else 0)


# === What must always hold ===


def averages(truths: list[Objects], found: list[Detected]) -> list[float | None]:
    figures = coco_figures(truths, found, CLASSES)
    return [
        figures["ap"],
        figures["ap50"],
        *(voc_average_precision(truths, found, number) for number in range(2)),
        *(voc_average_precision(truths, found, number, eleven_points=True) for number in range(2)),
    ]


@given(SEEDS, st.sampled_from([0, 3]))
def test_every_average_lies_between_0_and_1(seed: int, levels: int):
    truths, found = random_scenes(seed, levels=levels)
    assert all(value is None or 0 <= value <= 1 for value in averages(truths, found))


@given(SEEDS)
def test_perfect_detections_give_1(seed: int):
    # None is ignored: a detection of an ignored object would take a real one that it fits as well.
    truths, _ = random_scenes(seed, ignored=0)
    perfect = [Detected(truth.boxes, np.full(len(truth), 0.5, np.float32), truth.class_ids) for truth in truths]
    assert all(value is None or value == pytest.approx(1, abs=1e-12) for value in averages(truths, perfect))
    if any(map(len, truths)):
        assert best_point(precision_recall(truths, perfect)).f1 == 1.0
        assert equal_error(truths, perfect, centred()).f1 == 1.0


@given(SEEDS)
def test_a_false_alarm_of_the_lowest_score_raises_no_average(seed: int):
    truths, found = random_scenes(seed)
    last = found[0]
    worse = Detected(
        np.concatenate([last.boxes, np.array([[900, 900, 950, 950]], np.float32)]),
        np.append(last.scores, np.float32(0)),
        np.append(last.class_ids, 0),
    )
    for before, after in zip(averages(truths, found), averages(truths, [worse, *found[1:]]), strict=True):
        assert (before is None and after is None) or after <= before + 1e-12


@given(SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(seed: int, dice):
    truths, found = random_scenes(seed)
    order = list(range(len(truths)))
    dice.shuffle(order)
    again = detection_figures([truths[i] for i in order], [found[i] for i in order], CLASSES, "uiuc")
    assert again == detection_figures(truths, found, CLASSES, "uiuc")


@given(SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter_to_our_own_figures_with_equal_scores(seed: int, dice):
    truths, found = random_scenes(seed, levels=3)
    order = list(range(len(truths)))
    dice.shuffle(order)
    pairs = [([truths[i] for i in order], [found[i] for i in order]), (truths, found)]
    curves = [precision_recall(*pair) for pair in pairs]
    assert log_average_miss_rate(curves[0]) == log_average_miss_rate(curves[1])
    assert best_point(curves[0]) == best_point(curves[1])
    assert voc_average_precision(*pairs[0], 0) == voc_average_precision(*pairs[1], 0)


@given(SEEDS, st.sampled_from([0.25, 0.5, 2.0, 4.0]))
def test_the_scale_of_the_boxes_does_not_matter(seed: int, scale: float):
    # Powers of two, by which nothing is rounded.
    truths, found = random_scenes(seed)
    larger = [Objects(truth.boxes * np.float32(scale), truth.class_ids, truth.ignored) for truth in truths]
    answers = [Detected(each.boxes * np.float32(scale), each.scores, each.class_ids) for each in found]
    assert averages(larger, answers) == averages(truths, found)
    assert equal_error(larger, answers, centred()) == equal_error(truths, found, centred())


@given(SEEDS)
def test_what_is_found_at_a_threshold_is_what_is_found_without_the_rest(seed: int):
    truths, found = random_scenes(seed)
    ranking = rank(truths, found, overlapping())
    rest = rank(truths, [answers.above(0.5) for answers in found], overlapping())
    assert (ranking.found_at >= 0.5).tolist() == (~np.isnan(rest.found_at)).tolist()
    assert point_at(curve(ranking), 0.5) == point_at(curve(rest), 0.5)


# === Where there is nothing ===


@pytest.mark.parametrize(
    ("truths", "found"),
    [
        ([], []),
        ([NO_OBJECTS], [NOTHING]),
        ([NO_OBJECTS], [detected(square(0), [0.5])]),
        ([Objects.of(square(0), [1])], [NOTHING]),
        ([Objects.of(square(0), [0], [True])], [detected(square(0), [0.5])]),
        ([Objects.of([5, 5, 5, 5], [0])], [detected([[5, 5, 5, 5], [5, 5, 5, 9]], [0.5, 0.4])]),
    ],
    ids=["no images", "no objects and detections", "no objects", "no detections", "all ignored", "no area"],
)
@pytest.mark.parametrize("protocol", ["coco", "uiuc"])
def test_figures_without_objects_or_detections(truths: list[Objects], found: list[Detected], protocol: str):
    figures = detection_figures(truths, found, CLASSES, protocol)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    if not figures["objects"]:
        assert figures["ap"] is figures["voc_ap"] is figures["log_average_miss_rate"] is figures["best"]["f1"] is None
    else:
        assert figures["ap"] == figures["voc_ap"] == figures["best"]["recall"] == 0
        assert figures["best"]["threshold"] is None


@pytest.mark.parametrize("protocol", ["coco", "uiuc"])
def test_figures_are_plain_values(protocol: str):
    truths, found = random_scenes(4)
    figures = detection_figures([*truths, NO_OBJECTS], [*found, NOTHING], CLASSES, protocol)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert figures["images"] == 13
    assert figures["objects"] + figures["ignored_objects"] == sum(map(len, truths))
    assert figures["classes"]["c"] == dict.fromkeys(figures["classes"]["a"]) | {"objects": 0, "detections": 0}
    assert ("uiuc" in figures) == (protocol == "uiuc")


def test_what_does_not_belong_together_is_refused():
    one = [Objects.of(square(0), [3])]
    with pytest.raises(ValueError, match="class_id that is not below 3"):
        detection_figures(one, [NOTHING], CLASSES)
    with pytest.raises(ValueError, match='protocol "voc"'):
        detection_figures([], [], CLASSES, "voc")
    for call in (
        lambda: coco_figures(one, [], CLASSES),
        lambda: voc_average_precision(one, [], 0),
        lambda: error_kinds(one, [], CLASSES, 0.5),
        lambda: detection_figures(one, [], ("a", "b", "c", "d")),
    ):
        with pytest.raises(ValueError, match="objects of 1 images and detections of 0"):
            call()
