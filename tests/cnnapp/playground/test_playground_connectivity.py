"""Who is joined with whom, and what it costs, against loops."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnnapp
from cnnapp.playground import connectivity

SIZES = {"inputs": st.integers(2, 9), "kernel_size": st.integers(1, 5), "tile_shape": st.integers(1, 4)}


def value(formula: str) -> tuple[int, int]:
    """Return both sides of a formula."""
    sides = formula.replace(",", "").replace("·", "*").split(" = ")
    return eval(sides[0]), int(sides[-1])


@given(kind=st.sampled_from(connectivity.KINDS), **SIZES)
def test_weights_join_what_the_definition_says(kind: str, inputs: int, kernel_size: int, tile_shape: int):
    if kernel_size > inputs:
        with pytest.raises(cnnapp.ConfigError, match="must not be larger"):
            connectivity.connections(kind, inputs, kernel_size, tile_shape)
        return
    outputs = inputs - kernel_size + 1
    expected = np.zeros((outputs, inputs), int)
    for j in range(outputs):
        kernel = {"plain": 0, "tiled": j % tile_shape, "unshared": j, "dense": 0}[kind]
        for i in range(inputs):
            if kind == "dense":
                expected[j, i] = 1 + j * inputs + i
            elif 0 <= i - j < kernel_size:
                expected[j, i] = 1 + kernel * kernel_size + i - j
    np.testing.assert_array_equal(connectivity.connections(kind, inputs, kernel_size, tile_shape), expected)
    count = connectivity.count(kind, inputs, kernel_size, tile_shape)
    assert count.outputs == outputs
    assert count.multiply_adds == np.count_nonzero(expected)
    if kind != "tiled" or tile_shape <= outputs:
        assert count.parameters == expected.max()


@given(kind=st.sampled_from(connectivity.KINDS), channels=st.integers(1, 5), filters=st.integers(1, 5), **SIZES)
def test_formulas_give_what_the_layers_have(kind: str, channels: int, filters: int, **sizes: int):
    if sizes["kernel_size"] > sizes["inputs"]:
        return
    single = connectivity.count(kind, **sizes)
    count = connectivity.count(kind, channels=channels, filters=filters, **sizes)
    assert count.parameters == single.parameters * channels * filters
    assert count.multiply_adds == single.multiply_adds * channels * filters
    for found in (single, count):
        assert value(found.parameter_formula) == (found.parameters,) * 2
        assert value(found.multiply_add_formula) == (found.multiply_adds,) * 2


def test_images_are_joined_on_both_axes():
    weights = connectivity.connections("tiled", 4, kernel_size=2, tile_shape=2, rank=2)
    assert weights.shape == (9, 16)
    assert (np.count_nonzero(weights, axis=1) == 4).all()
    assert weights.max() == 2 * 2 * 2 * 2
    assert set(weights[0][weights[0] > 0]) == set(weights[2][weights[2] > 0])  # two columns on, the same kernel


def lines(drawing: str) -> list[ElementTree.Element]:
    return [element for element in ElementTree.fromstring(drawing) if element.tag.endswith("line")]


def test_lines_of_one_weight_have_one_colour():
    weights = connectivity.connections("plain", 6)
    drawn = lines(connectivity.draw_connections(weights))
    assert len(drawn) == np.count_nonzero(weights)
    assert len({line.get("stroke") for line in drawn}) == 3
    dense = lines(connectivity.draw_connections(connectivity.connections("dense", 6)))
    assert len({line.get("stroke") for line in dense}) == 24


def test_one_unit_alone_is_drawn_strongly():
    weights = connectivity.connections("plain", 6)
    reads = [
        line for line in lines(connectivity.draw_connections(weights, output=1)) if line.get("stroke-width") == "2.6"
    ]
    assert len(reads) == 3
    reaches = lines(connectivity.draw_connections(weights, input_=0))
    assert [line.get("stroke-width") for line in reaches].count("2.6") == 1
    assert reaches[-1].get("stroke-width") == "2.6"  # over the others
