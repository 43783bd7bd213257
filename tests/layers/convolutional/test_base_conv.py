"""What holds for every family of convolution."""

import keras
import numpy as np
import pytest
from hypothesis import strategies as st

import layers
from layer_checks import (
    assert_close,
    check_gradients,
    convolutions,
    given,
    gradients,
    keras_copies,
    random_array,
    randomize,
    reference_convolution,
    run,
    tensorflow_only,
    to_numpy,
)
from layers.convolutional.tiled_conv import TiledConv
from layers.convolutional.unshared_conv import UnsharedConv

pytestmark = keras_copies

FAMILIES = [getattr(layers, f"{name}Conv{rank}D") for rank in (2, 1, 3) for name in ("Dilated", "Unshared", "Tiled")]
families = pytest.mark.parametrize("family", FAMILIES)
two_dimensional = pytest.mark.parametrize("family", FAMILIES[:3])
# TensorFlow takes up to a minute and a half to make a graph of all places of a tile in two or three dimensions.
SLOW_IN_GRAPHS = [pytest.param(family, marks=pytest.mark.slow) for family in (layers.TiledConv2D, layers.TiledConv3D)]
families_in_graphs = pytest.mark.parametrize(
    "family",
    [*(family for family in FAMILIES if not issubclass(family, TiledConv) or family.rank == 1), *SLOW_IN_GRAPHS],
)
SLOW_POLICIES = [pytest.param(policy, marks=pytest.mark.slow) for policy in ("mixed_bfloat16", "float16")]
# Input sizes, an axis at a time.
SIZES = (9, 8, 7)


def full(family):
    """Return arguments with everything unusual at once."""
    axes = {
        "kernel_size": (3, 2, 2),
        "strides": (2, 1, 2),
        "padding": ((2, 1), (0, 3), (1, 1)),
        "dilation_rate": (2, 3, 2),
    }
    # Of volumes every place of the tile takes seconds in a graph.
    few = {"tile_shape": (2, 1, 2)} if issubclass(family, TiledConv) and family.rank == 3 else {}
    return {
        **few,
        "filters": 6,
        **{name: values[: family.rank] for name, values in axes.items()},
        "padding_mode": "reflect",
        "groups": 2,
        "flip_kernel": True,
        "activation": "softplus",
    }


def shape_of(family, batch=None, channels=4):
    return (batch, *SIZES[: family.rank], channels)


def build(family, shape, dtype="float32", **arguments):
    layer = family(**{**arguments, "dtype": dtype, "data_format": arguments.get("data_format", "channels_last")})
    layer.build(shape)
    randomize(layer)
    return layer


@families
@given(data=st.data(), dtype=st.sampled_from(["float32", "float64"]))
def test_equals_the_loops(family, data, dtype):
    arguments, shape = data.draw(convolutions(issubclass(family, TiledConv), family.rank))
    layer = build(family, shape, dtype, **arguments)
    x = random_array(shape)
    y = run(layer, x)
    assert layer.compute_output_shape(shape) == tuple(y.shape)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert_close(y, reference_convolution(layer, x, *map(to_numpy, layer.weights)), dtype)


@families
@given(data=st.data(), examples=10)
def test_gradients_in_float64_are_the_finite_differences(family, data):
    arguments, shape = data.draw(convolutions(issubclass(family, TiledConv), family.rank))
    check_gradients(build(family, shape, "float64", activation="softplus", **arguments), random_array(shape))


@families
@given(data=st.data(), examples=10)
def test_gradients_in_float32_are_those_in_float64(family, data):
    # On TensorFlow the two take different routes.
    arguments, shape = data.draw(convolutions(issubclass(family, TiledConv), family.rank))
    single, double = (build(family, shape, dtype, **arguments) for dtype in ("float32", "float64"))
    cotangent = random_array(single.compute_output_shape(shape), 3)
    x = random_array(shape)
    got = gradients(single, x.astype("float32"), cotangent.astype("float32"))
    for a, b in zip(got, gradients(double, x, cotangent), strict=True):
        assert_close(a, b, "float32")


@families
@given(data=st.data(), examples=10)
def test_channels_first_is_the_same_transposed(family, data):
    arguments, shape = data.draw(convolutions(issubclass(family, TiledConv), family.rank))
    last = build(family, shape, **arguments)
    first = build(family, (shape[0], shape[-1], *shape[1:-1]), data_format="channels_first", **arguments)
    x = random_array(shape, dtype="float32")
    y = to_numpy(run(first, np.moveaxis(x, -1, 1)))
    assert first.compute_output_shape((shape[0], shape[-1], *shape[1:-1])) == y.shape
    assert_close(np.moveaxis(y, 1, -1), run(last, x), "float32")


