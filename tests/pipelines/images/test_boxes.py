"""Boxes in pixels: how much of them they share."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.images.boxes import overlaps

SIDE = 8
sides = st.tuples(st.integers(0, SIDE), st.integers(0, SIDE)).map(sorted)
boxes = st.lists(st.tuples(sides, sides).map(lambda pair: [pair[0][0], pair[1][0], pair[0][1], pair[1][1]]), max_size=4)


def covered(box: np.ndarray) -> np.ndarray:
    left, top, right, bottom = box
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top:bottom, left:right] = True
    return mask


@given(boxes, boxes)
def test_overlaps_are_the_pixels_of_both_by_the_pixels_of_either(first: list[list[int]], second: list[list[int]]):
    one, other = (np.array(each, np.int64).reshape(-1, 4) for each in (first, second))
    expected = np.zeros((len(one), len(other)))
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            either = (covered(a) | covered(b)).sum()
            expected[i, j] = (covered(a) & covered(b)).sum() / either if either else 0
    np.testing.assert_allclose(overlaps(one, other), expected, atol=1e-6)
