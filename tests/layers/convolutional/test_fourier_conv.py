import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st

from layer_checks import (
    BACKEND,
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
from layers.convolutional.dilated_conv import DilatedConv2D
from layers.convolutional.fourier_conv import FourierConv1D, FourierConv2D, FourierConv3D

pytestmark = keras_copies
families = pytest.mark.parametrize("family", [FourierConv2D, FourierConv1D, FourierConv3D])

FULL = {
    "filters": 6,
    "kernel_size": (3, 2),
    "strides": (2, 1),
    "padding": ((2, 1), (0, 3)),
    "dilation_rate": (2, 3),
    "padding_mode": "reflect",
    "groups": 2,
    "flip_kernel": True,
    "activation": "softplus",
}


def build(family, shape, dtype="float32", **arguments):
    layer = family(**{"data_format": "channels_last", **arguments, "dtype": dtype})
    layer.build(shape)
    randomize(layer)
    return layer


@families
@given(data=st.data(), dtype=st.sampled_from(["float32", "float64"]), examples=12)
def test_equals_the_loops(family, data, dtype):
    arguments, shape = data.draw(convolutions(rank=family.rank))
    layer = build(family, shape, dtype, **arguments)
    x = random_array(shape)
    y = run(layer, x)
    assert layer.compute_output_shape(shape) == tuple(y.shape)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert_close(y, reference_convolution(layer, x, *map(to_numpy, layer.weights)), dtype)


@families
@given(data=st.data(), examples=10)
def test_gradients_in_float64_are_the_finite_differences(family, data):
    arguments, shape = data.draw(convolutions(rank=family.rank))
    layer = build(family, shape, "float64", activation="softplus", **arguments)
    x, weights = random_array(shape), [to_numpy(w) for w in layer.weights]
    # Where nothing but padding is read the gradient is 0, and rounding is all of what transforms give for it.
    hypothesis.assume(np.ptp(reference_convolution(layer, x, *weights) - reference_convolution(layer, 0 * x, *weights)))
    check_gradients(layer, x)


@pytest.mark.parametrize("kernel_size", [9, 31])
def test_large_kernels_give_the_direct_answers_and_gradients(kernel_size):
    arguments = {"filters": 3, "kernel_size": kernel_size, "padding": "same"}
    x = random_array((2, 40, 37, 4), dtype="float32")
    fourier, direct = (build(family, x.shape, **arguments) for family in (FourierConv2D, DilatedConv2D))
    cotangent = random_array((2, 40, 37, 3), 1, "float32")
    assert_close(run(fourier, x), run(direct, x), "float32")
    for a, b in zip(gradients(fourier, x, cotangent), gradients(direct, x, cotangent), strict=True):
        assert_close(a, b, "float32")


def test_channels_first_is_the_same_transposed():
    last = build(FourierConv2D, (2, 9, 8, 4), **FULL)
    first = build(FourierConv2D, (2, 4, 9, 8), data_format="channels_first", **FULL)
    x = random_array((2, 9, 8, 4), dtype="float32")
    assert_close(np.moveaxis(to_numpy(first(np.moveaxis(x, -1, 1))), 1, -1), last(x), "float32")


@families
def test_config_round_trip(family):
    arguments = {**FULL, "kernel_size": 3, "strides": 2, "dilation_rate": 1, "padding": "full"}
    layer = family(**arguments, data_format="channels_first", name="odd", dtype="mixed_bfloat16")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is family
    assert again.get_config() == layer.get_config()


@tensorflow_only
def test_saved_model_and_keras_file_round_trips(tmp_path):
    import tensorflow as tf

    model = keras.Sequential([keras.Input((9, 8, 4)), FourierConv2D(**FULL, data_format="channels_last")])
    randomize(model.layers[0])
    x = random_array((2, 9, 8, 4), dtype="float32")
    model.save(tmp_path / "model.keras")
    assert_close(keras.models.load_model(tmp_path / "model.keras")(x), model(x), "float32")
    model.export(tmp_path / "saved", verbose=False)
    again = tf.saved_model.load(tmp_path / "saved")
    assert_close(again.serve(x), model(x), "float32")


@tensorflow_only
@pytest.mark.parametrize("padding", ["same", "full", 2])
@families
def test_one_graph_for_all_sizes_with_gradients(family, padding):
    import tensorflow as tf

    unknown = (None,) * family.rank
    arguments = {"filters": 2, "kernel_size": 3, "strides": 2, "dilation_rate": 2, "padding": padding}
    layer = build(family, (None, *unknown, 4), **arguments)
    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None, *unknown, 4))])
    def graph(x):
        traces.append(1)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, tape.gradient(y, [x, *(w.value for w in layer.trainable_variables)])

    for batch, sizes in [(1, (9, 8, 7)), (3, (12, 9, 6))]:
        x = random_array((batch, *sizes[: family.rank], 4), dtype="float32")
        y, got = graph(x)
        assert_close(y, layer(x), "float32")
        for a, b in zip(got, gradients(layer, x, np.ones(y.shape, "float32")), strict=True):
            assert_close(a, b, "float32")
    assert len(traces) == 1


@pytest.mark.parametrize("batch", [0, 1])
def test_empty_batch_and_batch_of_one(batch):
    layer = build(FourierConv2D, (2, 9, 8, 4), **FULL)
    x = random_array((3, 9, 8, 4), dtype="float32")
    y = run(layer, x[:batch])
    assert tuple(y.shape) == layer.compute_output_shape((batch, 9, 8, 4))
    assert_close(y, to_numpy(layer(x))[:batch], "float32")
    if not batch:
        assert all(not g.any() for g in gradients(layer, x[:0], np.zeros(y.shape, "float32"))[1:])


@pytest.mark.parametrize(
    "policy", ["mixed_float16", "bfloat16", "mixed_bfloat16", "float16"][: None if BACKEND == "tensorflow" else 2]
)
def test_low_precision(policy):
    layer = build(FourierConv2D, (2, 9, 8, 4), policy, **FULL)
    exact = build(FourierConv2D, (2, 9, 8, 4), "float64", **FULL)
    x = random_array((2, 9, 8, 4))
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    assert_close(y, exact(x), policy.removeprefix("mixed_"))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"`kernel_size` must be .*kernel_size=0"):
        FourierConv2D(6, 0)
    with pytest.raises(ValueError, match=r"kernel_size=\(5, 5\).*have 4"):
        FourierConv2D(6, 5, data_format="channels_last").build((None, 9, 4, 4))
