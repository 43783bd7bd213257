"""Which cells a window reads, and how sizes come about; receptive fields of stacks."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import cnnapp
from cnnapp.playground import stacks
from cnnapp.playground.windows import Windows, windows
from layers import DilatedConv1D, DilatedConv2D
from layers.core.geometry import PADDING_MODES, PADDINGS
from profiles import examples

SETTINGS = {
    "size": st.integers(1, 7),
    "kernel_size": st.integers(1, 4),
    "strides": st.integers(1, 4),
    "padding": st.sampled_from(PADDINGS) | st.tuples(st.integers(0, 4), st.integers(0, 4)),
    "padding_mode": st.sampled_from(PADDING_MODES),
    "dilation_rate": st.integers(1, 3),
}


def possible(**setting) -> Windows:
    try:
        return windows(**setting)
    except cnnapp.ConfigError:
        assume(False)
        raise


@given(**SETTINGS, corner=st.data())
def test_highlighted_cells_are_those_whose_change_changes_the_output(corner, **setting):
    found = possible(**setting)
    size, padding = setting["size"], setting["padding"]
    layer = DilatedConv2D(
        1,
        setting["kernel_size"],
        strides=setting["strides"],
        dilation_rate=setting["dilation_rate"],
        padding=padding if isinstance(padding, str) else (padding, padding),
        padding_mode=setting["padding_mode"],
        use_bias=False,
        kernel_initializer="ones",
        data_format="channels_last",
    )
    # One image a cell, in which that cell alone is not 0: what it changes is what the answer is for it.
    cells = np.eye(size**2, dtype="float32").reshape(-1, size, size, 1)
    changed = np.asarray(layer(cells))[..., 0] != 0
    assert changed.shape[1:] == (found.outputs, found.outputs)
    row = corner.draw(st.integers(0, found.outputs - 1))
    column = corner.draw(st.integers(0, found.outputs - 1))
    np.testing.assert_array_equal(found.depends(row, column), changed[:, row, column].reshape(size, size))


@given(**SETTINGS)
def test_what_is_drawn_is_what_numpy_pads_and_a_loop_reads(**setting):
    found = possible(**setting)
    size, kernel, stride, rate = (setting[name] for name in ("size", "kernel_size", "strides", "dilation_rate"))
    before, after = found.pads
    numbers = np.arange(1, size**2 + 1).reshape(size, size)
    padded = np.pad(numbers, (before, after), mode=setting["padding_mode"])
    np.testing.assert_array_equal(found.padded(), padded)
    assert found.is_padding().sum() == padded.size - size**2
    starts = [start for start in range(0, len(padded), stride) if start + (kernel - 1) * rate < len(padded)]
    assert found.outputs == len(starts)
    assert found.formula()[2].endswith(f"= {len(starts)}")
    reached = starts[-1] + (kernel - 1) * rate + 1
    assert found.unread == len(padded) - reached
    sums = found.sums()
    for row, top in enumerate(starts):
        for column, left in enumerate(starts):
            read = np.zeros(padded.shape, bool)
            read[np.ix_(*(np.arange(kernel) * rate + start for start in (top, left)))] = True
            np.testing.assert_array_equal(found.reads(row, column), read)
            assert sums[row, column] == padded[read].sum()


@given(**SETTINGS)
def test_the_formula_holds_with_its_numbers(**setting):
    found = possible(**setting)
    general, filled, _ = found.formula()
    assert "s}" in general
    inside = filled.split(r"\frac{")[1].split(r"\right")[0].rstrip()
    top, below = inside.rstrip("}").rsplit("}{", 1)
    assert eval(top.replace(r"\cdot", "*")) // int(below) + 1 == found.outputs
    rule = found.padding_rule()
    assert f"p₁ = {found.pads[0]} before and p₂ = {found.pads[1]} after" in rule


def test_what_does_not_fit_is_said():
    with pytest.raises(cnnapp.ConfigError, match=r"must not be larger than the padded input.*take a smaller kernel"):
        windows(3, 5)
    with pytest.raises(cnnapp.ConfigError, match="can pad at most"):
        windows(3, 5, padding=(4, 4), padding_mode="reflect")


STACKS = {"depth": st.integers(1, 3), "kernel_size": st.integers(1, 4), "strides": st.integers(1, 3)}


@settings(max_examples=examples(12))
@given(**STACKS, dilation_rate=st.integers(1, 3))
def test_a_stack_sees_what_reaches_its_unit(depth: int, kernel_size: int, strides: int, dilation_rate: int):
    options = {"strides": strides, "dilation_rate": dilation_rate}
    rows = stacks.growth(depth, kernel_size, **options)
    units = stacks.units_read(depth, kernel_size, **options)
    field = rows[-1].size
    x = np.eye(field, dtype="float32")[..., None]
    for _ in range(depth):
        layer = DilatedConv1D(
            1, kernel_size, use_bias=False, kernel_initializer="ones", data_format="channels_last", **options
        )
        x = layer(x)
    assert x.shape[1] == 1
    assert np.flatnonzero(np.asarray(x)).tolist() == units[0]
    for row, found in zip(rows, units, strict=True):
        # From the first input that the first of them sees to the last that the last sees.
        assert found[0] == 0
        assert found[-1] * row.jump + row.size == field
    for before, row in itertools.pairwise(rows):
        left, right = row.arithmetic.replace("·", "*").replace("−", "-").split(" = ")
        assert eval(left) == int(right) == row.size
        assert row.jump == before.jump * strides


def test_a_stack_is_drawn_unit_by_unit_or_as_bars():
    drawn = ElementTree.fromstring(stacks.draw_growth(2, 3, dilation_rate=2))
    circles = [element for element in drawn if element.tag.endswith("circle")]
    # 9 inputs as outlines, and of them 5 that are read; 3 units between; the one.
    assert len(circles) == 9 + 5 + 3 + 1
    lines = [element for element in drawn if element.tag.endswith("line")]
    assert len(lines) == 3 * 3 + 3
    bars = ElementTree.fromstring(stacks.draw_growth(6, 7, strides=4))
    texts = [element.text for element in bars if element.tag.endswith("text")]
    assert f"sees {stacks.growth(6, 7, strides=4)[-1].size}" in texts
    assert not [element for element in bars if element.tag.endswith("circle")]
