import numpy as np
import pytest
from hypothesis import strategies as st

from layer_checks import assert_close, convolutions, given, keras_copies, random_array, randomize, run, to_numpy
from layers import DilatedConv2D, TiledConv2D, UnsharedConv2D

pytestmark = keras_copies


def test_kernel_and_bias_have_an_entry_for_every_place_in_the_tile():
    layer = TiledConv2D(6, (3, 2), tile_shape=(2, 5), groups=2, data_format="channels_last")
    layer.build((None, 9, 8, 4))
    assert tuple(layer.kernel.shape) == (2, 5, 3, 2, 2, 6)
    assert tuple(layer.bias.shape) == (2, 5, 6)


def test_position_j_uses_kernel_j_mod_tile_shape():
    layer = TiledConv2D(1, 1, tile_shape=(2, 3), use_bias=False, data_format="channels_last")
    layer.build((1, 3, 4, 1))
    layer.set_weights([np.arange(6.0).reshape(2, 3, 1, 1, 1, 1)])
    want = [[0, 1, 2, 0], [3, 4, 5, 3], [0, 1, 2, 0]]
    assert to_numpy(layer(np.ones((1, 3, 4, 1))))[0, :, :, 0].tolist() == want


@given(convolutions())
def test_a_tile_of_one_is_a_plain_convolution(drawn):
    arguments, shape = drawn
    tiled = TiledConv2D(**arguments, tile_shape=1, data_format="channels_last")
    plain = DilatedConv2D(**arguments, data_format="channels_last")
    tiled.build(shape)
    plain.build(shape)
    randomize(plain)
    tiled.set_weights([to_numpy(w)[None, None] for w in plain.weights])
    x = random_array(shape, dtype="float32")
    assert_close(run(tiled, x), run(plain, x), "float32")


@given(convolutions(), st.sampled_from([0, 2]), ci=4)
def test_a_tile_as_large_as_the_output_is_an_unshared_convolution(drawn, larger):
    arguments, shape = drawn
    unshared = UnsharedConv2D(**arguments, data_format="channels_last")
    unshared.build(shape)
    randomize(unshared)
    kernel, bias = map(to_numpy, unshared.weights)
    sizes = kernel.shape[:2]
    tiled = TiledConv2D(**arguments, tile_shape=tuple(s + larger for s in sizes), data_format="channels_last")
    tiled.build(shape)
    values = [np.full(w.shape, np.nan) for w in tiled.weights]  # what has no position must have no effect
    values[0][: sizes[0], : sizes[1]] = kernel.reshape(*sizes, *values[0].shape[2:])
    values[1][: sizes[0], : sizes[1]] = bias
    tiled.set_weights(values)
    x = random_array(shape, dtype="float32")
    assert_close(run(tiled, x), run(unshared, x), "float32")


@given(convolutions(tiled=True), ci=5)
def test_equal_kernels_make_a_plain_convolution(drawn):
    arguments, shape = drawn
    tiled = TiledConv2D(**arguments, data_format="channels_last")
    del arguments["tile_shape"]
    plain = DilatedConv2D(**arguments, data_format="channels_last")
    tiled.build(shape)
    plain.build(shape)
    randomize(plain)
    tiled.set_weights(
        [np.broadcast_to(to_numpy(w), t.shape) for w, t in zip(plain.weights, tiled.weights, strict=True)]
    )
    x = random_array(shape, dtype="float32")
    assert_close(run(tiled, x), run(plain, x), "float32")


@pytest.mark.parametrize("tile_shape", [0, (2, -1), 1.5, (1, 2, 3), "two"])
def test_a_wrong_tile_is_named(tile_shape):
    with pytest.raises(ValueError, match=r"`tile_shape` must be an integer >= 1 or a sequence of 2.*Received: tile_sh"):
        TiledConv2D(4, 3, tile_shape=tile_shape)
