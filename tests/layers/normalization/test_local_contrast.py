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
    keras_copies,
    random_array,
    run,
    tensorflow_only,
    to_numpy,
)
from layers.normalization import local_contrast
from layers.normalization.local_contrast import (
    DivisiveNormalization2D,
    LocalContrastNormalization1D,
    LocalContrastNormalization2D,
    LocalContrastNormalization3D,
    SubtractiveNormalization2D,
)
from layers.normalization.local_response import LocalResponseNormalization

pytestmark = keras_copies

CONTRASTS = [SubtractiveNormalization2D, DivisiveNormalization2D, LocalContrastNormalization2D]
contrasts = pytest.mark.parametrize("family", CONTRASTS)
# One of each with nothing left at its default, for 2D inputs of 4 channels.
UNUSUAL = [
    (LocalResponseNormalization, {"depth_radius": 1, "bias": 0.5, "alpha": 0.3, "beta": 0.6}),
    (SubtractiveNormalization2D, {"kernel_size": (3, 5), "sigma": (0.7, 2.0)}),
    (DivisiveNormalization2D, {"kernel_size": (3, 5), "sigma": (0.7, 2.0), "floor": 0.9, "epsilon": 1e-3}),
    (LocalContrastNormalization2D, {"kernel_size": (3, 5), "sigma": (0.7, 2.0), "floor": 0.4, "epsilon": 1e-3}),
]
every_layer = pytest.mark.parametrize(
    ("family", "arguments"),
    [*UNUSUAL, (LocalContrastNormalization2D, {"kernel_size": 3})],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)


def build(family, dtype="float32", data_format="channels_last", **arguments):
    return family(**arguments, dtype=dtype, data_format=data_format)


def response(x, layer):
    """Normalize channels-last `x` across channels by loops in float64."""
    y = np.zeros(x.shape)
    for c in range(x.shape[-1]):
        beside = x[..., max(c - layer.depth_radius, 0) : c + layer.depth_radius + 1]
        y[..., c] = x[..., c] / (layer.bias + layer.alpha * (beside**2).sum(-1)) ** layer.beta
    return y