@families
def test_config_round_trip(family):
    extra = {"tile_shape": (3, 1, 2)[: family.rank]} if issubclass(family, TiledConv) else {}
    arguments = {**full(family), **extra}
    layer = family(
        **arguments,
        data_format="channels_first",
        kernel_initializer=keras.initializers.HeNormal(seed=3),
        bias_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(0.01),
        bias_regularizer="l1",
        activity_regularizer="l2",
        kernel_constraint="non_neg",
        bias_constraint=keras.constraints.MaxNorm(2.0),
        name="odd",
        dtype="mixed_bfloat16",
    )
    config = layer.get_config()
    assert family.from_config(config).get_config() == config
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is family
    assert again.get_config() == config
    assert {name: config[name] for name in arguments} == arguments


@families
def test_keras_file_round_trip(family, tmp_path):
    model = keras.Sequential([keras.Input(shape_of(family)[1:]), family(**full(family), data_format="channels_last")])
    randomize(model.layers[0])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = random_array(shape_of(family, 2), dtype="float32")
    np.testing.assert_array_equal(to_numpy(again(x)), to_numpy(model(x)))


@tensorflow_only
@families_in_graphs
@pytest.mark.parametrize("known", [True, False])
def test_saved_model_round_trip(family, known, tmp_path):
    import tensorflow as tf

    if issubclass(family, UnsharedConv) and not known:
        pytest.skip("an unshared kernel needs known sizes; the refusal has its own test")
    sizes = SIZES[: family.rank] if known else (None,) * family.rank
    model = keras.Sequential([keras.Input((*sizes, 4)), family(**full(family), data_format="channels_last")])
    randomize(model.layers[0])
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    for batch in (1, 3):
        x = random_array(shape_of(family, batch), dtype="float32")
        assert_close(loaded.serve(x), model(x), "float32")


@tensorflow_only
@families
@given(data=st.data(), examples=6)
def test_graph_equals_eager_with_sizes_unknown_and_one_trace(family, data):
    import tensorflow as tf

    arguments, shape = data.draw(convolutions(issubclass(family, TiledConv), family.rank))
    known = issubclass(family, UnsharedConv)
    layer = build(family, shape, **arguments)
    traces = []

    unknown = (None,) * family.rank
    more = (0,) * family.rank if known else (3, 1, 2)[: family.rank]

    @tf.function(input_signature=[tf.TensorSpec((None, *(shape[1:-1] if known else unknown), shape[-1]))])
    def graph(x):
        traces.append(1)
        return layer(x)

    for batch, extra in [(1, (0,) * family.rank), (3, (0,) * family.rank), (2, more)]:
        sizes = (size + e for size, e in zip(shape[1:-1], extra, strict=True))
        x = random_array((batch, *sizes, shape[-1]), dtype="float32")
        assert_close(graph(x), layer(x), "float32")
    assert len(traces) == 1


@tensorflow_only
@families_in_graphs
def test_trains_in_a_graph_with_sizes_unknown(family):
    import tensorflow as tf

    layer = build(family, shape_of(family), **{**full(family), "padding": "same"})
    sizes = SIZES[: family.rank] if issubclass(family, UnsharedConv) else (None,) * family.rank

    @tf.function(input_signature=[tf.TensorSpec((None, *sizes, 4))])
    def graph(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, [w.value for w in layer.trainable_variables])

    x = random_array(shape_of(family, 2), dtype="float32")
    want = gradients(layer, x, np.ones(layer.compute_output_shape(x.shape), "float32"))[1:]
    for a, b in zip(graph(x), want, strict=True):
        assert_close(a, b, "float32")


@families
def test_symbolic_shapes(family):
    layer = family(5, 3, strides=2, padding="same", data_format="channels_last")
    sizes, halves = SIZES[: family.rank], (5, 4, 4)[: family.rank]
    if not issubclass(family, UnsharedConv):
        sizes = halves = (None,) * family.rank
    assert layer(keras.Input((*sizes, 4))).shape == (None, *halves, 5)


@families
@pytest.mark.parametrize("batch", [0, 1])
def test_empty_batch_and_batch_of_one(family, batch):
    layer = build(family, shape_of(family), **full(family))
    x = random_array(shape_of(family, 3), dtype="float32")
    y = layer(x[:batch])
    assert tuple(y.shape) == layer.compute_output_shape(shape_of(family, batch))
    assert_close(y, to_numpy(layer(x))[:batch], "float32")
    if not batch:
        by_weights = gradients(layer, x[:0], np.zeros(y.shape, "float32"))[1:]
        assert all(not g.any() for g in by_weights)


