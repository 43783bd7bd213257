"""What holds for every pooling layer, whatever it does with a window."""

import keras
import numpy as np
import pytest

import layers.pooling.adaptive_pooling as adaptive
import layers.pooling.channel_pooling as channel
import layers.pooling.gem_pooling as generalized
import layers.pooling.lp_pooling as pooling
import layers.pooling.pyramid_pooling as pyramid
import layers.pooling.weighted_pooling as weighted
from layer_checks import (
    BACKEND,
    assert_close,
    check_gradients,
    gradients,
    keras_copies,
    random_array,
    run,
    tensorflow_only,
    to_numpy,
)

pytestmark = keras_copies

# Arguments away from the defaults, by family.
FAMILIES = {
    (pooling, "LpPooling"): {"pool_size": 3, "p": 2.5, "strides": 2, "padding": "same", "average": True},
    (pooling, "L2Pooling"): {"pool_size": 2, "strides": 3, "padding": "same"},
    (generalized, "GeMPooling"): {"pool_size": 3, "p": 2, "strides": 2, "padding": "same", "per_channel": True},
    (generalized, "GlobalGeMPooling"): {"p": 2, "per_channel": True, "epsilon": 0.01},
    (weighted, "WeightedAveragePooling"): {"pool_size": 3, "sigma": 0.7, "strides": 2, "padding": "same"},
    (weighted, "WeightedLpPooling"): {"pool_size": 3, "p": 3, "strides": 2, "padding": "same"},
    (adaptive, "AdaptiveAveragePooling"): {"output_size": 4},
    (adaptive, "AdaptiveMaxPooling"): {"output_size": 4},
    (adaptive, "AdaptiveLpPooling"): {"output_size": 4, "p": 3, "average": False},
    (pyramid, "SpatialPyramidPooling"): {"levels": (1, 3), "pooling": "lp", "p": 3},
}
CASES = {
    f"{name}{rank}D": (getattr(module, f"{name}{rank}D"), rank, arguments)
    for (module, name), arguments in FAMILIES.items()
    for rank in (1, 2, 3)
}
CASES["Maxout"] = (channel.Maxout, 2, {"pieces": 3})
CASES["ChannelLpPooling"] = (channel.ChannelLpPooling, 2, {"pieces": 3, "p": 2.5, "average": True})
IMAGES = [case for case in CASES if "1D" not in case and "3D" not in case]
if BACKEND != "tensorflow":  # JAX compiles for seconds; the others are made of these, and have loops to equal
    IMAGES = [case for case in IMAGES if "Lp" in case or "GeM" in case or "AdaptiveMax" in case]
# Where ranks could differ in shapes alone, which the other tests see to.
images = pytest.mark.parametrize("case", IMAGES)
cases = pytest.mark.parametrize("case", CASES if BACKEND == "tensorflow" else IMAGES)
SIZES = (7, 6, 5)


def build(case, dtype="float32", data_format="channels_last"):
    layer_class, rank, arguments = CASES[case]
    layer = layer_class(**arguments, dtype=dtype, data_format=data_format)
    layer.build((None, *SIZES[:rank], 6) if data_format == "channels_last" else (None, 6, *SIZES[:rank]))
    return layer


def draw(case, batch=2, dtype="float64"):
    """Return an input away from the kinks at 0 and at GeM's epsilon."""
    x = random_array((batch, *SIZES[: CASES[case][1]], 6), dtype=dtype)
    return (np.abs(x) + 0.05 if "GeM" in case else x + 0.1 * np.sign(x)).astype(dtype)


@cases
def test_gradients_in_float64_are_the_finite_differences(case):
    check_gradients(build(case, "float64"), draw(case), step=1e-6)


@cases
def test_channels_first_is_the_same_transposed(case):
    x = draw(case, dtype="float32")
    first = build(case, data_format="channels_first")
    shape = (x.shape[0], x.shape[-1], *x.shape[1:-1])
    y, want = to_numpy(run(first, np.moveaxis(x, -1, 1))), to_numpy(run(build(case), x))
    assert first.compute_output_shape(shape) == y.shape
    assert_close(y, np.moveaxis(want, -1, 1) if want.ndim > 2 else want, "float32")


