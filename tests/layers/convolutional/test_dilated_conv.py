import keras
import numpy as np
import pytest
from hypothesis import strategies as st

from layer_checks import assert_close, given, keras_copies, random_array, randomize, run, to_numpy
from layers import DilatedConv2D

pytestmark = keras_copies

SQUARE = np.arange(9, dtype="float32").reshape(1, 3, 3, 1)
KERNEL = np.arange(4, dtype="float32").reshape(2, 2, 1, 1)


def convolve(x, kernel, **arguments):
    layer = DilatedConv2D(kernel.shape[-1], kernel.shape[:2], use_bias=False, data_format="channels_last", **arguments)
    layer.build(x.shape)
    layer.set_weights([kernel])
    return to_numpy(layer(x))[0, :, :, 0]


def test_textbook_numbers():
    assert convolve(SQUARE, KERNEL).tolist() == [[19, 25], [37, 43]]
    full = [[0, 3, 8, 4], [9, 19, 25, 10], [21, 37, 43, 16], [6, 7, 8, 0]]
    assert convolve(SQUARE, KERNEL, padding="full").tolist() == full
    assert convolve(SQUARE, KERNEL, padding=1).tolist() == full


def test_flipped_is_convolution_proper():
    assert convolve(SQUARE, KERNEL, flip_kernel=True).tolist() == [[5, 11], [23, 29]]
    impulse = np.zeros((1, 3, 3, 1), "float32")
    impulse[0, 1, 1, 0] = 1
    assert convolve(impulse, KERNEL, flip_kernel=True).tolist() == [[0, 1], [2, 3]]


def test_lenets_first_layer():
    layer = DilatedConv2D(6, 5)
    layer.build((None, 32, 32, 3))
    assert layer.compute_output_shape((None, 32, 32, 3)) == (None, 28, 28, 6)
    assert layer.count_params() == 456


def test_a_stride_that_does_not_divide_is_floored():
    assert DilatedConv2D(1, 3, strides=3).compute_output_shape((1, 7, 7, 1)) == (1, 2, 2, 1)


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "edge", "wrap"])
def test_padding_modes_on_a_ramp(mode):
    x = np.arange(5, dtype="float32").reshape(1, 5, 1, 1)
    got = convolve(x, np.ones((1, 1, 1, 1), "float32"), padding=((2, 3), (0, 0)), padding_mode=mode)
    assert got[:, 0].tolist() == np.pad(np.arange(5), (2, 3), mode=mode).tolist()


def test_causal_looks_at_nothing_after():
    layer = DilatedConv2D(2, 3, padding="causal", dilation_rate=2, data_format="channels_last")
    x = random_array((1, 8, 8, 2), dtype="float32")
    later = x.copy()
    later[:, 5:], later[:, :, 5:] = 9, 9
    np.testing.assert_array_equal(to_numpy(layer(x))[:, :5, :5], to_numpy(layer(later))[:, :5, :5])


@given(
    kernel_size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    striding=st.sampled_from([{"strides": 1}, {"strides": (2, 3)}, {"dilation_rate": 2}, {"dilation_rate": (1, 3)}]),
    padding=st.sampled_from(["valid", "same"]),
    groups=st.sampled_from([1, 1, 2]),
)
def test_equals_keras_on_the_arguments_keras_has(kernel_size, striding, padding, groups):
    arguments = {"kernel_size": kernel_size, "padding": padding, "groups": groups, "data_format": "channels_last"}
    arguments |= {"filters": 4, "activation": "relu", **striding}
    layer, plain = DilatedConv2D(**arguments), keras.layers.Conv2D(**arguments)
    x = random_array((2, 11, 12, 4), dtype="float32")
    layer.build(x.shape)
    plain.build(x.shape)
    randomize(layer)
    plain.set_weights([to_numpy(w) for w in layer.weights])
    assert_close(run(layer, x), run(plain, x), "float32")
