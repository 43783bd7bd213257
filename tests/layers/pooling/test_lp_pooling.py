import itertools
import math

import keras
import numpy as np
import pytest
from hypothesis import strategies as st

from layer_checks import (
    assert_close,
    check_gradients,
    given,
    gradients,
    random_array,
    reference_pads,
    run,
    tensorflow_only,
    to_numpy,
)
from layers.pooling.lp_pooling import L2Pooling1D, L2Pooling2D, L2Pooling3D, LpPooling1D, LpPooling2D, LpPooling3D


def reference(x, layer):
    """Pool channels-last `x` by loops in float64, over the pixels that exist."""
    axes = zip(x.shape[1:3], layer.pool_size, layer.strides, strict=True)
    pads = [reference_pads(n, k, s, 1, layer.padding) for n, k, s in axes]
    x = np.pad(np.abs(x), [(0, 0), *pads, (0, 0)], constant_values=np.nan)
    sizes = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:3], layer.pool_size, layer.strides, strict=True)]
    y = np.zeros((x.shape[0], *sizes, x.shape[-1]))
    for i, j in itertools.product(*map(range, sizes)):
        top, left = i * layer.strides[0], j * layer.strides[1]
        window = x[:, top : top + layer.pool_size[0], left : left + layer.pool_size[1]]
        if math.isinf(layer.p):
            y[:, i, j] = np.nanmax(window, (1, 2))
        else:
            reduce = np.nanmean if layer.average else np.nansum
            y[:, i, j] = reduce(window**layer.p, (1, 2)) ** (1 / layer.p)
    return y


@st.composite
def poolings(draw):
    pair = lambda: draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))  # noqa: E731
    arguments = {
        "pool_size": pair(),
        "strides": draw(st.sampled_from([None, 1, (2, 3)])),
        "padding": draw(st.sampled_from(["valid", "same"])),
        "average": draw(st.booleans()),
        "p": draw(st.sampled_from([1, 1.5, 2, 3, 4, 5.3, 8, math.inf])),
    }
    sizes = [draw(st.integers(k, 9)) for k in arguments["pool_size"]]
    return arguments, (draw(st.integers(1, 2)), *sizes, draw(st.integers(1, 3)))


def build(dtype="float32", data_format="channels_last", **arguments):
    return LpPooling2D(**arguments, dtype=dtype, data_format=data_format)


@given(poolings(), st.sampled_from(["float32", "float64"]))
def test_equals_the_loops(drawn, dtype):
    arguments, shape = drawn
    layer, x = build(dtype, **arguments), random_array(shape)
    y = run(layer, x)
    assert layer.compute_output_shape(shape) == tuple(y.shape)
    assert_close(y, reference(x, layer), dtype)


@given(poolings())
def test_gradients_in_float64_are_the_finite_differences(drawn):
    arguments, shape = drawn
    x = random_array(shape)
    # Away from 0, where |x| has no derivative.
    check_gradients(build("float64", **arguments), x + np.sign(x) * 0.1, step=1e-6)


@given(poolings())
def test_channels_first_is_the_same_transposed(drawn):
    arguments, shape = drawn
    x = random_array(shape, dtype="float32")
    layer = build(data_format="channels_first", **arguments)
    y = to_numpy(run(layer, np.moveaxis(x, -1, 1)))
    assert layer.compute_output_shape((shape[0], shape[3], *shape[1:3])) == y.shape
    assert_close(np.moveaxis(y, 1, -1), run(build(**arguments), x), "float32")


@given(poolings())
def test_the_mean_of_magnitudes_is_keras_average_pooling(drawn):
    arguments, shape = drawn
    x = np.abs(random_array(shape, dtype="float32"))
    arguments |= {"p": 1, "average": True}
    plain = keras.layers.AveragePooling2D(
        arguments["pool_size"], arguments["strides"], arguments["padding"], data_format="channels_last"
    )
    assert_close(build(**arguments)(x), plain(x), "float32")


@pytest.mark.parametrize("p", [1, 1.3, 2, 3, 4, 7.7, math.inf])
@pytest.mark.parametrize("average", [False, True])
def test_the_gradient_at_zeros_is_finite(p, average):
    layer = build(p=p, average=average)
    x = np.zeros((1, 2, 4, 1), "float32")
    assert not to_numpy(layer(x)).any()
    assert not np.isnan(gradients(layer, x, np.ones((1, 1, 2, 1), "float32"))[0]).any()
    if p not in (1, math.inf):
        x[0, 0, 0, 0] = 3  # the first window only
        got = gradients(layer, x, np.ones((1, 1, 2, 1), "float32"))[0][0, :, :, 0]
        want = np.zeros((2, 4))
        want[0, 0] = 4 ** (-1 / p) if average else 1
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("p", [1, 1.5, 2, 4, 20, math.inf])
@pytest.mark.parametrize("magnitude", [1e-33, 1e-5, 1e19, 1e37])
def test_huge_and_tiny_values(p, magnitude):
    x = random_array((3, 4, 4, 2))
    want = reference(x, build(p=p))
    layer = build(p=p)
    scaled = (x * magnitude).astype("float32")
    assert_close(to_numpy(run(layer, scaled)) / magnitude, want, "float32")
    got = gradients(layer, scaled, np.ones(want.shape, "float32"))[0]
    exact = gradients(build("float64", p=p), x, np.ones(want.shape))[0]
    assert_close(got, exact, "float32")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("p", [1, 2, 5, math.inf])