@cases
@pytest.mark.parametrize("batch", [0, 1])
def test_empty_batch_and_batch_of_one(case, batch):
    layer, x = build(case), draw(case, 3, "float32")
    y = run(layer, x[:batch])
    assert tuple(y.shape) == layer.compute_output_shape(x[:batch].shape)
    assert_close(y, to_numpy(run(build(case), x))[:batch], "float32")
    assert gradients(layer, x[:batch], np.ones(y.shape, "float32"))[0].shape == x[:batch].shape


@cases
@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_low_precision(case, policy):
    layer, compute = build(case, policy), policy.removeprefix("mixed_")
    x = keras.ops.cast(draw(case) * 250, compute)  # the square overflows in float16
    y = run(layer, x)
    assert keras.backend.standardize_dtype(y.dtype) == compute
    assert {w.dtype for w in layer.weights} <= {"float32" if policy.startswith("mixed") else compute}
    assert_close(y, run(build(case, "float64"), to_numpy(x)), compute)


@cases
def test_config_round_trip(case):
    layer_class, _, arguments = CASES[case]
    layer = layer_class(**arguments, data_format="channels_first", name="odd", dtype="mixed_bfloat16")
    config = layer.get_config()
    assert layer_class.from_config(config).get_config() == config
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is layer_class
    assert again.get_config() == config


@images
def test_keras_file_round_trip(case, tmp_path):
    x = draw(case, dtype="float32")
    model = keras.Sequential([keras.Input(x.shape[1:]), build(case)])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(to_numpy(again(x)), to_numpy(model(x)))


@tensorflow_only
@images
def test_saved_model_and_sizes_known_only_at_run_time(case, tmp_path):
    import tensorflow as tf

    layer, rank = build(case), CASES[case][1]
    model = keras.Sequential([keras.Input((*[None] * rank, 6)), layer])
    assert model.output_shape == layer.compute_output_shape((None, *[None] * rank, 6))
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    for batch, sizes in [(1, SIZES), (3, (4, 9, 8)), (2, (8, 3, 4))]:
        x = np.abs(random_array((batch, *sizes[:rank], 6), dtype="float32"))
        assert_close(loaded.serve(x), layer(x), "float32")


@tensorflow_only
@cases
def test_trains_in_a_graph_with_one_trace(case):
    import tensorflow as tf

    layer, rank, traces = build(case), CASES[case][1], []

    @tf.function(input_signature=[tf.TensorSpec((None, *[None] * rank, 6))])
    def graph(x):
        traces.append(1)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y * y)
        return tape.gradient(loss, [x, *(w.value for w in layer.trainable_variables)])

    for batch, sizes, magnitude in [(1, SIZES, 1), (3, (4, 9, 8), 1), (2, (8, 3, 4), 1e17)]:
        x = np.abs(random_array((batch, *sizes[:rank], 6), dtype="float32")) * np.float32(magnitude)
        cotangent = 2 * to_numpy(layer(x)).astype("float32")
        for got, want in zip(graph(x), gradients(layer, x, cotangent), strict=True):
            assert_close(got, want, "float32")
    assert len(traces) == 1


@cases
def test_scaling_the_input_scales_the_output(case):
    x = draw(case, dtype="float32")
    want, ones = to_numpy(run(build(case), x)), np.ones(build(case).compute_output_shape(x.shape), "float32")
    by_x = gradients(build(case), x, ones)[0]
    for power in (100, -100) if "GeM" not in case and BACKEND == "tensorflow" else (100,):
        scale = np.float32(2.0**power)
        assert_close(to_numpy(run(build(case), x * scale)) / float(scale), want, "float32")
        assert_close(gradients(build(case), x * scale, ones)[0], by_x, "float32")


@cases
def test_the_gradient_at_zeros_is_finite(case):
    x = np.zeros_like(draw(case, dtype="float32"))
    y = to_numpy(run(build(case), x))
    assert np.isfinite(y).all()
    assert all(np.isfinite(g).all() for g in gradients(build(case), x, np.ones(y.shape, "float32")))


@images
def test_one_fit_step(case):
    _, rank, _ = CASES[case]
    before = keras.layers.Dense(6)
    model = keras.Sequential([keras.Input((*SIZES[:rank], 4)), before, build(case), keras.layers.Flatten()])
    model.compile("adam", "mse")
    old = to_numpy(before.kernel)
    x = random_array((4, *SIZES[:rank], 4))
    model.fit(x, random_array((4, model.output_shape[1])), epochs=1, verbose=0)
    assert (to_numpy(before.kernel) != old).all()
