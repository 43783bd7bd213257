import itertools

import keras
import numpy as np
import pytest
from hypothesis import strategies as st

import layers.pooling.weighted_pooling as weighted
from layer_checks import assert_close, given, keras_copies, random_array, reference_pads, run, to_numpy
from layers.pooling.lp_pooling import LpPooling2D
from layers.pooling.weighted_pooling import WeightedAveragePooling1D, WeightedAveragePooling2D, WeightedLpPooling2D

pytestmark = keras_copies


def reference(x, layer, weights, p=None):
    """Pool by loops in float64, over the real positions of each window."""
    axes = list(zip(layer.strides, layer.pool_size, strict=True))
    pads = [reference_pads(n, k, s, 1, layer.padding) for n, (s, k) in zip(x.shape[1:-1], axes, strict=True)]
    x = np.pad(x if p is None else np.abs(x) ** p, [(0, 0), *pads, (0, 0)], constant_values=np.nan)
    sizes = [(n - k) // s + 1 for n, (s, k) in zip(x.shape[1:-1], axes, strict=True)]
    y = np.zeros((x.shape[0], *sizes, x.shape[-1]))
    for place in itertools.product(*map(range, sizes)):
        total, sums = 0.0, 0.0
        for taps in itertools.product(*map(range, layer.pool_size)):
            values = x[(slice(None), *(j * s + i for j, i, (s, _) in zip(place, taps, axes, strict=True)))]
            if not np.isnan(values).any():
                total, sums = total + weights[taps], sums + weights[taps] * values
        y[(slice(None), *place)] = sums / total
    return y if p is None else y ** (1 / p)


@st.composite
def poolings(draw):
    rank = draw(st.integers(1, 3))
    ints = lambda low, high: draw(st.tuples(*[st.integers(low, high)] * rank))  # noqa: E731
    arguments = {
        "pool_size": ints(1, 3),
        "strides": draw(st.sampled_from([None, 1, 2, (2, 1, 3)[:rank]])),
        "padding": draw(st.sampled_from(["valid", "same"])),
        "data_format": "channels_last",
    }
    return rank, arguments, (2, *(draw(st.integers(k, 7)) for k in arguments["pool_size"]), 3)


@given(poolings(), st.sampled_from([None, 1, 2, 3.5]), st.sampled_from(["float32", "float64"]))
def test_equals_the_loops(drawn, p, dtype):
    rank, arguments, shape = drawn
    window = np.random.default_rng(3).uniform(0.1, 2, arguments["pool_size"])
    name = f"Weighted{'Average' if p is None else 'Lp'}Pooling{rank}D"
    extra = {} if p is None else {"p": p}
    layer = getattr(weighted, name)(window=window, dtype=dtype, **arguments, **extra)
    x = random_array(shape)
    y = run(layer, x)
    assert tuple(y.shape) == layer.compute_output_shape(shape)
    assert_close(y, reference(x, layer, window, p), dtype)


def test_the_gaussian():
    layer = WeightedAveragePooling2D((3, 5), sigma=(0.5, 2), data_format="channels_last", dtype="float64")
    i, j = np.mgrid[-1:2, -2:3]
    want = np.exp(-(i**2) / (2 * 0.5**2) - j**2 / (2 * 2**2))
    impulse = np.zeros((1, 3, 5, 1))
    got = np.zeros((3, 5))
    for place in itertools.product(range(3), range(5)):
        impulse[:] = 0
        impulse[(0, *place, 0)] = 1
        got[place] = to_numpy(layer(impulse)).item()
    assert_close(got, want / want.sum(), "float64")
    default = WeightedAveragePooling1D(4, data_format="channels_last", dtype="float64")
    same = WeightedAveragePooling1D(4, sigma=1.0, data_format="channels_last", dtype="float64")
    x = random_array((1, 8, 2))
    assert_close(default(x), same(x), "float64")


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_equal_weights_are_the_plain_pooling(padding):
    x = random_array((2, 7, 6, 3), dtype="float32")
    arguments = {"strides": 2, "padding": padding, "data_format": "channels_last"}
    plain = keras.layers.AveragePooling2D(3, **arguments)
    assert_close(WeightedAveragePooling2D(3, np.ones((3, 3)), **arguments)(x), plain(x), "float32")
    plain = LpPooling2D(3, p=3, average=True, **arguments)
    assert_close(WeightedLpPooling2D(3, np.full((3, 3), 7), p=3, **arguments)(x), plain(x), "float32")


def test_a_constant_stays():
    layer = WeightedAveragePooling2D(5, strides=2, padding="same", data_format="channels_last")
    assert_close(layer(np.full((1, 8, 7, 2), 3.0)), np.full((1, 4, 4, 2), 3.0), "float32")


@pytest.mark.parametrize("magnitude", [1e-33, 1e30])
def test_huge_and_tiny_values(magnitude):
    x = random_array((2, 6, 6, 2))
    layer = WeightedLpPooling2D(3, data_format="channels_last")
    assert_close(to_numpy(layer((x * magnitude).astype("float32"))) / magnitude, layer(x), "float32")


def test_a_window_survives_its_config():
    window = [[1, 2], [3, 4]]
    layer = WeightedLpPooling2D(2, np.array(window), p=3, data_format="channels_last")
    again = WeightedLpPooling2D.from_config(layer.get_config())
    x = random_array((1, 4, 4, 2), dtype="float32")
    np.testing.assert_array_equal(to_numpy(again(x)), to_numpy(layer(x)))
    assert layer.get_config()["window"] == window


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": "triangle"}, "`window` must be 'gaussian' or an array.*window='triangle'"),
        ({"window": np.ones((2, 3))}, r"shape of `pool_size`, \(3, 3\).*\(2, 3\)"),
        ({"window": -np.ones((3, 3))}, "weights >= 0.*smallest -1.0"),
        ({"window": np.full((3, 3), np.nan)}, "finite weights"),
        ({"window": np.zeros((3, 3))}, "must not all be 0"),
        ({"window": np.ones((3, 3)), "sigma": 1}, "`sigma` applies only to window='gaussian'.*sigma=1"),
        ({"sigma": 0}, "`sigma` must be a number > 0.*sigma=0"),
        ({"sigma": (1, 2, 3)}, r"2 of them.*sigma=\(1, 2, 3\)"),
        ({"sigma": "1"}, "sigma='1'"),
        ({"p": np.inf}, "`p` must be finite"),
        ({"p": 0}, "`p` must be a number >= 1.*p=0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        WeightedLpPooling2D(3, **arguments)
