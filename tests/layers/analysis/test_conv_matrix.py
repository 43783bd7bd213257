import doctest

import keras
import numpy as np
import pytest
from hypothesis import strategies as st

import layers
from layer_checks import (
    assert_close,
    convolutions,
    given,
    gradients,
    keras_copies,
    random_array,
    randomize,
    run,
    tensorflow_only,
    to_numpy,
)
from layers.analysis.conv_matrix import convolution_matrix, convolution_offset

pytestmark = keras_copies

linalg = pytest.importorskip("scipy.linalg")
sparse = pytest.importorskip("scipy.sparse")

families = pytest.mark.parametrize("family", ["DilatedConv", "TiledConv", "UnsharedConv"])


def build(family, shape, dtype="float64", **arguments):
    # Drawing numbers costs JAX a compilation a shape, and `randomize` draws them anyway.
    name = "depthwise_initializer" if "Depthwise" in family.__name__ else "kernel_initializer"
    layer = family(**{"dtype": dtype, "data_format": "channels_last", name: "zeros", **arguments})
    layer.build(shape)
    randomize(layer)
    return layer


def check(layer, shape, tolerance="float64"):
    """Hold matrix and offset against the outputs of a layer, for one example of channels-last `shape`."""
    x, first = random_array(shape), layer.data_format == "channels_first"
    turned = np.moveaxis(x, -1, 0) if first else x
    matrix, offset = convolution_matrix(layer, shape), convolution_offset(layer, shape)
    assert isinstance(matrix, sparse.csr_array)
    assert matrix.has_canonical_format
    y = to_numpy(run(layer, turned[None]))[0]
    assert_close(matrix @ x.ravel() + offset, (np.moveaxis(y, 0, -1) if first else y).ravel(), tolerance)
    return matrix


@pytest.mark.parametrize("function", [convolution_matrix, convolution_offset])
def test_examples_run(function):
    (example,) = doctest.DocTestFinder(recurse=False).find(function, function.__name__)
    assert doctest.DocTestRunner().run(example) == doctest.TestResults(failed=0, attempted=len(example.examples))
    assert len(example.examples) >= 3


@families
@given(data=st.data(), examples=20)
def test_matrix_and_offset_are_the_layer(family, data):
    rank = data.draw(st.integers(1, 3))
    arguments, (_, *shape) = data.draw(convolutions(tiled=family == "TiledConv", rank=rank))
    check(build(getattr(layers, f"{family}{rank}D"), (None, *shape), **arguments), tuple(shape))


@families
@given(data=st.data(), examples=8)
def test_the_transpose_is_the_gradient(family, data):
    arguments, (_, *shape) = data.draw(convolutions(tiled=family == "TiledConv"))
    layer = build(getattr(layers, f"{family}2D"), (None, *shape), **arguments)
    cotangent = random_array(layer.compute_output_shape((1, *shape)))
    by_x = gradients(layer, random_array((1, *shape)), cotangent)[0]
    assert_close(convolution_matrix(layer, shape).T @ cotangent.ravel(), by_x.ravel(), "float64")


ARGUMENTS = {"filters": 4, "kernel_size": (3, 2), "padding": "same", "padding_mode": "wrap", "groups": 2}


@families
def test_channels_first(family):
    layer = build(getattr(layers, f"{family}2D"), (None, 2, 6, 5), data_format="channels_first", **ARGUMENTS)
    check(layer, (6, 5, 2))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_narrow_dtypes_become_float32(dtype):
    layer = build(layers.DilatedConv2D, (None, 6, 5, 2), dtype, **ARGUMENTS)
    matrix, offset = convolution_matrix(layer, (6, 5, 2)), convolution_offset(layer, (6, 5, 2))
    assert matrix.dtype == offset.dtype == "float32"
    x = random_array((6, 5, 2))
    assert_close(matrix @ x.ravel() + offset, to_numpy(layer(x[None])).ravel(), dtype)


@pytest.mark.parametrize(
    ("family", "shape", "arguments"),
    [
        ("Conv1D", (9, 4), {"padding": "causal", "dilation_rate": 2, "groups": 2}),
        ("Conv1D", (9, 4), {"padding": "same", "strides": 2, "use_bias": False}),
        ("Conv2D", (8, 7, 2), {"padding": "same", "strides": (2, 3)}),
        ("Conv2D", (8, 7, 2), {"padding": "valid", "dilation_rate": (2, 1)}),
        ("Conv3D", (5, 6, 4, 2), {"padding": "same", "strides": 2}),
        ("DepthwiseConv1D", (9, 3), {"padding": "same", "depth_multiplier": 2}),
        ("DepthwiseConv2D", (8, 7, 3), {"padding": "same", "strides": 2, "depth_multiplier": 2}),
        ("DepthwiseConv2D", (8, 7, 3), {"dilation_rate": 2, "use_bias": False}),
    ],
)
def test_keras_own_layers(family, shape, arguments):
    arguments = {"kernel_size": 3, **arguments} | ({} if "Depthwise" in family else {"filters": 4})
    layer = build(getattr(keras.layers, family), (None, *shape), "float32", **arguments)
    check(layer, shape, "float32")