@families
@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", *SLOW_POLICIES])
def test_low_precision(family, policy):
    layer = build(family, shape_of(family), policy, **full(family))
    exact = build(family, shape_of(family), "float64", **full(family))
    compute = policy.removeprefix("mixed_")
    x = random_array(shape_of(family, 2))
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == compute
    assert {w.dtype for w in layer.weights} == {"float32" if policy.startswith("mixed") else compute}
    assert_close(y, exact(x), compute)
    cotangent = random_array(tuple(y.shape), 3)
    got = gradients(layer, keras.ops.cast(x, compute), keras.ops.cast(cotangent, compute))
    for a, b in zip(got, gradients(exact, x, cotangent), strict=True):
        assert np.abs(a - b).max() <= 0.1 * np.abs(b).max()


@families_in_graphs
def test_one_fit_step_moves_every_weight(family):
    layer = family(**full(family), data_format="channels_last", kernel_regularizer="l2")
    model = keras.Sequential(
        [keras.Input(shape_of(family)[1:]), layer, getattr(keras.layers, f"GlobalAveragePooling{family.rank}D")()]
    )
    before = [to_numpy(w) for w in layer.weights]
    model.compile("adam", "mse")
    model.fit(random_array(shape_of(family, 4)), random_array((4, 6)), epochs=1, verbose=0)
    for old, new in zip(before, layer.weights, strict=True):
        # A kernel at the border may see nothing but its regularizer.
        assert (to_numpy(new) != old).mean() > 0.9


@families
def test_without_bias(family):
    layer = family(6, 3, use_bias=False, data_format="channels_last")
    with_bias = family(6, 3, data_format="channels_last")
    x = random_array((2, *[7] * family.rank, 3), dtype="float32")
    layer.build(x.shape)
    with_bias.build(x.shape)
    with_bias.kernel.assign(layer.kernel)
    assert len(layer.weights) == 1
    assert layer.bias is None
    assert_close(layer(x), with_bias(x), "float32")


@two_dimensional
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, "`filters` must be an integer >= 1.*filters=0"),
        ({"filters": 2.5}, "filters=2.5"),
        ({"kernel_size": (3, 0)}, r"`kernel_size` must be .*kernel_size=\(3, 0\)"),
        ({"kernel_size": (3, 3, 3)}, "2 of them, one per axis.*kernel_size="),
        ({"strides": -1}, "`strides` must be .*strides=-1"),
        ({"dilation_rate": 0}, "`dilation_rate` must be .*dilation_rate=0"),
        ({"groups": 0}, "`groups` must be .*groups=0"),
        ({"groups": 4}, "`filters` must be divisible by `groups`.*filters=6, groups=4"),
        ({"padding": "half"}, "`padding` must be .*padding='half'"),
        ({"padding_mode": "zeros"}, "`padding_mode` must be .*padding_mode='zeros'"),
        ({"padding_value": "1"}, "`padding_value` must be a number.*padding_value='1'"),
        (
            {"padding_value": 1, "padding_mode": "edge"},
            "`padding_value` applies only .*padding_value=1, padding_mode='edge'",
        ),
        ({"data_format": "NHWC"}, "`data_format` must be .*data_format='NHWC'"),
    ],
)
def test_wrong_arguments_are_named(family, arguments, message):
    with pytest.raises(ValueError, match=message):
        family(**{"filters": 6, "kernel_size": 3, **arguments})


@two_dimensional
def test_wrong_inputs_are_named(family):
    with pytest.raises(ValueError, match=r"divisible by `groups`.*groups=3.*\(None, 9, 9, 4\)"):
        family(6, 3, groups=3, data_format="channels_last").build((None, 9, 9, 4))
    with pytest.raises(ValueError, match=r"kernel_size=\(5, 5\).*\(9, 4\).*have 4"):
        family(6, 5, data_format="channels_last").build((None, 9, 4, 4))
    with pytest.raises(ValueError, match=r"`padding_mode` 'reflect' can pad at most 3 .*axis 0"):
        family(6, 5, padding="full", padding_mode="reflect", data_format="channels_last").build((None, 4, 9, 4))
    layer = build(family, (None, 9, 9, 4), filters=6, kernel_size=3)
    with pytest.raises(ValueError, match=r"expected axis -?\d"):
        layer(random_array((1, 9, 9, 3)))
    with pytest.raises(ValueError, match="ndim=4"):
        layer(random_array((9, 9, 4)))


@two_dimensional
def test_reads_like_a_keras_convolution(family):
    layer = family(6, 3, strides=2, dilation_rate=(1, 2), padding=1)
    assert (layer.filters, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding, layer.groups) == (
        *(6, (3, 3), (2, 2), (1, 2)),
        ((1, 1), (1, 1)),
        1,
    )
