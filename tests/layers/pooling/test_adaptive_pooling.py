import itertools
import math

import keras
import numpy as np
import pytest
from hypothesis import strategies as st

import layers.pooling.adaptive_pooling as adaptive
import layers.pooling.pyramid_pooling as pyramid
from layer_checks import assert_close, check_gradients, given, gradients, keras_copies, random_array, run, to_numpy
from layers.pooling.adaptive_pooling import AdaptiveAveragePooling2D, AdaptiveLpPooling2D, AdaptiveMaxPooling2D
from layers.pooling.pyramid_pooling import SpatialPyramidPooling2D

pytestmark = keras_copies


def reference(x, output_size, reduce):
    y = np.zeros((x.shape[0], *output_size, x.shape[-1]))
    for place in itertools.product(*map(range, output_size)):
        window = [
            slice(math.floor(j * n / m), math.ceil((j + 1) * n / m))
            for j, n, m in zip(place, x.shape[1:-1], output_size, strict=True)
        ]
        y[(slice(None), *place)] = reduce(x[(slice(None), *window)], tuple(range(1, x.ndim - 1)))
    return y


def norm(p, average):
    if math.isinf(p):
        return lambda x, axis: np.abs(x).max(axis)
    return lambda x, axis: (np.mean if average else np.sum)(np.abs(x) ** p, axis) ** (1 / p)


@st.composite
def poolings(draw):
    rank = draw(st.integers(1, 3))
    sizes = st.tuples(*[st.integers(1, 9 if rank < 3 else 5)] * rank)
    return rank, draw(sizes), (2, *draw(sizes), 3)


@given(poolings(), st.sampled_from(["float32", "float64"]))
def test_mean_and_maximum_equal_the_loops(drawn, dtype):
    rank, output_size, shape = drawn
    x = random_array(shape)
    for name, reduce in [("Average", np.mean), ("Max", np.max)]:
        layer = getattr(adaptive, f"Adaptive{name}Pooling{rank}D")(
            output_size, data_format="channels_last", dtype=dtype
        )
        y = run(layer, x)
        assert tuple(y.shape) == layer.compute_output_shape(shape)
        assert_close(y, reference(x, output_size, reduce), dtype)


@given(poolings(), st.sampled_from([1, 1.5, 2, 4, 30, math.inf]), st.booleans())
def test_norms_equal_the_loops(drawn, p, average):
    rank, output_size, shape = drawn
    layer_class = getattr(adaptive, f"AdaptiveLpPooling{rank}D")
    layer = layer_class(output_size, p, average, data_format="channels_last", dtype="float64")
    x = random_array(shape)
    assert_close(run(layer, x), reference(x, output_size, norm(p, average)), "float64")


@pytest.mark.parametrize("kind", ["Average", "Max"])
@pytest.mark.parametrize("output_size", [(3, 5), 4, (9, 11)])  # 1 ends the process: Keras takes a window too large
def test_keras_with_known_sizes_agrees(kind, output_size):
    x = random_array((2, 8, 7, 3), dtype="float32")
    ours = getattr(adaptive, f"Adaptive{kind}Pooling2D")(output_size, data_format="channels_last")
    theirs = getattr(keras.layers, f"Adaptive{kind}Pooling2D")(output_size, data_format="channels_last")
    assert_close(ours(x), theirs(x), "float32")


@pytest.mark.parametrize("output_size", [(2, 3), (3, 2), (9, 7), (1, 1)])
@pytest.mark.parametrize("p", [2, 30])
def test_gradients_in_float64_are_the_finite_differences(output_size, p):
    x = random_array((2, 6, 5, 2))
    x = x + 0.1 * np.sign(x)
    arguments = {"data_format": "channels_last", "dtype": "float64"}
    check_gradients(AdaptiveLpPooling2D(output_size, p, **arguments), x, step=1e-6)
    check_gradients(AdaptiveMaxPooling2D(output_size, **arguments), x, step=1e-6)
    check_gradients(AdaptiveAveragePooling2D(output_size, **arguments), x, step=1e-6)


