import doctest
import types

import keras
import numpy as np
import pytest
from hypothesis import strategies as st

from layer_checks import (
    assert_close,
    check_gradients,
    convolutions,
    given,
    gradients,
    keras_copies,
    random_array,
    reference_convolution,
    run,
    tensorflow_only,
    to_numpy,
)
from layers import DilatedConv2D, TiledConv2D, UnsharedConv2D
from layers.convolutional.filter_bank import (
    FILTER_NAMES,
    FilterBank2D,
    FilterInitializer,
    filter_kernel,
    gaussian_kernel,
    laplacian_of_gaussian_kernel,
)

pytestmark = keras_copies

ndimage = pytest.importorskip("scipy.ndimage")

# SciPy's names for numpy's padding modes.
SCIPY_MODES = {"reflect": "mirror", "symmetric": "reflect", "edge": "nearest", "wrap": "wrap", "constant": "constant"}
UNUSUAL = {
    "filters": ("sobel_x", ((1.0, 2.0), (3.0, 4.0))),
    "strides": (2, 1),
    "padding": ((2, 1), (0, 3)),
    "padding_mode": "edge",
    "dilation_rate": (1, 2),
    "flip_kernel": True,
}


def build(dtype="float32", data_format="channels_last", **arguments):
    return FilterBank2D(**arguments, dtype=dtype, data_format=data_format)


# === The kernels ===


def test_the_blur_adds_up_to_273():
    kernel = filter_kernel("gaussian_blur") * 273
    np.testing.assert_allclose(kernel, kernel.round(), atol=1e-12)
    assert kernel.round().sum() == 273
    assert kernel.round()[:3, :3].tolist() == [[1, 4, 7], [4, 16, 26], [7, 26, 41]]
    # What it stands for: a Gaussian of standard deviation 1.
    assert np.abs(filter_kernel("gaussian_blur") - gaussian_kernel(5, sigma=1.0)).max() < 0.013


@pytest.mark.parametrize(
    "thing", [filter_kernel, gaussian_kernel, laplacian_of_gaussian_kernel, FilterInitializer], ids=lambda t: t.__name__
)
def test_examples_run(thing):
    (example,) = doctest.DocTestFinder(recurse=False).find(thing, thing.__name__)
    assert doctest.DocTestRunner().run(example) == doctest.TestResults(failed=0, attempted=len(example.examples))
    assert len(example.examples) >= 2


@pytest.mark.parametrize("name", FILTER_NAMES)
def test_what_kernels_add_up_to(name):
    blurs = ("identity", "gaussian_blur", "box_blur", "sharpen")
    assert filter_kernel(name).sum() == pytest.approx(1 if name in blurs else 0, abs=1e-12)
    filter_kernel(name)[0, 0] = 99
    assert filter_kernel(name)[0, 0] != 99