def local_mean(x, layer):
    """Return the weighted mean of channels-last `x` around each position, over the positions that exist, by loops."""
    sizes = x.shape[1:-1]
    sigmas = layer.sigma or [size / 4 for size in layer.kernel_size]
    mean = np.zeros((*x.shape[:-1], 1))
    for here in itertools.product(*map(range, sizes)):
        total, weights = np.zeros(x.shape[0]), 0.0
        for there in itertools.product(*map(range, sizes)):
            away = np.subtract(there, here)
            if (np.abs(away) <= np.array(layer.kernel_size) // 2).all():
                weight = math.exp(-sum((d / s) ** 2 for d, s in zip(away, sigmas, strict=True)) / 2)
                total += weight * x[(slice(None), *there)].sum(-1)
                weights += weight * x.shape[-1]
        mean[(slice(None), *here, 0)] = total / weights
    return mean


def reference(x, layer):
    if isinstance(layer, LocalResponseNormalization):
        return response(x, layer)
    if not isinstance(layer, local_contrast.DivisiveNormalization):
        return x - local_mean(x, layer)
    if isinstance(layer, local_contrast.LocalContrastNormalization):
        x = x - local_mean(x, layer)
    deviation = np.maximum(np.sqrt(local_mean(x**2, layer)), layer.epsilon)
    floors = [one.mean() if layer.floor is None else layer.floor for one in deviation]
    return np.stack([one / np.maximum(s, floor) for one, s, floor in zip(x, deviation, floors, strict=True)])


@st.composite
def normalizations(draw):
    kind = draw(st.sampled_from(["Subtractive", "Divisive", "LocalContrast"]))
    rank = draw(st.integers(1, 3))
    odd, sigma = st.sampled_from([1, 3, 5]), st.floats(0.4, 3)
    arguments = {
        "kernel_size": draw(st.one_of(odd, st.tuples(*[odd] * rank))),
        "sigma": draw(st.one_of(st.none(), sigma, st.tuples(*[sigma] * rank))),
    }
    if kind != "Subtractive":
        arguments["floor"] = draw(st.sampled_from([None, 0.7]))
    if kind == "LocalContrast":  # a window of one pixel and one channel leaves exactly nothing, up to rounding
        arguments["kernel_size"] = draw(st.sampled_from([3, 5]))
    sizes = [draw(st.integers(3, 8 if rank < 3 else 4)) for _ in range(rank)]
    family = getattr(local_contrast, f"{kind}Normalization{rank}D")
    return family, arguments, (draw(st.integers(1, 2)), *sizes, draw(st.integers(1, 3)))


@st.composite
def responses(draw):
    arguments = {
        "depth_radius": draw(st.integers(0, 9)),
        "bias": draw(st.sampled_from([0.5, 2.0])),
        "alpha": draw(st.sampled_from([0.0, 1e-4, 0.7])),
        "beta": draw(st.sampled_from([0.0, 0.5, 0.75, 1.0, 1.3])),
    }
    return LocalResponseNormalization, arguments, tuple(draw(st.lists(st.integers(1, 7), min_size=2, max_size=5)))


drawn_layers = st.one_of(normalizations(), responses())


@given(drawn_layers, st.sampled_from(["float32", "float64"]))
def test_equals_the_loops(drawn, dtype):
    family, arguments, shape = drawn
    layer, x = build(family, dtype, **arguments), random_array(shape)
    y = run(layer, x)
    assert layer.compute_output_shape(shape) == tuple(y.shape) == shape
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert_close(y, reference(x, layer), dtype)


@given(drawn_layers)
def test_gradients_in_float64_are_the_finite_differences(drawn):
    family, arguments, shape = drawn
    check_gradients(build(family, "float64", **arguments), random_array(shape), step=1e-6)


@given(drawn_layers)
def test_channels_first_is_the_same_transposed(drawn):
    family, arguments, shape = drawn
    x = random_array(shape, dtype="float32")
    layer = build(family, data_format="channels_first", **arguments)
    y = to_numpy(run(layer, np.moveaxis(x, -1, 1)))
    assert_close(np.moveaxis(y, 1, -1), run(build(family, **arguments), x), "float32")


# === What is known of them ===


@tensorflow_only
def test_response_is_tensorflow_own():
    import tensorflow as tf

    x = random_array((2, 5, 4, 9), dtype="float32")
    for radius, bias, alpha, beta in [(2, 2.0, 1e-4, 0.75), (3, 1.0, 0.5, 0.5), (1, 0.3, 2.0, 1.2)]:
        layer = build(LocalResponseNormalization, depth_radius=radius, bias=bias, alpha=alpha, beta=beta)
        assert_close(layer(x), tf.nn.local_response_normalization(x, radius, bias, alpha, beta), "float32")


def test_the_alpha_of_pytorch_is_n_times_larger():
    torch = pytest.importorskip("torch")
    x = random_array((2, 9, 5, 4))
    layer = build(LocalResponseNormalization, "float64", "channels_first", depth_radius=2, alpha=0.3 / 5, bias=1.5)
    want = torch.nn.functional.local_response_norm(torch.tensor(x), 5, alpha=0.3, beta=0.75, k=1.5)
    assert_close(run(layer, x), want.numpy(), "float64")


def test_the_defaults_of_response_are_those_of_the_paper():
    layer = LocalResponseNormalization()
    assert (layer.depth_radius, layer.bias, layer.alpha, layer.beta) == (2, 2.0, 1e-4, 0.75)


def test_without_alpha_response_is_a_constant_factor():
    x = random_array((2, 5, 6), dtype="float32")
    assert_close(build(LocalResponseNormalization, alpha=0, bias=4, beta=0.5)(x), x / 2, "float32")


@pytest.mark.parametrize("name", ["SubtractiveNormalization", "LocalContrastNormalization"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_equal_brightness_gives_nothing_also_at_borders(name, rank):
    layer = build(getattr(local_contrast, f"{name}{rank}D"), "float64", kernel_size=5)
    y = to_numpy(run(layer, np.full((1, *[7] * rank, 2), 0.5)))
    assert np.abs(y).max() < 1e-9


def test_brightness_and_contrast_make_no_difference():
    x = random_array((2, 12, 13, 3))
    layer = build(LocalContrastNormalization2D, "float64", kernel_size=5)
    assert_close(run(layer, 20 * x + 3), run(layer, x), "float64")
    # Every image has a floor of its own.
    assert_close(run(layer, x * [[[[1]]], [[[9]]]]), run(layer, x), "float64")


def test_local_contrast_is_one_after_the_other():
    x = random_array((2, 12, 13, 3), dtype="float32")
    subtract, divide = build(SubtractiveNormalization2D, kernel_size=7), build(DivisiveNormalization2D, kernel_size=7)
    np.testing.assert_array_equal(
        to_numpy(build(LocalContrastNormalization2D, kernel_size=7)(x)), to_numpy(divide(subtract(x)))
    )


def test_subtraction_is_linear_and_its_gradient_is_its_transpose():
    # The weights at borders are renormalized, so the matrix is not symmetric, and its transpose tells the two apart.
    layer = build(SubtractiveNormalization2D, "float64", kernel_size=3, sigma=1.0)
    matrix = to_numpy(run(layer, np.eye(20).reshape(20, 5, 4, 1))).reshape(20, 20).T
    cotangent = random_array((1, 5, 4, 1), 5)
    got = gradients(layer, random_array((1, 5, 4, 1)), cotangent)[0]
    assert_close(got.ravel(), matrix.T @ cotangent.ravel(), "float64")
    assert np.abs(matrix.sum(1)).max() < 1e-12
    assert np.abs(matrix.sum(0)).max() > 0.1


def test_far_from_the_border_the_weights_are_a_gaussian():
    ndimage = pytest.importorskip("scipy.ndimage")
    x = random_array((1, 30, 30, 1))
    layer = build(SubtractiveNormalization2D, "float64", kernel_size=9, sigma=1.5)
    want = x[0, ..., 0] - ndimage.gaussian_filter(x[0, ..., 0], 1.5, radius=4)
    assert_close(run(layer, x)[0, 4:-4, 4:-4, 0], want[4:-4, 4:-4], "float64")


@contrasts
@pytest.mark.parametrize("value", [0.0, 5.0])
def test_gradients_of_flat_images_are_finite(family, value):
    x = np.full((2, 7, 8, 3), value, "float32")
    layer = build(family, kernel_size=5)
    assert np.isfinite(to_numpy(run(layer, x))).all()
    assert np.isfinite(gradients(layer, x, random_array(x.shape, 2, "float32"))[0]).all()


@contrasts
def test_an_image_smaller_than_the_window(family):
    layer, x = build(family, "float64", kernel_size=9), random_array((2, 2, 3, 2))
    assert_close(run(layer, x), reference(x, layer), "float64")


# === What holds for every layer ===


@every_layer
def test_config_round_trip(family, arguments):
    layer = build(family, "mixed_bfloat16", "channels_first", **arguments, name="odd")
    config = layer.get_config()
    assert family.from_config(config).get_config() == config
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is family
    assert again.get_config() == config
    if arguments != {"kernel_size": 3}:
        assert {name: config[name] for name in arguments} == arguments


@every_layer
def test_keras_file_round_trip(family, arguments, tmp_path):
    model = keras.Sequential([keras.Input((6, 7, 4)), build(family, **arguments)])
    model.save(tmp_path / "model.keras")
    x = random_array((2, 6, 7, 4), dtype="float32")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(to_numpy(again(x)), to_numpy(model(x)))


@tensorflow_only
@every_layer
def test_saved_model_with_sizes_known_only_at_run_time(family, arguments, tmp_path):
    import tensorflow as tf

    layer = build(family, **arguments)
    model = keras.Sequential([keras.Input((None, None, 4)), layer])
    assert model.output_shape == (None, None, None, 4)
    model.export(tmp_path / "saved", verbose=False)
    serve = tf.saved_model.load(tmp_path / "saved").serve
    for shape in [(1, 6, 7, 4), (3, 9, 4, 4)]:
        x = random_array(shape, dtype="float32")
        assert_close(serve(x), reference(x, layer), "float32")


@tensorflow_only
@every_layer
def test_gradient_in_a_graph_with_one_trace(family, arguments):
    import tensorflow as tf

    layer, traces = build(family, **arguments), []

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 4))] * 2)
    def graph(x, cotangent):
        traces.append(1)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(layer(x) * cotangent)
        return tape.gradient(y, x)

    for shape in [(1, 6, 7, 4), (3, 9, 4, 4)]:
        x, cotangent = random_array(shape, dtype="float32"), random_array(shape, 1, "float32")
        assert_close(graph(x, cotangent), gradients(layer, x, cotangent)[0], "float32")
    assert len(traces) == 1


