import warnings

import keras
import numpy as np
import pytest
from hypothesis import strategies as st

import layers
from layer_checks import (
    assert_close,
    check_gradients,
    given,
    keras_copies,
    random_array,
    randomize,
    reference_convolution,
    run,
    tensorflow_only,
    to_numpy,
)
from layers import LocallyConnected1D, LocallyConnected2D, UnsharedConv2D, convert_keras2_weights, load_keras2_weights

pytestmark = keras_copies

FORMATS = ["channels_last", "channels_first"]
ranks = pytest.mark.parametrize("rank", [1, 2])


def shape_of(rank, data_format="channels_last", batch=2):
    sizes = (7, 6)[:rank]
    return (batch, *sizes, 3) if data_format == "channels_last" else (batch, 3, *sizes)


def old_keras():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("tf_keras")


def old_layer(rank, shape, **arguments):
    """Return Keras 2's layer with random weights, built."""
    old = getattr(old_keras().layers, f"LocallyConnected{rank}D")(4, **arguments)
    old.build(shape)
    old.set_weights([random_array(w.shape, i, "float32") for i, w in enumerate(old.get_weights())])
    return old


@ranks
@given(kernel=st.integers(1, 4), stride=st.integers(1, 3), size=st.integers(4, 9))
def test_same_pads_half_the_kernel_before(rank, kernel, stride, size):
    layer = getattr(layers, f"LocallyConnected{rank}D")(2, kernel, stride, padding="same", data_format="channels_last")
    shape = (1, *[size] * rank, 2)
    layer.build(shape)
    randomize(layer)
    x = random_array(shape)
    outputs = -(-size // stride)
    assert layer.compute_output_shape(shape) == (1, *[outputs] * rank, 2)
    # The first window lies around pixel 0, and what is not there is 0.
    padded = np.pad(x, [(0, 0), *[(kernel // 2, kernel + stride)] * rank, (0, 0)])
    plain = getattr(layers, f"UnsharedConv{rank}D")(2, kernel, stride, data_format="channels_last", dtype="float64")
    padded = padded[(slice(None), *[slice((outputs - 1) * stride + kernel)] * rank)]
    want = reference_convolution(plain, padded, *map(to_numpy, layer.weights))
    assert_close(run(layer, x), want, "float32")


@tensorflow_only
@ranks
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(
    ("implementation", "padding"), [(1, "valid"), (2, "valid"), (2, "same"), (3, "valid"), (3, "same")]
)
@pytest.mark.parametrize("strides", [1, 2])
def test_weights_of_keras_2_give_its_answers(rank, data_format, use_bias, implementation, padding, strides):
    arguments = {
        **{"kernel_size": (3, 2)[:rank], "strides": strides, "padding": padding, "data_format": data_format},
        **{"implementation": implementation, "use_bias": use_bias, "activation": "tanh"},
    }
    shape = shape_of(rank, data_format)
    old = old_layer(rank, shape, **arguments)
    new = getattr(layers, f"LocallyConnected{rank}D")(4, **arguments)
    new.build(shape)
    new.set_weights(convert_keras2_weights(old.get_weights(), new))
    x = random_array(shape, 5, "float32")
    assert_close(new(x), old(x).numpy(), "float32")


@tensorflow_only
@pytest.mark.parametrize("implementation", [1, 2, 3])
@pytest.mark.parametrize("whole", [True, False])
def test_a_file_of_keras_2_is_loaded(implementation, whole, tmp_path):
    tf_keras = old_keras()

    def network(kind, local):
        return kind.Sequential(
            [
                kind.layers.InputLayer((9, 8, 3)),
                kind.layers.Conv2D(4, 3, name="conv", data_format="channels_last"),
                kind.layers.BatchNormalization(name="norm", axis=-1),
                local.LocallyConnected2D(
                    5, 3, strides=(2, 1), name="local", data_format="channels_last", implementation=implementation
                ),
                kind.layers.Flatten(),
                kind.layers.Dense(2, name="dense"),
            ]
        )

    old, new = network(tf_keras, tf_keras.layers), network(keras, layers)
    old.set_weights([np.abs(random_array(w.shape, i, "float32")) for i, w in enumerate(old.get_weights())])
    path = tmp_path / "old.h5"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that HDF5 is the old format
        old.save(path) if whole else old.save_weights(path)
    load_keras2_weights(new, path)
    x = random_array((2, 9, 8, 3), dtype="float32")
    assert_close(new(x), old(x).numpy(), "float32")


@tensorflow_only
def test_a_file_without_a_layer_is_refused(tmp_path):
    tf_keras = old_keras()
    old = tf_keras.Sequential([tf_keras.layers.InputLayer((4,)), tf_keras.layers.Dense(2, name="one")])
    old.save_weights(tmp_path / "old.h5")
    new = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="two")])
    with pytest.raises(ValueError, match=r"old\.h5 holds no weights of a layer named 'two'"):
        load_keras2_weights(new, tmp_path / "old.h5")


def test_weights_that_do_not_fit_are_refused():
    layer = LocallyConnected2D(4, 3, data_format="channels_last")
    with pytest.raises(ValueError, match="`layer` must be built"):
        convert_keras2_weights([np.zeros((9, 9, 4))], layer)
    layer.build((None, 5, 5, 1))
    for shapes in [[(9, 9, 4)], [(9, 9, 5), (3, 3, 4)], [(9, 9, 4), (9, 4)], [(5, 5, 1, 3, 3, 5), (3, 3, 4)], [(7,)]]:
        with pytest.raises(ValueError, match=r"`weights` must be those of a Keras 2 .*Received: shapes"):
            convert_keras2_weights([np.zeros(shape) for shape in shapes], layer)


@ranks
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_round_trips_and_gradients(rank, padding, tmp_path):
    family = getattr(layers, f"LocallyConnected{rank}D")
    layer = family(4, 3, 2, padding, "channels_last", "softplus", implementation=3, kernel_regularizer="l2")
    assert family.from_config(layer.get_config()).get_config() == layer.get_config()
    assert (layer.get_config()["padding"], layer.get_config()["implementation"]) == (padding, 3)
    model = keras.Sequential([keras.Input(shape_of(rank)[1:]), layer])
    randomize(layer)
    model.save(tmp_path / "model.keras")
    x = random_array(shape_of(rank), dtype="float32")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(to_numpy(again(x)), to_numpy(model(x)))
    exact = family(2, 3, padding=padding, data_format="channels_last", dtype="float64")
    exact.build(shape_of(rank))
    check_gradients(exact, random_array(shape_of(rank)))


def test_valid_is_the_unshared_convolution():
    x = random_array(shape_of(2), dtype="float32")
    local = LocallyConnected2D(4, (3, 2), strides=(1, 2), data_format="channels_last")
    unshared = UnsharedConv2D(4, (3, 2), strides=(1, 2), data_format="channels_last")
    local.build(x.shape)
    unshared.build(x.shape)
    randomize(local)
    unshared.set_weights([to_numpy(weight) for weight in local.weights])
    assert_close(local(x), unshared(x), "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"padding": "full"}, "`padding` must be 'valid' or 'same'.*padding='full'"),
        ({"padding": 1}, "`padding` must be 'valid' or 'same'.*padding=1"),
        ({"implementation": 4}, "`implementation` must be 1, 2 or 3.*implementation=4"),
        ({"implementation": "1"}, "implementation='1'"),
        ({"dilation_rate": 2}, "`dilation_rate` is not an argument of .*UnsharedConv1D has it.*dilation_rate=2"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LocallyConnected1D(4, 3, **arguments)