def test_kernels_of_the_textbooks():
    assert filter_kernel("edges").tolist() == [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
    assert filter_kernel("difference_x").tolist() == [[1, -1]]
    assert filter_kernel("difference_y").tolist() == [[1], [-1]]
    assert filter_kernel("sobel_x").tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    np.testing.assert_array_equal(filter_kernel("sobel_y"), filter_kernel("sobel_x").T)
    np.testing.assert_array_equal(
        filter_kernel("sharpen"), [[0, 0, 0], [0, 1, 0], [0, 0, 0]] - filter_kernel("laplacian")
    )


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("sobel_x", lambda x, mode: ndimage.sobel(x, 1, mode=mode)),
        ("sobel_y", lambda x, mode: ndimage.sobel(x, 0, mode=mode)),
        ("prewitt_x", lambda x, mode: ndimage.prewitt(x, 1, mode=mode)),
        ("prewitt_y", lambda x, mode: ndimage.prewitt(x, 0, mode=mode)),
        ("laplacian", lambda x, mode: ndimage.laplace(x, mode=mode)),
        ("box_blur", lambda x, mode: ndimage.uniform_filter(x, 3, mode=mode)),
        (gaussian_kernel(9, sigma=1.3), lambda x, mode: ndimage.gaussian_filter(x, 1.3, radius=4, mode=mode)),
        (
            laplacian_of_gaussian_kernel(21, sigma=1.35),
            lambda x, mode: ndimage.gaussian_laplace(x, 1.35, truncate=10 / 1.35, mode=mode),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_equals_scipy(name, function):
    x = random_array((14, 15))
    y = run(build("float64", filters=[name], padding_mode="symmetric"), x[None, :, :, None])
    assert_close(y[0, :, :, 0], function(x, "reflect"), "float64")


@pytest.mark.parametrize("mode", sorted(SCIPY_MODES))
def test_scipy_names_for_padding(mode):
    x = random_array((14, 15))
    y = run(build("float64", filters=["sobel_x"], padding_mode=mode), x[None, :, :, None])
    assert_close(y[0, :, :, 0], ndimage.sobel(x, 1, mode=SCIPY_MODES[mode]), "float64")


@pytest.mark.parametrize("name", ["sobel", "prewitt", "scharr"])
def test_equals_scikit_image_but_for_its_scale(name):
    filters = pytest.importorskip("skimage.filters")
    x = random_array((14, 15))
    y = to_numpy(
        run(build("float64", filters=[f"{name}_x", f"{name}_y"], padding_mode="symmetric"), x[None, :, :, None])
    )
    scale = filter_kernel(f"{name}_x").clip(0).sum()
    for index, function in enumerate([getattr(filters, f"{name}_v"), getattr(filters, f"{name}_h")]):
        assert_close(y[0, 1:-1, 1:-1, index] / scale, function(x)[1:-1, 1:-1], "float64")


@pytest.mark.parametrize("size", [(5, 8), (1, 3), 7])
def test_gaussians_with_and_without_a_sigma(size):
    sides = size if isinstance(size, tuple) else (size, size)
    kernel = gaussian_kernel(size)
    assert kernel.shape == sides
    np.testing.assert_allclose(kernel, gaussian_kernel(size, sigma=min(sides) / 4))
    np.testing.assert_allclose(kernel, np.flip(kernel))
    assert kernel.sum() == pytest.approx(1)
    assert abs(laplacian_of_gaussian_kernel(size).sum()) < 1e-12


# === The layer ===


@st.composite
def banks(draw):
    arguments, shape = draw(convolutions())
    size = arguments.pop("kernel_size")
    for name in ("filters", "groups", "padding_value"):
        arguments.pop(name, None)
    seeds = draw(st.lists(st.integers(0, 9), min_size=1, max_size=3))
    arguments["filters"] = [random_array(size, seed) for seed in seeds]
    return arguments, shape


def reference(x, layer):
    """Filter by loops in float64: a grouped convolution whose groups are single channels."""
    count = len(layer.filters)
    like = types.SimpleNamespace(
        **{name: getattr(layer.geometry, name) for name in ("kernel_size", "strides", "dilation_rate", "padding")},
        padding_mode=layer.geometry.padding_mode,
        padding_value=0.0,
        flip_kernel=layer.flip_kernel,
        groups=x.shape[-1],
        filters=x.shape[-1] * count,
    )
    kernels = np.stack([np.array(kernel) for kernel in layer.filters], -1)[:, :, None]
    return reference_convolution(like, x, np.tile(kernels, (1, 1, 1, x.shape[-1])), np.zeros(like.filters))


@given(banks(), st.sampled_from(["float32", "float64"]))
def test_equals_the_loops(drawn, dtype):
    arguments, shape = drawn
    layer, x = build(dtype, **arguments), random_array(shape)
    y = run(layer, x)
    assert layer.compute_output_shape(shape) == tuple(y.shape)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert_close(y, reference(x, layer), dtype)
    assert layer.weights == []


@given(banks(), examples=15)
def test_gradients_in_float64_are_the_finite_differences(drawn):
    arguments, shape = drawn
    check_gradients(build("float64", **arguments), random_array(shape))


@given(banks())
def test_channels_first_is_the_same_transposed(drawn):
    arguments, shape = drawn
    x = random_array(shape, dtype="float32")
    layer = build(data_format="channels_first", **arguments)
    y = to_numpy(run(layer, np.moveaxis(x, -1, 1)))
    assert layer.compute_output_shape((shape[0], shape[3], *shape[1:3])) == y.shape
    assert_close(np.moveaxis(y, 1, -1), run(build(**arguments), x), "float32")


def test_outputs_are_in_the_order_of_keras_depthwise():
    x = random_array((2, 7, 8, 3), dtype="float32")
    names = ["sobel_x", "sobel_y", "edges"]
    layer = keras.layers.DepthwiseConv2D(
        3,
        depth_multiplier=3,
        use_bias=False,
        depthwise_initializer=FilterInitializer(names, average=False),
        data_format="channels_last",
    )
    assert_close(build(filters=names, padding="valid")(x), layer(x), "float32")


@pytest.mark.parametrize("flip", [False, True])
def test_filters_of_different_sizes_stay_where_they_are(flip):
    x = random_array((1, 9, 10, 2))
    filters = ["identity", "difference_x", "difference_y", "sobel_y", random_array((4, 2)), "gaussian_blur"]
    together = run(build("float64", filters=filters, flip_kernel=flip), x)
    for index, one in enumerate(filters):
        alone = run(build("float64", filters=[one], flip_kernel=flip), x)
        assert_close(to_numpy(together)[..., index :: len(filters)], alone, "float64")


def test_convolution_proper_turns_the_kernel_round():
    x = random_array((8, 9))
    kernel = random_array((3, 3), 4)
    for flip, function in [(True, ndimage.convolve), (False, ndimage.correlate)]:
        y = run(build("float64", filters=[kernel], flip_kernel=flip), x[None, :, :, None])
        assert_close(y[0, :, :, 0], function(x, kernel, mode="mirror"), "float64")
    difference = build("float64", filters="difference_x", padding="valid", flip_kernel=True)
    assert_close(run(difference, x[None, :, :, None])[0, :, :, 0], np.diff(x), "float64")


def test_config_round_trip():
    layer = build("mixed_bfloat16", "channels_first", **UNUSUAL, name="odd")
    config = layer.get_config()
    assert FilterBank2D.from_config(config).get_config() == config
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is FilterBank2D
    assert again.get_config() == config
    assert {name: config[name] for name in UNUSUAL} == UNUSUAL
    assert build(filters=[np.array([[1, 2]])]).get_config()["filters"] == (((1.0, 2.0),),)


def test_keras_file_round_trip(tmp_path):
    model = keras.Sequential([keras.Input((9, 8, 2)), build(**UNUSUAL)])
    model.save(tmp_path / "model.keras")
    x = random_array((2, 9, 8, 2), dtype="float32")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(to_numpy(again(x)), to_numpy(model(x)))


SLOW_IN_GRAPHS = [
    pytest.param(arguments, marks=pytest.mark.slow)
    for arguments in ({"strides": 2}, {"strides": 2, "dilation_rate": 3})
]


@tensorflow_only
@pytest.mark.parametrize("arguments", [UNUSUAL, {}, *SLOW_IN_GRAPHS])
def test_saved_model_with_sizes_known_only_at_run_time(arguments, tmp_path):
    import tensorflow as tf

    layer = build(**arguments)
    model = keras.Sequential([keras.Input((None, None, 2)), layer])
    assert model.output_shape == (None, None, None, 4)
    model.export(tmp_path / "saved", verbose=False)
    serve = tf.saved_model.load(tmp_path / "saved").serve
    for shape in [(1, 9, 8, 2), (3, 11, 7, 2)]:
        x = random_array(shape, dtype="float32")
        assert_close(serve(x), layer(x), "float32")


@tensorflow_only
@pytest.mark.parametrize("arguments", [UNUSUAL, {}, {"strides": 2, "dilation_rate": 3}])
def test_gradient_in_a_graph_with_one_trace(arguments):
    import tensorflow as tf

    layer, traces = build(**arguments), []

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 2))])
    def graph(x):
        traces.append(1)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(layer(x) ** 2)
        return tape.gradient(y, x)

    for shape in [(1, 9, 8, 2), (3, 11, 7, 2)]:
        x = random_array(shape, dtype="float32")
        assert_close(graph(x), gradients(layer, x, 2 * to_numpy(layer(x)))[0], "float32")
    assert len(traces) == 1


