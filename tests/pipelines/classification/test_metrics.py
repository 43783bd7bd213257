"""Figures, against values worked out by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.classification.metrics import classification_figures
from pipelines.reporting.statistics import calibration, wilson_interval


def test_wilson_interval_as_published():
    # Newcombe (1998), table I: 81 of 263 gives 0.2553 to 0.3662, and 0 of 20 gives 0 to 0.1611.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_interval_holds_the_share(pair: tuple[int, int]):
    low, high = wilson_interval(*pair)
    assert 0.0 <= low <= pair[0] / pair[1] + 1e-12
    assert pair[0] / pair[1] - 1e-12 <= high <= 1.0


def test_calibration_error_by_hand():
    # Two answers at 0.9, one right; two at 0.6, both right: 2/4 * |0.5 - 0.9| + 2/4 * |1 - 0.6| = 0.4.
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    found = calibration(np.array([0, 1, 0, 0]), scores)
    assert found.error == pytest.approx(0.4)
    assert found.count.sum() == 4


def test_a_score_of_one_is_in_the_last_bin():
    found = calibration(np.array([0]), np.array([[1.0, 0.0]]))
    assert found.error == 0.0
    assert found.count[-1] == 1


def test_figures_by_hand():
    scores = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
    found = classification_figures(np.array([0, 1, 1, 2]), scores, ("a", "b", "c"))
    assert found["accuracy"] == 0.75
    assert found["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert found["classes"]["b"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    assert found["log_loss"] == pytest.approx(-np.log([0.7, 0.3, 0.7, 0.8]).mean())


def test_a_class_without_images_does_not_break_the_figures():
    found = classification_figures(np.array([0, 0]), np.array([[0.9, 0.1], [0.8, 0.2]]), ("a", "b"))
    assert found["classes"]["b"]["support"] == 0
    assert found["accuracy"] == 1.0
