import itertools

import keras
import numpy as np
import pytest
from hypothesis import strategies as st

from layer_checks import assert_close, given, gradients, keras_copies, random_array, reference_pads, run, to_numpy
from layers.pooling.gem_pooling import GeMPooling1D, GeMPooling2D, GeMPooling3D, GlobalGeMPooling2D

pytestmark = keras_copies


def reference(x, layer, p):
    pads = [
        reference_pads(n, k, s, 1, layer.padding)
        for n, k, s in zip(x.shape[1:-1], layer.pool_size, layer.strides, strict=True)
    ]
    powers = np.pad(np.maximum(x, layer.epsilon) ** p, [(0, 0), *pads, (0, 0)], constant_values=np.nan)
    sizes = [(n - k) // s + 1 for n, k, s in zip(powers.shape[1:-1], layer.pool_size, layer.strides, strict=True)]
    y = np.zeros((x.shape[0], *sizes, x.shape[-1]))
    for place in itertools.product(*map(range, sizes)):
        window = [slice(j * s, j * s + k) for j, s, k in zip(place, layer.strides, layer.pool_size, strict=True)]
        y[(slice(None), *place)] = np.nanmean(powers[(slice(None), *window)], tuple(range(1, x.ndim - 1))) ** (1 / p)
    return y


@given(
    st.sampled_from([(GeMPooling1D, 1), (GeMPooling2D, 2), (GeMPooling3D, 3)]),
    st.floats(1, 6),
    st.integers(1, 3),
    st.sampled_from([None, 1, 2]),
    st.sampled_from(["valid", "same"]),
    st.booleans(),
    st.sampled_from([1e-6, 0.25]),
)
def test_equals_the_loops(case, p, pool_size, strides, padding, per_channel, epsilon):
    layer_class, rank = case
    options = {"per_channel": per_channel, "epsilon": epsilon, "data_format": "channels_last"}
    layer = layer_class(pool_size, p, strides, padding, **options)
    x = random_array((2, *(5, 4, 3)[:rank], 3))
    layer.build(x.shape)
    exponents = np.array([p, p + 1, p + 0.5]) if per_channel else np.array(p)
    layer.p.assign(exponents)
    assert_close(run(layer, x), reference(x, layer, exponents), "float32")


def test_one_is_the_mean_and_large_near_the_maximum():
    x = np.abs(random_array((2, 6, 6, 3), dtype="float32")) + 0.1
    plain = keras.layers.AveragePooling2D(2, data_format="channels_last")
    assert_close(GeMPooling2D(2, p=1, data_format="channels_last")(x), plain(x), "float32")
    plain = keras.layers.GlobalAveragePooling2D(data_format="channels_last")
    assert_close(GlobalGeMPooling2D(p=1, data_format="channels_last")(x), plain(x), "float32")
    near = to_numpy(GlobalGeMPooling2D(p=500, data_format="channels_last")(x))
    np.testing.assert_allclose(near, x.max((1, 2)), rtol=0.01)


def test_a_window_of_everything_is_the_global_one():
    x = random_array((2, 6, 5, 3), dtype="float32")
    y = GeMPooling2D((6, 5), data_format="channels_last")(x)
    assert_close(y, GlobalGeMPooling2D(keepdims=True, data_format="channels_last")(x), "float32")


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_keepdims(data_format):
    layer = GlobalGeMPooling2D(keepdims=True, data_format=data_format)
    y = layer(random_array((2, 4, 5, 3)))
    assert tuple(y.shape) == layer.compute_output_shape((2, 4, 5, 3))
    assert sorted(y.shape) == [1, 1, 2, 3 if data_format == "channels_last" else 4]


def test_huge_and_tiny_values_stay_finite():
    for magnitude in (1e-38, 1e-9, 1e15, 1e37):
        x = np.abs(random_array((2, 4, 4, 3))) * magnitude
        layer = GlobalGeMPooling2D(p=4, data_format="channels_last")
        y = to_numpy(layer(x.astype("float32")))
        want = (np.maximum(x, 1e-6) ** 4).mean((1, 2)) ** 0.25
        assert_close(y / magnitude, want / magnitude, "float32")
        assert all(np.isfinite(g).all() for g in gradients(layer, x.astype("float32"), np.ones((2, 3), "float32")))


def test_the_exponent_learns_and_stays_at_least_one():
    x = np.abs(random_array((8, 4, 4, 3), dtype="float32"))
    for target, check in [(x.max((1, 2)), lambda p: p > 3.1), (x.min((1, 2)), lambda p: p == 1)]:
        model = keras.Sequential([keras.Input((4, 4, 3)), GlobalGeMPooling2D(data_format="channels_last")])
        model.compile(keras.optimizers.SGD(15.0), "mse")
        model.fit(x, target, epochs=10, batch_size=8, verbose=0)
        assert check(float(model.layers[0].p.value))
    assert not GlobalGeMPooling2D(trainable_p=False).trainable_variables


def test_the_exponent_is_fixed_on_request():
    layer = GeMPooling2D(trainable_p=False, data_format="channels_last")
    layer.build((None, 4, 4, 3))
    assert (len(layer.trainable_variables), len(layer.weights)) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p": 0.9}, "`p` must be a number >= 1.*p=0.9"),
        ({"p": float("inf")}, "`p` must be finite.*p=inf"),
        ({"epsilon": 0}, "`epsilon` must be a number > 0.*epsilon=0"),
        ({"epsilon": "1"}, "epsilon='1'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    for layer_class in (GeMPooling2D, GlobalGeMPooling2D):
        with pytest.raises(ValueError, match=message):
            layer_class(**arguments)


def test_unknown_channels_are_named():
    with pytest.raises(ValueError, match=r"number of input channels must be known.*\(None, 4, 4, None\)"):
        GeMPooling2D(per_channel=True, data_format="channels_last").build((None, 4, 4, None))
