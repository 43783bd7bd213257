"""Equivariance: what the rule says is what is measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import cnnapp
from cnnapp.playground import shifts


def image(seed: int = 0, size: tuple[int, int] = (24, 28)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size).astype("float32")


SHIFTS = {
    "kind": st.sampled_from(shifts.KINDS),
    "rows": st.integers(-8, 8),
    "columns": st.integers(-8, 8),
    "strides": st.integers(2, 4),
    "tile_shape": st.integers(1, 4),
    "wrap": st.booleans(),
}


@given(seed=st.integers(0, 99), height=st.integers(22, 27), width=st.integers(22, 27), **SHIFTS)
def test_it_holds_inside_exactly_where_the_rule_says(seed: int, height: int, width: int, **setting):
    found = shifts.shift_test(image(seed, (height, width)), **setting)
    inside = found.largest(border=False)
    assert inside is not None
    assert (inside == 0) == found.expected


@given(**SHIFTS)
def test_inside_are_outputs_that_see_only_what_the_shift_brought(**setting):
    picture = image(1, (23, 26))
    found = shifts.shift_test(picture, **setting)
    kind, strides = setting["kind"], setting["strides"]
    expected = []
    for size, moved in zip(picture.shape, (setting["rows"], setting["columns"]), strict=True):
        step = strides if kind in ("strided", "pooling") else 1
        window = strides if kind == "pooling" else 3
        count = size // step if kind == "pooling" else -(-size // step)
        before = 0 if kind == "pooling" else max((count - 1) * step + window - size, 0) // 2
        starts = np.arange(count) * step - before
        expected.append((starts >= max(0, moved)) & (starts + window <= min(size, size + moved)))
    np.testing.assert_array_equal(found.interior, np.logical_and.outer(*expected))


@given(rows=st.integers(-8, 8), columns=st.integers(-8, 8))
def test_round_the_border_a_plain_convolution_is_equivariant_everywhere(rows: int, columns: int):
    found = shifts.shift_test(image(), "plain", rows, columns, wrap=True)
    assert not found.difference.any()
    # With zeros it is not, unless nothing moves.
    found = shifts.shift_test(image(), "plain", rows, columns)
    assert bool(found.largest(border=True)) == bool(rows or columns)


def test_a_plain_answer_is_scipys():
    found = shifts.shift_test(image(), "plain", 0, 0)
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    np.testing.assert_array_equal(found.of_shifted, ndimage.correlate(image(), sobel, mode="constant"))


@given(
    rows=st.integers(-12, 12), columns=st.integers(-12, 12), height=st.integers(1, 10), width=st.integers(1, 10),
    wrap=st.booleans(),
)  # fmt: skip
def test_a_shift_moves_pixels_and_fills_with_zeros(rows: int, columns: int, height: int, width: int, wrap: bool):
    picture = np.arange(1, height * width + 1).reshape(height, width)
    moved = shifts.shift(picture, rows, columns, wrap)
    for row in range(height):
        for column in range(width):
            source = (row - rows, column - columns)
            inside = 0 <= source[0] < height and 0 <= source[1] < width
            expected = picture[source[0] % height, source[1] % width] if wrap or inside else 0
            assert moved[row, column] == expected
    assert picture[0, 0] == 1  # what came in is left as it was


def test_reasons_say_what_decides():
    cases = [
        ("strided", 4, 2, True, "a multiple of the stride 2"),
        ("strided", 3, 2, False, "no multiple of the stride 2"),
        ("pooling", 2, 2, True, "a multiple of the stride 2"),
        ("tiled", 2, 4, True, "is a multiple of 2"),
        ("tiled", 1, 2, False, "is no multiple of 2"),
        ("unshared", 0, 1, False, "another kernel"),
        ("unshared", 0, 0, True, "Nothing was shifted"),
        ("plain", 5, 7, True, "any number of pixels"),
    ]
    for kind, rows, columns, expected, reason in cases:
        found = shifts.shift_test(image(), kind, rows, columns)
        assert found.expected is expected
        assert reason in found.reason
    assert shifts.shift_test(image(), "strided", 3, -3).moved == (1, -2)
    assert not shifts.shift_test(image(), "strided", 3, -3).whole


def test_an_image_without_an_inside_and_one_that_is_too_small():
    found = shifts.shift_test(image(0, (4, 4)), "plain", 8, 8)
    assert found.largest(border=False) is None
    assert found.largest(border=True) is not None
    with pytest.raises(cnnapp.ConfigError, match="at least 3 pixels"):
        shifts.shift_test(image(0, (2, 9)), "plain", 1, 1)
