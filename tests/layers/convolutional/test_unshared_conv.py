import keras
import numpy as np
import pytest

from layer_checks import assert_close, convolutions, given, keras_copies, random_array, run, to_numpy
from layers import DilatedConv2D, UnsharedConv2D

pytestmark = keras_copies


def test_kernel_and_bias_have_a_row_for_every_position():
    layer = UnsharedConv2D(6, (3, 2), strides=2, groups=2, data_format="channels_last")
    layer.build((None, 9, 8, 4))
    assert tuple(layer.kernel.shape) == (4, 4, 3 * 2 * 2, 6)
    assert tuple(layer.bias.shape) == (4, 4, 6)


@given(convolutions())
def test_equal_kernels_make_a_plain_convolution(drawn):
    arguments, shape = drawn
    unshared = UnsharedConv2D(**arguments, data_format="channels_last")
    plain = DilatedConv2D(**arguments, bias_initializer="normal", data_format="channels_last")
    unshared.build(shape)
    plain.build(shape)
    kernel, bias = map(to_numpy, plain.weights)
    unshared.set_weights(
        [
            np.broadcast_to(kernel.reshape(-1, kernel.shape[-1]), unshared.kernel.shape),
            np.broadcast_to(bias, unshared.bias.shape),
        ]
    )
    x = random_array(shape, dtype="float32")
    assert_close(run(unshared, x), run(plain, x), "float32")


def test_each_output_has_its_own_weights():
    layer = UnsharedConv2D(1, 1, use_bias=False, data_format="channels_last")
    layer.build((1, 2, 3, 1))
    layer.set_weights([np.arange(6.0).reshape(2, 3, 1, 1)])
    assert to_numpy(layer(np.full((1, 2, 3, 1), 2.0)))[0, :, :, 0].tolist() == [[0, 2, 4], [6, 8, 10]]


def test_the_patch_axis_runs_over_positions_then_channels():
    layer = UnsharedConv2D(1, 2, use_bias=False, data_format="channels_last")
    layer.build((1, 2, 2, 3))
    layer.set_weights([10.0 ** np.arange(-6, 6).reshape(1, 1, 12, 1)])
    x = np.zeros((1, 2, 2, 3), "float32")
    x[0, 1, 0, 2] = 1  # row 1, column 0, channel 2: the entry (1 * 2 + 0) * 3 + 2 = 8
    assert to_numpy(layer(x)).item() == pytest.approx(10.0**2)


@pytest.mark.parametrize("shape", [(None, None, 8, 4), (None, 9, None, 4), (None, 9, 8, None)])
def test_unknown_sizes_are_refused(shape):
    with pytest.raises(ValueError, match="must be known"):
        UnsharedConv2D(6, 3, data_format="channels_last").build(shape)
    with pytest.raises(ValueError, match="must be known"):
        UnsharedConv2D(6, 3, data_format="channels_last")(keras.Input(shape[1:]))


def test_other_sizes_than_those_built_for_are_refused():
    layer = UnsharedConv2D(6, 3, data_format="channels_last")
    layer.build((None, 9, 8, 4))
    with pytest.raises(ValueError, match="expected axis 1 of input shape to have value 9"):
        layer(random_array((1, 8, 8, 4)))
