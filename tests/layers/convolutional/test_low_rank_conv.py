"""A learned column and row: the convolution with the kernel that they make together."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import strategies as st

from layer_checks import (
    assert_close,
    check_gradients,
    convolutions,
    given,
    keras_copies,
    random_array,
    randomize,
    reference_convolution,
    to_numpy,
)
from layers.analysis.cost import costs
from layers.convolutional.low_rank_conv import LowRankConv2D


@given(convolutions(), st.integers(1, 3), examples=20)
def test_is_the_convolution_with_the_kernel_of_both(drawn, rank):
    arguments, shape = drawn
    layer = LowRankConv2D(**arguments, rank=rank, dtype="float64", data_format="channels_last")
    x = random_array(shape)
    layer.build(shape)
    randomize(layer)
    kernel, bias = to_numpy(layer.kernel), to_numpy(layer.bias)
    assert kernel.shape == (*layer.kernel_size, shape[-1] // layer.groups, layer.filters)
    assert_close(layer(x), reference_convolution(layer, x, kernel, bias), "float64")


def test_gradients():
    layer = LowRankConv2D(4, 3, groups=2, padding="same", rank=2, dtype="float64", data_format="channels_last")
    x = random_array((2, 5, 6, 4))
    layer.build(x.shape)
    randomize(layer)
    check_gradients(layer, x)


@keras_copies
def test_saves_and_loads_in_either_order_of_channels(tmp_path):
    last = LowRankConv2D(4, (3, 5), (1, 2), "same", data_format="channels_last", activation="relu")
    assert last.get_config()["rank"] == 2
    model = keras.Sequential([keras.Input((9, 8, 3)), last])
    randomize(last)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = random_array((2, 9, 8, 3), dtype="float32")
    assert_close(again(x), to_numpy(model(x)), "float32")
    first = LowRankConv2D.from_config({**last.get_config(), "data_format": "channels_first"})
    first.build((None, 3, 9, 8))
    first.set_weights(last.get_weights())
    assert_close(np.moveaxis(to_numpy(first(np.moveaxis(x, -1, 1))), 1, -1), to_numpy(model(x)), "float32")


def test_column_and_row_begin_with_numbers_of_their_own():
    layer = LowRankConv2D(3, 3, rank=3)
    layer.build((None, 8, 8, 3))
    columns, rows = to_numpy(layer.columns), to_numpy(layer.rows)
    assert columns.size == rows.size
    assert not np.array_equal(columns.ravel(), rows.ravel())


def test_what_it_costs():
    model = keras.Sequential([keras.Input((10, 12, 4)), LowRankConv2D(8, (3, 5), 2, "same", rank=2)])
    cost = costs(model).layers[-1]
    # Five rows of the output by the 15 columns of the padded input, and then by the six of the output.
    assert cost.multiply_adds == 5 * 15 * (3 * 4 * 2) + 5 * 6 * (5 * 2 * 8)
    assert cost.parameters == 3 * 4 * 2 + 5 * 2 * 8 + 8


@pytest.mark.parametrize("rank", [0, 1.5, "two"])
def test_a_rank_is_a_positive_integer(rank):
    with pytest.raises(ValueError, match="`rank` must be an integer >= 1"):
        LowRankConv2D(4, 3, rank=rank)


def test_unknown_channels_are_refused():
    with pytest.raises(ValueError, match="divisible by `groups`"):
        LowRankConv2D(4, 3, groups=2).build((None, 8, 8, 3))
