import math

import keras
import numpy as np
import pytest
from hypothesis import strategies as st

from layer_checks import assert_close, check_gradients, given, gradients, keras_copies, random_array, run, to_numpy
from layers.pooling.channel_pooling import ChannelLpPooling, Maxout
from layers.pooling.lp_pooling import LpPooling1D

pytestmark = keras_copies

shapes = st.lists(st.integers(1, 4), min_size=0, max_size=3)


@given(shapes, st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_maxout_equals_the_loops(sizes, pieces, groups, last):
    x = random_array((2, *sizes, groups * pieces))
    want = np.stack([x[..., g * pieces : (g + 1) * pieces].max(-1) for g in range(groups)], -1)
    layer = Maxout(pieces, "channels_last" if last else "channels_first")
    x, want = (x, want) if last else (np.moveaxis(x, -1, 1), np.moveaxis(want, -1, 1))
    y = run(layer, x)
    assert layer.compute_output_shape(x.shape) == tuple(y.shape)
    assert_close(y, want, "float32")


@given(
    shapes,
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([1, 1.5, 2, 3, 4, 16, 40, math.inf]),
    st.booleans(),
    st.booleans(),
)
def test_norms_equal_the_loops(sizes, pieces, groups, p, average, last):
    x = random_array((2, *sizes, groups * pieces))
    parts = [np.abs(x[..., g * pieces : (g + 1) * pieces]) for g in range(groups)]
    if math.isinf(p):
        want = [part.max(-1) for part in parts]
    else:
        reduce = np.mean if average else np.sum
        want = [reduce(part**p, -1) ** (1 / p) for part in parts]
    want = np.stack(want, -1)
    layer = ChannelLpPooling(pieces, p, average, "channels_last" if last else "channels_first", dtype="float64")
    if not last:
        x, want = np.moveaxis(x, -1, 1), np.moveaxis(want, -1, 1)
    assert_close(run(layer, x), want, "float64")


@pytest.mark.parametrize("p", [1, 2, 2.5, 40])
@pytest.mark.parametrize("average", [False, True])
def test_gradients_in_float64_are_the_finite_differences(p, average):
    x = random_array((3, 4, 6))
    layer = ChannelLpPooling(3, p, average, "channels_last", dtype="float64")
    check_gradients(layer, x + 0.1 * np.sign(x), step=1e-6)


def test_dense_units_with_maxout_are_the_absolute_value():
    # Two straight pieces, w and -w, as in the paper's first figure.
    dense = keras.layers.Dense(2, use_bias=False)
    model = keras.Sequential([keras.Input((1,)), dense, Maxout(2, "channels_last")])
    dense.set_weights([np.array([[1.0, -1.0]])])
    x = random_array((5, 1), dtype="float32")
    assert_close(model(x), np.abs(x), "float32")


def test_channels_are_a_sequence_to_pool():
    x = random_array((5, 6), dtype="float32")
    want = LpPooling1D(3, data_format="channels_last")(x[..., None])[..., 0]
    assert_close(ChannelLpPooling(3, data_format="channels_last")(x), want, "float32")


@pytest.mark.parametrize("p", [2, 3, 40])
@pytest.mark.parametrize("magnitude", [0, 1e-35, 1e30])
def test_zeros_huge_and_tiny_values(p, magnitude):
    x = random_array((3, 6))
    layer = ChannelLpPooling(2, p, data_format="channels_last")
    scaled = (x * magnitude).astype("float32")
    assert_close(layer(scaled), to_numpy(layer(x)) * magnitude, "float32")
    got, want = (gradients(layer, v.astype("float32"), np.ones((3, 3), "float32"))[0] for v in (scaled, x))
    assert_close(got, want * bool(magnitude), "float32")


@pytest.mark.parametrize("layer_class", [Maxout, ChannelLpPooling])
def test_wrong_arguments_are_named(layer_class):
    with pytest.raises(ValueError, match=r"`pieces` must be an integer >= 1.*pieces=0"):
        layer_class(0)
    with pytest.raises(ValueError, match=r"divisible by `pieces`.*pieces=4, input_shape=\(2, 6\)"):
        layer_class(4, data_format="channels_last")(np.ones((2, 6)))
    with pytest.raises(ValueError, match="must be known"):
        layer_class(4, data_format="channels_last").compute_output_shape((2, None))
    with pytest.raises(ValueError, match="p=0.5" if layer_class is ChannelLpPooling else "`data_format` must"):
        layer_class(2, **({"p": 0.5} if layer_class is ChannelLpPooling else {"data_format": "last"}))