@given(convolutions())
def test_a_kernel_with_arguments_is_the_layer(drawn):
    arguments, (_, *shape) = drawn
    arguments.pop("padding_value", None)
    layer = build(layers.DilatedConv2D, (None, *shape), use_bias=False, **arguments)
    for name in ("filters", "kernel_size"):
        arguments.pop(name)
    from_kernel = convolution_matrix(to_numpy(layer.kernel), shape, **arguments)
    np.testing.assert_array_equal(from_kernel.toarray(), convolution_matrix(layer, shape, dense=True))


# === The textbook ===


def test_the_example_of_the_textbook():
    x, kernel = np.arange(9).reshape(3, 3), np.array([[0, 1], [2, 3]])
    matrix = convolution_matrix(kernel, (3, 3))
    assert (matrix @ x.ravel()).reshape(2, 2).tolist() == [[19, 25], [37, 43]]
    assert matrix.toarray().tolist() == [
        [0, 1, 0, 2, 3, 0, 0, 0, 0],
        [0, 0, 1, 0, 2, 3, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 2, 3, 0],
        [0, 0, 0, 0, 0, 1, 0, 2, 3],
    ]
    full = convolution_matrix(kernel, (3, 3), padding="full")
    assert (full @ x.ravel()).reshape(4, 4).tolist() == [[0, 3, 8, 4], [9, 19, 25, 10], [21, 37, 43, 16], [6, 7, 8, 0]]
    # The transposed convolution is the transpose: from the outputs of the first back to the size of the inputs.
    assert (matrix.T @ [0, 1, 2, 3]).reshape(3, 3).tolist() == [[0, 0, 1], [0, 4, 6], [4, 12, 9]]


def test_full_convolution_proper_is_scipy_own():
    signal = pytest.importorskip("scipy.signal")
    x, kernel = random_array((5, 6)), random_array((3, 2), 1)
    proper = convolution_matrix(kernel, (5, 6), padding="full", flip_kernel=True)
    assert_close(proper @ x.ravel(), signal.convolve2d(x, kernel).ravel(), "float64")
    full = convolution_matrix(kernel, (5, 6), padding="full")
    assert_close(full @ x.ravel(), signal.correlate2d(x, kernel).ravel(), "float64")
    line, taps = random_array((7,)), random_array((3,), 1)
    matrix = convolution_matrix(taps, (7,), padding="full", flip_kernel=True, dense=True)
    assert_close(matrix @ line, np.convolve(line, taps), "float64")
    np.testing.assert_array_equal(matrix, linalg.convolution_matrix(taps, 7))
    np.testing.assert_array_equal(matrix, linalg.toeplitz([*taps, *[0] * 6], [taps[0], *[0] * 6]))


def test_padding_that_wraps_round_is_circulant():
    taps = random_array((5,), 1)
    matrix = convolution_matrix(taps, (8,), padding="same", padding_mode="wrap", flip_kernel=True, dense=True)
    column = np.roll([*taps, 0, 0, 0], -2)
    np.testing.assert_array_equal(matrix, linalg.circulant(column))
    # Its eigenvalues are the Fourier transform of its first column.
    x = random_array((8,))
    assert_close(np.fft.fft(matrix @ x).real, (np.fft.fft(column) * np.fft.fft(x)).real, "float64")


def test_two_dimensions_are_doubly_block_toeplitz():
    kernel = random_array((3, 2))
    blocks = convolution_matrix(kernel, (6, 5), dense=True).reshape(4, 4, 6, 5).transpose(0, 2, 1, 3)
    for row in range(4):
        for column in range(6):
            block = blocks[row, column]
            np.testing.assert_array_equal(block, linalg.toeplitz(block[:, 0], block[0]))
            np.testing.assert_array_equal(block, blocks[0, column - row] if column >= row else 0 * block)


