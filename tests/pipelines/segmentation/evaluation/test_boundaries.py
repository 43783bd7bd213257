"""Boundaries between classes, against shapes worked out by hand and against distance transforms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from pipelines.images.masks import IGNORED
from pipelines.segmentation.evaluation.boundaries import boundary, boundary_counts, tolerance_of


def square(top: int, left: int, side: int = 10, size: tuple[int, int] = (40, 50)) -> np.ndarray:
    """A square of class 1 on class 0."""
    mask = np.zeros(size, np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


def test_the_tolerance_is_a_share_of_the_diagonal_and_at_least_a_pixel():
    assert tolerance_of((360, 480)) == 4.5
    assert tolerance_of((3, 4)) == tolerance_of((0, 0)) == 1.0


def test_the_boundary_of_a_square_lies_on_both_sides():
    mask = square(10, 10)
    marked = boundary(mask)
    assert (marked & (mask == 1)).sum() == 4 * 10 - 4
    # Corners of the square touch no pixel of the other class above, below, left or right.
    assert (marked & (mask == 0)).sum() == 4 * 10


def test_the_border_of_the_image_is_no_boundary():
    assert not boundary(np.full((5, 6), 3, np.uint8)).any()
    assert boundary(square(0, 0)).sum() == (10 + 9) + (10 + 10)


def test_ignored_pixels_have_and_make_no_boundary():
    mask = square(10, 10)
    mask[9:21, 9:21][mask[9:21, 9:21] == 0] = IGNORED
    assert not boundary(mask).any()
    mask[20, 15] = 0
    assert np.argwhere(boundary(mask)).tolist() == [[19, 15], [20, 15]]


def test_what_was_found_in_ignored_pixels_does_not_count():
    truth = np.full((10, 10), IGNORED, np.uint8)
    assert not boundary_counts(truth, square(2, 2, 4, (10, 10)), 2, 2.0).any()


@pytest.mark.parametrize(("shift", "matched"), [(0, 36), (3, 36), (4, 24)])
def test_a_shift_within_the_tolerance_is_forgiven(shift: int, matched: int):
    # Four to the right: of the upper and of the lower side 9 each still lie within 3; of the left one none; of the
    # right one the three at either end, which are near the other square's upper and lower sides.
    counts = boundary_counts(square(10, 10), square(10, 10 + shift), 2, 3.0)
    assert counts[:, 1].tolist() == [36, matched, 36, matched]


def test_two_half_planes_by_hand():
    truth, found = np.zeros((2, 6, 20), np.uint8)
    truth[:, 10:] = 1
    found[:, 13:] = 1
    assert boundary_counts(truth, found, 2, 3.0).tolist() == [[6, 6]] * 4
    assert boundary_counts(truth, found, 2, 2.99).tolist() == [[6, 6], [0, 0], [6, 6], [0, 0]]


def test_distances_are_euclidean():
    # Two single pixels, one step to the right and one down: sqrt(2) apart.
    truth, found = np.zeros((2, 9, 9), np.uint8)
    truth[3, 3] = found[4, 4] = 1
    assert boundary_counts(truth, found, 2, 1.5)[:, 1].tolist() == [1, 1, 1, 1]
    assert boundary_counts(truth, found, 2, 1.4)[:, 1].tolist() == [1, 0, 1, 0]


def by_distance_transform(truth: np.ndarray, found: np.ndarray, classes: int, tolerance: float) -> np.ndarray:
    found = np.where(truth == IGNORED, np.uint8(IGNORED), found)
    counts = np.zeros((4, classes), np.int64)
    for number in range(classes):
        first, second = (boundary(mask) & (mask == number) for mask in (truth, found))
        for row, (one, other) in ((0, (first, second)), (2, (second, first))):
            near = distance_transform_edt(~other) <= tolerance if other.any() else np.zeros_like(one)
            counts[row : row + 2, number] = one.sum(), (one & near).sum()
    return counts


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.sampled_from([0.0, 1.0, 1.5, 3.2, 20.0]))
def test_counts_agree_with_a_distance_transform_for_each_class(seed: int, height: int, width: int, tolerance: float):
    dice = np.random.default_rng(seed)
    truth = dice.choice(np.array([0, 0, 0, 1, 2, IGNORED], np.uint8), (height, width))
    found = np.where(dice.random((height, width)) < 0.6, truth % 4, 1).astype(np.uint8)
    expected = by_distance_transform(truth, found, 4, tolerance)
    assert boundary_counts(truth, found, 4, tolerance).tolist() == expected.tolist()


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (1, 1)])
def test_images_without_boundaries(shape: tuple[int, int]):
    nothing = np.zeros(shape, np.uint8)
    assert boundary_counts(nothing, nothing, 2, 1.0).tolist() == [[0, 0]] * 4