@every_layer
@pytest.mark.parametrize("batch", [0, 1])
def test_empty_batch_and_batch_of_one(family, arguments, batch):
    layer, x = build(family, **arguments), random_array((3, 6, 6, 4), dtype="float32")
    y = layer(x[:batch])
    assert tuple(y.shape) == (batch, 6, 6, 4)
    assert_close(y, to_numpy(layer(x))[:batch], "float32")
    assert gradients(layer, x[:batch], np.ones(tuple(y.shape), "float32"))[0].shape == (batch, 6, 6, 4)


@every_layer
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
def test_low_precision(family, arguments, dtype):
    layer, compute = build(family, dtype, **arguments), dtype.removeprefix("mixed_")
    x = keras.ops.cast(random_array((2, 6, 6, 4)) * 300, compute)  # squares overflow in float16
    y = run(layer, x)
    assert keras.backend.standardize_dtype(y.dtype) == compute
    assert_close(y, reference(to_numpy(x), layer), compute)


@pytest.mark.parametrize(
    ("family", "shape"), [(LocalContrastNormalization1D, (9, 4)), (LocalContrastNormalization3D, (4, 5, 3, 4))]
)
def test_one_fit_step(family, shape):
    start = keras.layers.Dense(3)
    layers = [start, build(LocalResponseNormalization), build(family, kernel_size=3), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input(shape), *layers, keras.layers.Dense(2)])
    before = to_numpy(start.kernel)
    model.compile("adam", "mse")
    history = model.fit(random_array((4, *shape)), random_array((4, 2)), epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    assert (to_numpy(start.kernel) != before).all()


def test_response_keeps_a_mask():
    masked = keras.layers.Masking()(np.array([[[1, 2], [0, 0]]], "float32"))
    assert LocalResponseNormalization(data_format="channels_last")(masked)._keras_mask is not None


@pytest.mark.parametrize(
    ("family", "arguments", "message"),
    [
        (LocalResponseNormalization, {"depth_radius": -1}, "`depth_radius` must be an integer >= 0.*depth_radius=-1"),
        (LocalResponseNormalization, {"bias": 0}, r"`bias` must be a number > 0\. Received: bias=0"),
        (LocalResponseNormalization, {"alpha": -1}, r"`alpha` must be a number >= 0\. Received: alpha=-1"),
        (LocalResponseNormalization, {"beta": math.inf}, "beta=inf"),
        (LocalResponseNormalization, {"data_format": "last"}, "`data_format` must be .*data_format='last'"),
        (SubtractiveNormalization2D, {"kernel_size": (3, 4)}, r"`kernel_size` must be odd.*\(3, 4\)"),
        (SubtractiveNormalization2D, {"kernel_size": 0}, "`kernel_size` must be an integer >= 1.*kernel_size=0"),
        (SubtractiveNormalization2D, {"sigma": 0}, r"`sigma` must be a number > 0, or 2 of them.*sigma=0"),
        (SubtractiveNormalization2D, {"sigma": (1, 2, 3)}, r"sigma=\(1, 2, 3\)"),
        (DivisiveNormalization2D, {"floor": 0.0}, "`floor` must be a number > 0.*floor=0.0"),
        (LocalContrastNormalization2D, {"epsilon": "no"}, "`epsilon` must be a number > 0.*epsilon='no'"),
    ],
)
def test_wrong_arguments_are_named(family, arguments, message):
    with pytest.raises(ValueError, match=message):
        family(**arguments)


def test_wrong_inputs_are_named():
    with pytest.raises(ValueError, match=r"number of channels must be known.*\(None, 4, None\)"):
        build(LocalResponseNormalization).build((None, 4, None))
    with pytest.raises(ValueError, match="ndim=4"):
        build(LocalContrastNormalization2D)(random_array((2, 3, 4)))