def test_a_tiled_convolution_repeats_every_tile():
    layer = build(layers.TiledConv1D, (None, 9, 1), filters=1, kernel_size=2, tile_shape=2)
    matrix = convolution_matrix(layer, (9, 1), dense=True)
    np.testing.assert_array_equal(matrix[2:, 2:], matrix[:-2, :-2])
    assert (matrix[1:, 1:] != matrix[:-1, :-1]).any()


def test_how_sparse_it_is():
    kernel = random_array((3, 3, 2, 4))
    valid = convolution_matrix(kernel, (28, 28, 2))
    assert valid.shape == (26 * 26 * 4, 28 * 28 * 2)
    assert valid.nnz == 26 * 26 * 4 * 3 * 3 * 2
    same = convolution_matrix(kernel, (28, 28, 2), padding="same")
    assert same.nnz == (28 * 3 - 2) ** 2 * 4 * 2  # two of the weights along an axis have no pixel
    # Every padded pixel is one that is there already, and adds to its entry.
    assert convolution_matrix(kernel, (28, 28, 2), padding="same", padding_mode="edge").nnz == same.nnz
    assert convolution_matrix(np.zeros((3, 3, 1, 6)), (8, 8, 3), groups=3).nnz == 36 * 6 * 9  # zeros, but kept


def test_an_input_far_larger_than_a_dense_matrix_could_be():
    matrix = convolution_matrix(np.ones((3, 3), "float32"), (500, 500), padding="same", padding_mode="symmetric")
    assert matrix.shape == (250_000, 250_000)
    assert (matrix @ np.ones(250_000, "float32") == 9).all()


def test_integers_stay_integers():
    assert convolution_matrix([[1, 2], [3, 4]], (4, 4)).dtype.kind == "i"
    assert convolution_matrix(np.ones((2, 2), "float16"), (4, 4)).dtype == "float32"


@tensorflow_only
def test_a_tensor_is_a_kernel():
    import tensorflow as tf

    assert convolution_matrix(tf.ones((2, 2), "bfloat16"), (4, 4)).dtype == "float32"


def test_offset_of_a_padding_that_is_not_zero():
    layer = layers.DilatedConv2D(
        1, 3, padding="same", padding_value=2.0, kernel_initializer="ones", data_format="channels_last"
    )
    layer.build((None, 3, 3, 1))
    assert convolution_offset(layer, (3, 3, 1)).reshape(3, 3).tolist() == [[10, 6, 10], [6, 0, 6], [10, 6, 10]]


# === Wrong arguments ===


@pytest.mark.parametrize(
    ("layer", "shape", "arguments", "message"),
    [
        (keras.layers.Dense(3), (4,), {}, "`layer` must be a DilatedConv, .*Received: layer=<Dense"),
        (keras.layers.Conv2DTranspose(3, 3), (4, 4, 1), {}, "`layer` must be a DilatedConv"),
        (keras.layers.Conv2D(3, 3), (4, 4, 1), {}, "`layer` must be built"),
        (np.ones((2, 2)), (4, 4), {"strides": 0}, "`strides` must be .*strides=0"),
        (np.ones((2, 2)), (4, 4), {"padding": "half"}, "`padding` must be .*padding='half'"),
        (np.ones((2, 2)), (4, 4), {"padding_mode": "mirror"}, "`padding_mode` must be"),
        (np.ones((2, 2)), (1, 4), {}, "`kernel_size` must not be larger than the padded input"),
        (np.ones((2, 2)), (0, 4), {}, "`input_shape` must be an integer >= 1.*input_shape=0"),
        (np.ones((2, 2, 1, 1)), (4, 4, 3), {}, r"`input_shape` must be 2 sizes and 1 channels.*\(4, 4, 3\)"),
        (np.ones((2, 2, 1, 3)), (4, 4, 2), {"groups": 2}, r"divisible by groups.*\(2, 2, 1, 3\), groups=2"),
        (np.ones((2, 2, 2, 2)), (4, 4, 4, 4), {}, "one to three axes"),
    ],
)
def test_wrong_arguments_are_named(layer, shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        convolution_matrix(layer, shape, **arguments)


def test_wrong_layers_are_named():
    layer = build(layers.UnsharedConv1D, (None, 6, 1), filters=1, kernel_size=3)
    with pytest.raises(ValueError, match=r"`input_shape` must give \(4,\) outputs.*\(7, 1\)"):
        convolution_matrix(layer, (7, 1))
    with pytest.raises(ValueError, match=r"apply only to a kernel.*2, 'valid'"):
        convolution_matrix(layer, (6, 1), strides=2)
    with pytest.raises(ValueError, match="a kernel alone has no offset"):
        convolution_offset(np.ones((2, 2)), (4, 4))