def test_low_precision(dtype, p):
    layer, compute = build(dtype, p=p), dtype.removeprefix("mixed_")
    x = keras.ops.cast(random_array((2, 6, 6, 3)) * 300, compute)  # squares overflow in float16
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == compute
    assert_close(y, reference(to_numpy(x), layer), compute)


@given(poolings())
def test_l2_is_p_of_two(drawn):
    arguments, shape = drawn
    arguments["p"] = 2
    x = random_array(shape, dtype="float32")
    want = build(**arguments)(x)
    del arguments["p"]
    np.testing.assert_array_equal(to_numpy(L2Pooling2D(**arguments, data_format="channels_last")(x)), to_numpy(want))


def test_config_round_trip():
    for layer in [
        LpPooling2D((2, 3), math.inf, 2, "SAME", True, "channels_first", name="a", dtype="float64"),
        LpPooling2D(3, p=2.5),
        L2Pooling2D((2, 3), (1, 2), "same", True, "channels_first", name="b"),
    ]:
        config = layer.get_config()
        assert type(layer).from_config(config).get_config() == config
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
        assert type(again) is type(layer)
        assert (again.get_config(), again.p) == (config, layer.p)
    for l2 in (L2Pooling1D, L2Pooling2D, L2Pooling3D):
        assert "p" not in l2().get_config()


@pytest.mark.parametrize("p", [1, 2, 2.5, math.inf])
def test_keras_file_round_trip(p, tmp_path):
    model = keras.Sequential([keras.Input((6, 7, 2)), build(p=p, padding="same")])
    model.save(tmp_path / "model.keras")
    x = random_array((2, 6, 7, 2), dtype="float32")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(to_numpy(again(x)), to_numpy(model(x)))


@tensorflow_only
@pytest.mark.parametrize("p", [1, 2, 2.5, math.inf])
@pytest.mark.parametrize("average", [False, True])
def test_saved_model_and_sizes_known_only_at_run_time(p, average, tmp_path):
    import tensorflow as tf

    layer = build(p=p, average=average, pool_size=3, strides=2, padding="same")
    model = keras.Sequential([keras.Input((None, None, 2)), layer])
    assert model.output_shape == (None, None, None, 2)
    model.export(tmp_path / "saved", verbose=False)
    serve = tf.saved_model.load(tmp_path / "saved").serve
    for shape in [(1, 6, 7, 2), (3, 9, 4, 2)]:
        x = random_array(shape, dtype="float32")
        assert_close(serve(x), layer(x), "float32")
        assert_close(serve(x * 1e25), reference(x, layer) * 1e25, "float32")


@tensorflow_only
@pytest.mark.parametrize("p", [1, 2, 2.5, math.inf])
def test_trains_in_a_graph_with_one_trace(p):
    import tensorflow as tf

    layer, traces = build(p=p), []

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 2))])
    def graph(x):
        traces.append(1)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(layer(x))
        return tape.gradient(y, x)

    for shape, magnitude in [((1, 6, 7, 2), 1), ((3, 9, 4, 2), 1), ((2, 4, 4, 2), 1e25)]:
        x = random_array(shape, dtype="float32") * np.float32(magnitude)
        assert_close(graph(x), gradients(layer, x, np.ones(layer.compute_output_shape(shape), "float32"))[0], "float32")
    assert len(traces) == 1


@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize("p", [1, 2, 2.5, math.inf])
def test_empty_batch_and_batch_of_one(batch, p):
    layer, x = build(p=p), random_array((3, 6, 6, 2), dtype="float32")
    y = layer(x[:batch])
    assert tuple(y.shape) == layer.compute_output_shape((batch, 6, 6, 2))
    assert_close(y, to_numpy(layer(x))[:batch], "float32")


def test_one_example_does_not_change_another():
    layer, x = build(p=2), random_array((2, 6, 6, 2), dtype="float32")
    x[1] *= 1e30
    assert_close(layer(x)[:1], layer(x[:1]), "float32")


def test_not_a_number_stays_one():
    x = np.ones((1, 2, 4, 1), "float32")
    x[0, 0, 0, 0] = np.nan
    assert np.isnan(to_numpy(build(p=2)(x))).ravel().tolist()[0]