@pytest.mark.parametrize("arguments", [UNUSUAL, {}, {"strides": (2, 1), "dilation_rate": 3}])
@pytest.mark.parametrize("batch", [0, 1])
def test_empty_batch_and_batch_of_one(arguments, batch):
    layer, x = build(**arguments), random_array((3, 9, 8, 2), dtype="float32")
    y = layer(x[:batch])
    assert tuple(y.shape) == layer.compute_output_shape((batch, 9, 8, 2))
    assert_close(y, to_numpy(layer(x))[:batch], "float32")
    assert gradients(layer, x[:batch], np.ones(tuple(y.shape), "float32"))[0].shape == (batch, 9, 8, 2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
def test_low_precision(dtype):
    layer, exact = (build(policy, filters=["gaussian_blur", "edges"], strides=2) for policy in (dtype, "float64"))
    compute = dtype.removeprefix("mixed_")
    x = random_array((2, 9, 8, 3))
    y = run(layer, x)
    assert keras.backend.standardize_dtype(y.dtype) == compute
    assert_close(y, run(exact, x), compute)


def test_one_fit_step_passes_the_gradient_through():
    start, bank = keras.layers.Conv2D(3, 3, data_format="channels_last"), build()
    model = keras.Sequential([keras.Input((9, 8, 4)), start, bank, keras.layers.Flatten(), keras.layers.Dense(2)])
    before = to_numpy(start.kernel)
    model.compile("adam", "mse")
    model.fit(random_array((4, 9, 8, 4)), random_array((4, 2)), epochs=1, verbose=0)
    assert (to_numpy(start.kernel) != before).all()


# === The initializer ===


@pytest.mark.parametrize(
    ("family", "arguments"),
    [
        (keras.layers.Conv2D, {}),
        (DilatedConv2D, {"groups": 2, "dilation_rate": 2}),
        (UnsharedConv2D, {}),
        (TiledConv2D, {"tile_shape": 2}),
    ],
)
def test_a_convolution_starts_as_the_mean_of_the_bank(family, arguments):
    x = random_array((2, 11, 10, 4), dtype="float32")
    names = ["gaussian_blur", "sobel_x"]
    layer = family(4, 5, kernel_initializer=FilterInitializer(names), data_format="channels_last", **arguments)
    y = to_numpy(layer(x))
    dilation_rate = arguments.get("dilation_rate", 1)
    bank = to_numpy(build(filters=names, padding="valid", dilation_rate=dilation_rate)(x))
    groups = arguments.get("groups", 1)
    mean = bank.reshape(*bank.shape[:3], groups, 4 // groups, 2).mean(4)
    want = mean.reshape(*bank.shape[:3], 4) if groups == 2 else np.tile(mean[..., 0, :], 2)
    assert_close(y, want, "float32")


def test_initializer_at_other_ranks_and_its_config():
    start = FilterInitializer([[1, 2, 3], [4, 5]], average=False, flip_kernel=True)
    assert to_numpy(start((3, 2, 3)))[:, 1].T.tolist() == [[3, 2, 1], [0, 5, 4], [3, 2, 1]]
    config = start.get_config()
    assert config == {"filters": ((1.0, 2.0, 3.0), (4.0, 5.0)), "average": False, "flip_kernel": True}
    again = keras.initializers.deserialize(keras.initializers.serialize(start))
    assert type(again) is FilterInitializer
    assert again.get_config() == config
    assert keras.backend.standardize_dtype(start((3, 2, 2), "float16").dtype) == "float16"


def test_initializer_in_a_saved_model(tmp_path):
    start = FilterInitializer(["edges", random_array((3, 3))])
    model = keras.Sequential([keras.Input((9, 8, 1)), keras.layers.Conv2D(2, 3, kernel_initializer=start)])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").layers[0].kernel_initializer
    assert again.get_config() == start.get_config()


# === Wrong arguments ===


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": "sobel"}, r"`filters` must be a name or .*difference_x.*Received: filters='sobel'\."),
        ({"filters": []}, r"filters=\[\]"),
        ({"filters": 3}, "filters=3"),
        ({"filters": [[[1, 2], [3]]]}, "`filters` must be"),
        ({"filters": [[[float("nan")]]]}, "finite numbers.*nan"),
        ({"filters": [[1, 2, 3]]}, "`filters` must hold arrays of two axes"),
        ({"strides": 0}, "`strides` must be .*strides=0"),
        ({"dilation_rate": (1, 2, 3)}, "2 of them, one per axis.*dilation_rate="),
        ({"padding": "half"}, "`padding` must be .*padding='half'"),
        ({"padding_mode": "mirror"}, "`padding_mode` must be .*padding_mode='mirror'"),
        ({"data_format": "last"}, "`data_format` must be .*data_format='last'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FilterBank2D(**arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: filter_kernel("blur"), "`name` must be one of identity, .*name='blur'"),
        (lambda: gaussian_kernel(0), "`size` must be .*size=0"),
        (lambda: gaussian_kernel(3, sigma=0), "`sigma` must be a number > 0.*sigma=0"),
        (lambda: laplacian_of_gaussian_kernel(3, sigma=float("inf")), "sigma=inf"),
        (lambda: FilterInitializer(["edges"])((2, 3, 1, 1)), r"`filters` must fit .*\(3, 3\).*\(2, 3\)"),
        (lambda: FilterInitializer(["edges"])((3, 1, 1)), r"`filters` must fit .*\(3, 3\).*\(3,\)"),
        (
            lambda: FilterInitializer(["edges", "laplacian"])((3, 3, 1, 1)),
            "`filters` must not be more than the outputs",
        ),
        (lambda: build().build((None, 9, 9, None)), r"number of channels must be known.*\(None, 9, 9, None\)"),
        (lambda: build().build((None, 1, 9, 1)), "'reflect' can pad at most 0"),
        (lambda: build(padding="valid").build((None, 2, 9, 1)), "`kernel_size` must not be larger"),
    ],
)
def test_wrong_calls_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
