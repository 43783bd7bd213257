"""Pooling and its arithmetic, against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnnapp
from cnnapp.playground.pooling import KINDS, Pooling

POOLINGS = st.builds(
    Pooling,
    st.sampled_from(KINDS),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from(["valid", "same"]),
    st.sampled_from([1.0, 1.5, 2.0, 3.0, 8.0, math.inf]),
    st.booleans(),
)


def reference(pooling: Pooling, values: np.ndarray) -> tuple[np.ndarray, dict[tuple[int, int], np.ndarray]]:
    """Return the pooled values and the mask of each window, by loops."""
    starts = []
    for size in values.shape:
        if pooling.padding == "valid":
            starts.append(list(range(0, size - pooling.pool_size + 1, pooling.strides)))
        else:
            count = -(-size // pooling.strides)
            before = max((count - 1) * pooling.strides + pooling.pool_size - size, 0) // 2
            starts.append([j * pooling.strides - before for j in range(count)])
    pooled, masks = np.zeros([len(axis) for axis in starts]), {}
    for j, top in enumerate(starts[0]):
        for i, left in enumerate(starts[1]):
            mask = np.zeros(values.shape, bool)
            mask[max(top, 0) : top + pooling.pool_size, max(left, 0) : left + pooling.pool_size] = True
            masks[j, i] = mask
            read = values[mask]
            if pooling.kind == "max":
                pooled[j, i] = read.max()
            elif pooling.kind == "average":
                pooled[j, i] = read.mean()
            else:
                p = 2.0 if pooling.kind == "L2" else pooling.p
                scale = len(read) if pooling.mean and not math.isinf(p) else 1
                pooled[j, i] = np.linalg.norm(read, p) / scale ** (1 / p)
    return pooled, masks


@given(pooling=POOLINGS, seed=st.integers(0, 999), height=st.integers(4, 7), width=st.integers(4, 7))
def test_values_and_windows_are_those_of_a_loop(pooling: Pooling, seed: int, height: int, width: int):
    values = np.random.default_rng(seed).integers(-9, 10, (height, width)).astype(float)
    pooled, masks = reference(pooling, values)
    np.testing.assert_allclose(pooling(values), pooled, rtol=1e-5, atol=1e-5)
    for (row, column), mask in masks.items():
        np.testing.assert_array_equal(pooling.window(values, row, column), mask)


@given(pooling=POOLINGS, seed=st.integers(0, 999))
def test_the_arithmetic_gives_what_it_says(pooling: Pooling, seed: int):
    values = np.random.default_rng(seed).integers(-9, 10, (5, 6)).astype(float)
    pooled, _ = reference(pooling, values)
    text = pooling.arithmetic(values, 0, pooled.shape[1] - 1).replace("−", "-")
    left, right = text.split(" = ")
    terms = left
    for digits in range(10):
        for sign in ("-", ""):
            terms = terms.replace(f"|{sign}{digits}|", f"abs({sign}{digits})")
    if "max(" in terms and "," not in terms:
        terms = terms.replace("max(", "(")
    assert eval(terms.replace("^", "**")) == pytest.approx(float(right), rel=0.01, abs=1e-6)
    assert float(right) == pytest.approx(pooled[0, -1], rel=0.01, abs=1e-6)


def test_a_window_that_does_not_fit_is_said():
    with pytest.raises(cnnapp.ConfigError, match="pool_size=5 for 4 x 9"):
        Pooling("max", 5, 1)(np.zeros((4, 9)))
    assert Pooling("max", 5, 1, "same")(np.zeros((4, 9))).shape == (4, 9)