def test_one_fit_step():
    layers = [keras.layers.Conv2D(3, 3), build(p=2), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((9, 8, 4)), *layers])
    before = to_numpy(layers[0].kernel)
    model.compile("adam", "mse")
    history = model.fit(random_array((4, 9, 8, 4)), random_array((4, 3)), epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    assert (to_numpy(layers[0].kernel) != before).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p": 0.5}, r"`p` must be a number >= 1, or infinity\. Received: p=0.5"),
        ({"p": math.nan}, "p=nan"),
        ({"p": "2"}, "p='2'"),
        ({"pool_size": 0}, "`pool_size` must be .*pool_size=0"),
        ({"pool_size": (2, 2, 2)}, "2 of them, one per axis"),
        ({"strides": 0}, "`strides` must be .*strides=0"),
        ({"padding": "full"}, r"`padding` must be 'valid' or 'same'\. Received: padding='full'"),
        ({"padding": 1}, "padding=1"),
        ({"data_format": "last"}, "`data_format` must be .*data_format='last'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LpPooling2D(**arguments)


def test_a_window_larger_than_the_input_is_named():
    with pytest.raises(ValueError, match=r"`pool_size` must not be .*pool_size=\(4, 4\).*\(9, 3\)"):
        LpPooling2D(4, data_format="channels_last")(keras.Input((9, 3, 1)))


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sequences_and_volumes_are_images_with_more_or_fewer_axes(rank, padding, dtype):
    # Every axis but two of a volume, and one of an image, is of size 1 and pooled by 1.
    x = random_array((2, 7, 6, 3))
    arguments = {"p": 3, "padding": padding, "average": True, "data_format": "channels_last", "dtype": dtype}
    if rank == 1:
        y = LpPooling1D(3, strides=2, **arguments)(x[:, :, 0])
        want = LpPooling2D((3, 1), strides=(2, 1), **arguments)(x[:, :, :1])[:, :, 0]
        assert_close(y, want, dtype)
        return
    want = LpPooling2D((3, 2), strides=(2, 3), **arguments)(x)
    for axis in range(1, 4):
        sizes, strides = np.insert([3, 2], axis - 1, 1), np.insert([2, 3], axis - 1, 1)
        layer = LpPooling3D(tuple(map(int, sizes)), strides=tuple(map(int, strides)), **arguments)
        assert_close(np.squeeze(to_numpy(run(layer, np.expand_dims(x, axis))), axis), want, dtype)


@pytest.mark.parametrize(("p", "average", "padding"), [(17, True, "valid"), (60, False, "valid"), (500, True, "same")])
def test_large_p_comes_near_the_maximum_however_small_the_window_is(p, average, padding):
    x = random_array((2, 5, 4, 2))
    x[:, :2] *= 1e-6
    x[:, 2:4] *= 1e6
    layer = build(p=p, average=average, padding=padding)
    want = reference(x, build(p=math.inf, padding=padding))
    y = to_numpy(run(layer, x.astype("float32")))
    assert (y <= want * 4 ** (1 / p) * 1.00001).all()
    assert (y >= want * 4 ** (-1 / p) * 0.99999).all()
    check_gradients(
        build("float64", p=p, average=average, padding=padding),
        np.abs(x[:1, 3:]) / np.abs(x[:1, 3:]).max() + 1,
        step=1e-6,
    )


@pytest.mark.parametrize("arguments", [{"pool_size": (2, 3)}, {"pool_size": 3, "strides": 2, "padding": "same"}])
def test_gradients_of_windows_that_meet_overlap_and_leave_gaps(arguments):
    for shape in [(2, 6, 9, 2), (2, 7, 8, 2)]:
        check_gradients(build("float64", **arguments), random_array(shape), step=1e-6)
    check_gradients(build("float64", pool_size=(2, 3), strides=(3, 2)), random_array((1, 9, 9, 2)), step=1e-6)


@tensorflow_only
@pytest.mark.parametrize("p", [2, 3, 2.5])
def test_second_derivatives(p):
    import tensorflow as tf

    layer, x, step = build("float64", p=p), tf.constant(random_array((1, 4, 4, 1)) + 3), 1e-6

    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(layer(x) ** 2 / 2)
        return tf.reduce_sum(tape.gradient(y, x) * direction)

    direction = random_array(x.shape, 5)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = slope(x)
    want = (slope(x + step * direction) - slope(x - step * direction)) / (2 * step)
    assert_close(tf.reduce_sum(tape.gradient(value, x) * direction), want, "finite differences")


def test_examples_of_zeros_and_of_huge_values_beside_others():
    layer, x = build(), random_array((4, 4, 4, 2), dtype="float32")
    x[1] = 0
    x[2] *= 1e30
    x[3] *= 1e-30
    y = to_numpy(layer(x))
    for i in range(4):
        assert_close(y[i : i + 1], reference(x[i : i + 1].astype("float64"), layer), "float32")
    got = gradients(layer, x, np.ones(y.shape, "float32"))[0]
    assert not got[1].any()
    for i in (0, 2, 3):
        assert_close(got[i : i + 1], gradients(layer, x[i : i + 1], np.ones((1, 2, 2, 2), "float32"))[0], "float32")
        assert np.abs(got[i]).max() <= 1


def test_infinity_in_one_window_stays_there():
    x = np.ones((1, 2, 4, 1), "float32")
    x[0, 0, 0, 0] = np.inf
    assert to_numpy(build()(x)).ravel().tolist() == [np.inf, 2]
