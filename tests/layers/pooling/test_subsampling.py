"""LeNet-5's subsampling: any window, any padding, either order of channels."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from layer_checks import assert_close, check_gradients, keras_copies, random_array, randomize, to_numpy
from layers.analysis.cost import costs
from layers.pooling.subsampling import Subsampling2D


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("size", "strides", "padding"), [(2, None, "valid"), ((2, 3), (1, 2), "same")])
def test_is_a_scaled_sum(size, strides, padding, data_format):
    layer = Subsampling2D(size, strides, padding, data_format, dtype="float64")
    height, width = layer.pool_size
    down, right = layer.strides
    x = random_array((2, 6, 7, 3))
    shown = x if data_format == "channels_last" else np.moveaxis(x, -1, 1)
    layer.build(shown.shape)
    randomize(layer)
    after = [(0, 0), (0, 1), (1, 1), (0, 0)] if padding == "same" else [(0, 0)] * 4
    padded = np.pad(x, after)
    rows, columns = (6, 4) if padding == "same" else (3, 3)
    sums = np.stack(
        [
            [padded[:, i * down : i * down + height, j * right : j * right + width].sum((1, 2)) for j in range(columns)]
            for i in range(rows)
        ]
    ).transpose(2, 0, 1, 3)
    expected = sums * to_numpy(layer.coefficient) + to_numpy(layer.bias)
    got = to_numpy(layer(shown))
    assert_close(got if data_format == "channels_last" else np.moveaxis(got, 1, -1), expected, "float64")
    assert layer.compute_output_shape(shown.shape) == got.shape


def test_begins_as_the_average_and_counts_its_coefficient():
    layer = Subsampling2D((2, 3))
    assert_close(layer(np.full((1, 4, 6, 2), 5.0, "float32")), np.full((1, 2, 2, 2), 5.0), "float32")
    model = keras.Sequential([keras.Input((8, 8, 3)), Subsampling2D()])
    assert costs(model).total.multiply_adds == 4 * 4 * 3


def test_gradients():
    layer = Subsampling2D(2, 1, "same", "channels_last", dtype="float64")
    layer.build((None, 4, 5, 2))
    randomize(layer)
    check_gradients(layer, random_array((2, 4, 5, 2)))


@keras_copies
def test_saves_and_loads_and_so_does_what_was_saved_without_arguments(tmp_path):
    model = keras.Sequential([keras.Input((9, 8, 3)), Subsampling2D(3, 2, "same", "channels_last")])
    randomize(model.layers[-1])
    model.save(tmp_path / "model.keras")
    x = random_array((2, 9, 8, 3), dtype="float32")
    assert_close(keras.saving.load_model(tmp_path / "model.keras")(x), to_numpy(model(x)), "float32")
    assert Subsampling2D.from_config({"name": "s2", "trainable": True, "dtype": "float32"}).pool_size == (2, 2)


def test_a_window_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match="must not be larger than the input"):
        Subsampling2D(3)(np.ones((1, 2, 5, 1), "float32"))
