"""Two models on the same images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnapp.reports.comparison import Verdict, common_classes, compare, ranked, verdict
from cnnapp.reports.comparison_plots import draw_pixels, only_alone
from cnnapp.reports.labelled_samples import LABELLED, labelled_images
from cnnapp.results.classification import ClassDifference, Classification
from cnnapp.results.detections import Detections
from cnnapp.results.segmentation import Segmentation
from pipelines.artifacts.model_card import read_card
from pipelines.core.errors import ConfigError, DataError
from places import ROOT


def classified(scores, names=("cat", "dog"), source="a.png") -> Classification:
    return Classification(source, np.array(scores, np.float32), names)


def detected(boxes, class_ids, names=("cat", "dog")) -> Detections:
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.5, len(boxes)).astype(np.float32)
    return Detections("a.png", boxes, scores, np.array(class_ids, np.int64), names)


def segmented(class_map, names=("background", "cat", "dog")) -> Segmentation:
    class_map = np.array(class_map, np.uint8)
    return Segmentation("a.png", class_map, np.ones(class_map.shape, np.float32), names)


probabilities = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(lambda rows: np.array(rows) / np.sum(rows))


@given(probabilities, probabilities)
def test_the_distance_of_scores_is_that_of_the_best_bet(first, second):
    """Total variation is the largest difference in the probability of any set of classes: all sets are tried."""
    names = ("a", "b", "c")
    found = compare(classified(first, names), classified(second, names))
    sets = [[bool(number >> at & 1) for at in range(3)] for number in range(8)]
    expected = max(abs(first[chosen].sum() - second[chosen].sum()) for chosen in map(np.array, sets))
    assert found.amount == pytest.approx(expected, abs=1e-5)
    assert found.agrees == (names[np.argmax(np.float32(first))] == names[np.argmax(np.float32(second))])


def test_classes_are_the_same_by_their_names():
    found = compare(classified([0.75, 0.25]), classified([0.25, 0.75], ("dog", "cat")))
    assert found.agrees
    assert found.amount == 0
    assert compare(classified([1, 0]), classified([1, 0], ("bird", "fish"))).amount == 1


boxes = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 12), st.integers(1, 12), st.integers(0, 1)),
    max_size=6,
).map(lambda rows: detected([(x, y, x + w, y + h) for x, y, w, h, _ in rows], [row[4] for row in rows]))


@given(boxes, boxes)
def test_every_object_is_found_by_both_or_by_one_alone(first, second):
    found = compare(first, second)
    assert len(found.both) + len(found.first_only) == len(first)
    assert len(found.both) + len(found.second_only) == len(second)
    for one, other in found.both:
        assert one.class_name == other.class_name
        assert _overlap(one.box, other.box) >= 0.5
    for one in found.first_only:  # none that is left would have fitted another that is left
        assert all(
            one.class_name != other.class_name or _overlap(one.box, other.box) < 0.5 for other in found.second_only
        )
    back = compare(second, first)
    assert (len(back.first_only), len(back.second_only)) == (len(found.second_only), len(found.first_only))
    assert found.agrees == (not found.first_only and not found.second_only)
    assert 0 <= found.amount <= 1


def _overlap(one, other) -> float:
    """Count the whole pixels in both and in either, which for boxes of whole numbers is exact."""
    cells = [
        {(x, y) for x in range(int(box[0]), int(box[2])) for y in range(int(box[1]), int(box[3]))}
        for box in (one, other)
    ]
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1])


def test_a_model_agrees_with_itself_about_objects():
    answer = detected([(0, 0, 9, 9), (20, 0, 29, 9)], [0, 1])
    assert compare(answer, answer).agrees
    assert compare(detected([], []), detected([], [])).agrees
    alone = compare(answer, detected([(0, 0, 9, 9)], [1]))
    assert [each.class_name for each in alone.first_only] == ["cat", "dog"]
    assert len(only_alone(alone)) == 2
    assert only_alone(alone, second=True).counts() == {"dog": 1}


@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 9))
def test_pixels_are_counted_by_the_names_of_their_classes(seed: int, height: int, width: int):
    dice = np.random.default_rng(seed)
    first = segmented(dice.integers(0, 3, (height, width)))
    second = segmented(dice.integers(0, 3, (height, width)), ("background", "dog", "cat"))
    found = compare(first, second)
    names = [[[each.class_names[one] for one in row] for row in each.class_map] for each in (first, second)]
    expected = np.array(names[0]) != np.array(names[1])
    np.testing.assert_array_equal(found.differs, expected)
    assert found.amount == pytest.approx(expected.mean())
    assert sum(count for *_, count in found.pairs) == expected.sum()
    for one, other, count in found.pairs:
        assert count == ((np.array(names[0]) == one) & (np.array(names[1]) == other)).sum()


def test_answers_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="two answers of one task"):
        compare(classified([1, 0]), detected([], []))
    with pytest.raises(DataError, match="pixels"):
        compare(segmented([[0, 1]]), segmented([[0], [1]]))


def test_what_differs_most_comes_first_and_what_agrees_last():
    answers = [([1, 0], [1, 0]), ([0.9, 0.1], [0.1, 0.9]), ([0.6, 0.4], [0.4, 0.6]), ([1, 0], [0.6, 0.4])]
    differences = [compare(classified(a, source=str(i)), classified(b)) for i, (a, b) in enumerate(answers)]
    assert [each.source for each in ranked(differences)] == ["1", "2", "3", "0"]


def test_pixels_that_differ_are_marked():
    found = compare(segmented([[0, 1], [2, 2]]), segmented([[0, 2], [2, 2]]))
    drawn = np.asarray(draw_pixels(found, np.full((2, 2, 3), 100, np.uint8), side=2))
    assert drawn[0, 1].tolist() == [213, 94, 0]
    assert len(set(drawn[1, 1].tolist())) == 1


def test_a_single_pixel_of_a_huge_image_is_still_seen():
    maps = np.zeros((301, 199), np.uint8)
    other = maps.copy()
    other[300, 197] = 1
    found = compare(segmented(maps), segmented(other))
    drawn = np.asarray(draw_pixels(found, np.full((301, 199, 3), 100, np.uint8), side=1, largest=50))
    assert max(drawn.shape) <= 51
    assert (drawn == [213, 94, 0]).all(-1).sum() == 1


def test_cards_are_compared_by_task_and_classes():
    digits, fashion, scenes = (
        read_card(ROOT / "saved_models" / name / "1") for name in ("digits", "fashion", "digit-scenes")
    )
    assert common_classes(digits, digits) == digits.classes
    with pytest.raises(ConfigError, match="no class in common"):
        common_classes(digits, fashion)
    with pytest.raises(ConfigError, match="only models of one task"):
        common_classes(digits, scenes)


def outcomes(both: int, first: int, second: int, neither: int) -> tuple[list[ClassDifference], list[str]]:
    cat, dog = classified([1, 0]), classified([0, 1])
    pairs = [(cat, cat)] * both + [(cat, dog)] * first + [(dog, cat)] * second + [(dog, dog)] * neither
    return [compare(one, other) for one, other in pairs], ["cat"] * len(pairs)


def test_mcnemars_test_is_that_of_the_coin():
    found = verdict(*outcomes(80, 12, 2, 6))
    assert (found.both, found.first_only, found.second_only, found.neither) == (80, 12, 2, 6)
    # Twice the chance of at most 2 heads in 14 throws: 2 (1 + 14 + 91) / 2^14.
    assert found.chance == pytest.approx(2 * (1 + 14 + 91) / 2**14)
    assert "A is better" in str(found)
    assert "B is better" in str(verdict(*outcomes(0, 2, 12, 0)))


def test_where_nothing_tells_two_apart_it_is_said():
    found = verdict(*outcomes(9, 0, 0, 1))
    assert found.chance == 1
    assert "do not show which is better" in str(found)
    assert "by chance 100 % of the time" in str(found)
    assert "9 of 10" in str(found)
    assert isinstance(found, Verdict)


def test_embedded_digits_are_for_classifiers_of_digits():
    found = labelled_images(LABELLED[0], list("0123456789"), "classification")
    assert found is not None
    assert len(found) == 280
    assert {label for *_, label in found} == set("0123456789")
    assert labelled_images(LABELLED[0], ["cat"], "classification") is None
    assert labelled_images(LABELLED[0], list("0123456789"), "detection") is None