def test_one_window_is_global_pooling():
    x = random_array((2, 5, 7, 3), dtype="float32")
    for kind in ("Average", "Max"):
        ours = getattr(adaptive, f"Adaptive{kind}Pooling2D")(1, data_format="channels_last")(x)
        theirs = getattr(keras.layers, f"Global{kind}Pooling2D")(keepdims=True, data_format="channels_last")(x)
        assert_close(ours, theirs, "float32")


def test_the_gradient_of_a_maximum_goes_to_it_whole():
    x = np.array([1, 5, 2, 4, 3], "float32").reshape(1, 5, 1)
    layer = adaptive.AdaptiveMaxPooling1D(2, data_format="channels_last")  # windows 0 .. 2 and 2 .. 4
    assert gradients(layer, x, np.ones((1, 2, 1), "float32"))[0].ravel().tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("magnitude", [1e-33, 1e30])
def test_huge_and_tiny_values(magnitude):
    x = random_array((2, 6, 5, 2))
    layer = AdaptiveLpPooling2D(4, data_format="channels_last")
    assert_close(to_numpy(layer((x * magnitude).astype("float32"))) / magnitude, layer(x), "float32")


@pytest.mark.parametrize("pooling", ["max", "average", "lp"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_pyramid_is_its_levels_one_after_another(pooling, rank):
    reduce = {"max": np.max, "average": np.mean, "lp": norm(3, True)}[pooling]
    levels = (1, (2, 3, 1)[:rank], 4)
    layer_class = getattr(pyramid, f"SpatialPyramidPooling{rank}D")
    layer = layer_class(levels, pooling, p=3, data_format="channels_last", dtype="float64")
    for sizes in [(5, 4, 3), (2, 7, 4)]:
        x = random_array((2, *sizes[:rank], 3))
        want = np.concatenate([reference(x, level, reduce).reshape(2, -1) for level in layer.levels], 1)
        y = run(layer_class.from_config(layer.get_config()), x)
        assert layer.compute_output_shape(x.shape) == want.shape
        assert_close(y, want, "float64")


def test_a_pyramid_gives_one_length_for_all_sizes():
    layer = SpatialPyramidPooling2D(data_format="channels_last")
    assert layer(keras.Input((None, None, 3))).shape == (None, 63)
    assert {tuple(layer(np.ones((1, n, n + 2, 3))).shape) for n in (1, 4, 6)} == {(1, 63)}


@pytest.mark.parametrize(
    ("layer_class", "arguments", "message"),
    [
        (AdaptiveAveragePooling2D, {"output_size": 0}, "`output_size` must be .*output_size=0"),
        (AdaptiveMaxPooling2D, {"output_size": (2, 2, 2)}, "2 of them, one per axis"),
        (AdaptiveLpPooling2D, {"output_size": 2, "p": 0.5}, "`p` must be .*p=0.5"),
        (AdaptiveMaxPooling2D, {"output_size": 2, "data_format": "last"}, "data_format='last'"),
        (SpatialPyramidPooling2D, {"levels": ()}, r"`levels` must be a sequence.*levels=\(\)"),
        (SpatialPyramidPooling2D, {"levels": 3}, "levels=3"),
        (SpatialPyramidPooling2D, {"levels": (1, 0)}, "`levels` must be .*levels=0"),
        (SpatialPyramidPooling2D, {"pooling": "min"}, "`pooling` must be one of max, average, lp.*pooling='min'"),
    ],
)
def test_wrong_arguments_are_named(layer_class, arguments, message):
    with pytest.raises(ValueError, match=message):
        layer_class(**arguments)


@pytest.mark.parametrize("layer", [AdaptiveMaxPooling2D(2), SpatialPyramidPooling2D()])
def test_empty_axes_are_named(layer):
    with pytest.raises(ValueError, match=r"must not be empty.*input sizes \(0, 4\)"):
        layer(np.ones((1, 0, 4, 3)) if layer.data_format == "channels_last" else np.ones((1, 3, 0, 4)))
    with pytest.raises(ValueError, match=r"must not be empty"):
        layer.compute_output_shape((1, 0, 4, 3) if layer.data_format == "channels_last" else (1, 3, 0, 4))
