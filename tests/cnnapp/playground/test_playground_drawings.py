"""Drawings: what they hold, and that it can be read."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnapp.playground import colours
from cnnapp.playground.grids import READABLE, draw_grid, number, only
from cnnapp.playground.pictures import draw_levels, draw_signed


def luminance(colour: str) -> float:
    shares = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    bright, dark = sorted([luminance(first), luminance(second)], reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_text_can_be_read_on_every_colour(colour: tuple[int, int, int]):
    assert contrast(colours.ink_on(colour), colours.to_hex(colour)) >= 4.5


@given(st.integers(1, 40))
def test_lines_show_on_white(count: int):
    found = [colours.to_hex(colour) for colour in colours.many(count)]
    assert len(set(found)) == count
    assert min(contrast(colour, "#ffffff") for colour in found) > 1.3


def test_signs_are_told_apart_and_magnitudes_deepen():
    below, little, zero, above = (colour.astype(int) for colour in colours.signed([-4.0, -1.0, 0.0, 4.0]))
    assert below[2] > below[0]
    assert above[0] > above[2]
    assert zero.min() > 240
    assert below.sum() < little.sum() < zero.sum()
    assert (colours.signed(np.zeros((2, 2))) == colours.signed([0.0])).all()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-1e-15, "0"), (7.00001, "7"), (-12.0, "−12"), (0.0366, "0.0366"), (-1234.5, "−1234"), (999.9, "1000"),
     (-1.2e-6, "−1.2e−06"),
     (float("nan"), ""), (float("-inf"), "−∞"), (0.0005, "0.0005")],
)  # fmt: skip
def test_numbers_are_brief(value: float, text: str):
    assert number(value) == text


def test_a_grid_holds_its_numbers_and_marks():
    values = np.array([[1, np.nan, 3.5], [-2, 1000, 0]])
    mark = only(2, 3, 1, 1)
    drawn = ElementTree.fromstring(draw_grid(values, outlined=mark, chosen=mark, padding=only(2, 3, 0, 0)))
    assert drawn[0].get("fill") == "white"  # a ground of its own, for dark pages
    texts = [element.text for element in drawn if element.tag.endswith("text")]
    assert sorted(texts) == sorted(["1", "3.5", "−2", "1000", "0"])
    cells = [element for element in drawn if element.tag.endswith("rect")][1:]
    assert len(cells) == 6
    assert [cell.get("stroke") for cell in cells].count(colours.MARK) == 1
    assert cells[-1].get("stroke") == colours.MARK
    assert sum(cell.get("stroke-dasharray") is not None for cell in cells) == 1


def test_pixels_are_enlarged_whole_and_marked_around():
    levels = np.array([[0.0, 300.0], [100.0, -20.0]])
    picture = np.asarray(draw_levels(levels, side=21))
    assert picture.shape == (20, 20, 3)
    assert picture[[0, 0, 19, 19], [0, 19, 0, 19], 0].tolist() == [0, 255, 100, 0]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 3
    marked = np.asarray(draw_levels(np.zeros((6, 6)), [(2, 2, 4, 4)], side=60))
    inside = marked[20:40, 20:40]
    assert not inside.any()
    assert (marked[19, 20:40] == (255, 176, 0)).all()
    fitted = np.asarray(draw_levels(np.array([[510.0, 255.0]]), side=2, fit=True))
    assert fitted[0, :, 0].tolist() == [255, 128]
    assert draw_signed(np.zeros((400, 600)), side=480).size == (600, 400)


def test_numbers_too_small_to_read_are_left_out():
    values = np.arange(4).reshape(2, 2)
    assert draw_grid(values, cell=READABLE).count("<text") == 4
    assert draw_grid(values, cell=READABLE - 1).count("<text") == 0
    assert draw_grid(values, cell=READABLE - 1).count("<rect") == draw_grid(values).count("<rect")
