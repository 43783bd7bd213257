"""Every route of `convolve` gives what one convolution over the padded input gives."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import strategies as st

from layer_checks import assert_close, given, random_array, tensorflow_only, to_numpy
from layers.convolutional import conv_ops
from layers.core import backend
from layers.core.geometry import ConvGeometry
from layers.core.slicing import every, subsample


def reference(x, kernel, strides, dilation_rate):
    """Convolve by loops in float64, without padding, at any rank."""
    rank, groups = len(strides), x.shape[-1] // kernel.shape[-2]
    sizes = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip(x.shape[1:-1], kernel.shape[:rank], strides, dilation_rate, strict=True)
    ]
    y = np.zeros((x.shape[0], *sizes, kernel.shape[-1]))
    for position in itertools.product(*map(range, sizes)):
        for tap in itertools.product(*map(range, kernel.shape[:rank])):
            where = tuple(j * s + i * d for j, s, i, d in zip(position, strides, tap, dilation_rate, strict=True))
            pixels = np.split(x[(slice(None), *where)], groups, axis=-1)
            weights = np.split(kernel[tap], groups, axis=-1)
            y[(slice(None), *position)] += np.concatenate(
                [a @ b for a, b in zip(pixels, weights, strict=True)], axis=-1
            )
    return y


def to_tensor(x, dtype="float32"):
    return keras.ops.convert_to_tensor(x, dtype)


STEPS = [((1, 1), (2, 2)), ((2, 2), (2, 2)), ((2, 1), (1, 3)), ((3, 2), (2, 3)), ((4, 6), (6, 4)), ((2, 3), (1, 1))]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("strides", "dilation_rate"), STEPS)
def test_in_two_dimensions_by_either_route(strides, dilation_rate, groups, native, monkeypatch):
    if not native:
        monkeypatch.setattr(conv_ops, "has_native_convolution", lambda *_: False)
    x, kernel = random_array((2, 17, 15, 4)), random_array((3, 2, 4 // groups, 8), 1)
    got = conv_ops.convolve(to_tensor(x), to_tensor(kernel), strides, dilation_rate, "valid")
    assert_close(got, reference(x, kernel, strides, dilation_rate), "float32")


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 2), (2, 2), (2, 3), (4, 2), (2, 1)])
def test_at_every_rank(rank, stride, dilation, groups):
    x, kernel = random_array((2, *(13, 9, 8)[:rank], 4)), random_array((*(3, 2, 2)[:rank], 4 // groups, 4), 1)
    strides, dilation_rate = (stride,) * rank, (dilation,) * rank
    got = conv_ops.convolve(to_tensor(x), to_tensor(kernel), strides, dilation_rate, "valid")
    assert_close(got, reference(x, kernel, strides, dilation_rate), "float32")


@tensorflow_only
@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("rank", "groups", "stride", "dilation"),
    [(1, 1, 1, 2), (1, 2, 1, 2), (1, 1, 2, 3), (2, 1, 1, 2), (2, 2, 2, 3), (3, 1, 1, 2)],
)
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_sizes_unknown_by_either_route(padding, rank, groups, stride, dilation, native, monkeypatch):
    """Some processors have no native dilation, whose replacements leave more of the shape open."""
    import tensorflow as tf

    if not native:
        monkeypatch.setattr(conv_ops, "has_native_convolution", lambda *_: False)
    x, kernel = random_array((2, *(13, 9, 8)[:rank], 4)), random_array((*(3, 2, 2)[:rank], 4 // groups, 4), 1)
    strides, dilation_rate = (stride,) * rank, (dilation,) * rank

    @tf.function(input_signature=[tf.TensorSpec((None, *(None,) * rank, 4))])
    def graph(x):
        return conv_ops.convolve(x, to_tensor(kernel), strides, dilation_rate, padding)

    known = conv_ops.convolve(to_tensor(x), to_tensor(kernel), strides, dilation_rate, padding)
    assert_close(graph(to_tensor(x)), known, "float32")


@tensorflow_only
def test_the_probe_tells_what_this_machine_can_do():
    # A plain convolution has a gradient everywhere; whatever is claimed beyond that must be true.
    import tensorflow as tf

    assert backend.has_native_convolution("float32", False, False)
    for dtype, dilated, grouped in itertools.product(["float32", "float64"], [False, True], [False, True]):
        if backend.has_native_convolution(dtype, dilated, grouped):
            x, kernel = tf.ones((1, 9, 9, 2), dtype), tf.ones((3, 3, 1 if grouped else 2, 2), dtype)
            with tf.GradientTape() as tape:
                tape.watch((x, kernel))
                y = tf.nn.conv2d(x, kernel, 1, "VALID", dilations=2 if dilated else 1)
            assert all(g is not None for g in tape.gradient(y, (x, kernel)))


@pytest.mark.parametrize(("start", "step"), [(0, 1), (2, 1), (0, 2), (1, 3), (5, 2), (3, 4)])
def test_every(start, step):
    x = random_array((2, 11, 3))
    np.testing.assert_array_equal(to_numpy(every(to_tensor(x, "float64"), 1, start, step)), x[:, start::step])


@tensorflow_only
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("strides", [(1, 2), (1, 3), (2, 3), (2, 1)])
@pytest.mark.parametrize("width", [3, 4, 7])
def test_one_channel_and_an_output_one_wide(width, strides, known):
    # TensorFlow's own convolution returns whatever lay in memory for some of these.
    import tensorflow as tf

    x, kernel = random_array((3, 5, width, 1), dtype="float32"), random_array((2, 2, 1, 3), 1, "float32")
    spec = [tf.TensorSpec(x.shape if known else (None, None, None, 1))]
    graph = tf.function(lambda x: conv_ops.convolve(x, kernel, strides, (1, 1), "valid"), input_signature=spec)
    assert_close(graph(x), reference(x, kernel, strides, (1, 1)), "float32")


@tensorflow_only
@pytest.mark.parametrize("strides", [(1, 2), (3, 1), (2, 2), (3, 2)])
def test_the_gradient_of_a_kernel_of_one_pixel(strides):
    # With strides that differ TensorFlow's own ends the process.
    import tensorflow as tf

    x, kernel = tf.constant(random_array((2, 5, 6, 3), dtype="float32")), tf.ones((1, 1, 3, 4))
    with tf.GradientTape() as tape:
        tape.watch((x, kernel))
        y = conv_ops.convolve(x, kernel, strides, (1, 1), "valid")
    by_x, by_kernel = tape.gradient(y, (x, kernel))
    read = np.zeros(x.shape)
    read[:, :: strides[0], :: strides[1]] = 4
    assert_close(by_x, read, "float32")
    sums = x.numpy()[:, :: strides[0], :: strides[1]].sum(axis=(0, 1, 2))
    assert_close(by_kernel, np.broadcast_to(sums[None, None, :, None], kernel.shape), "float32")


@pytest.mark.parametrize("rank", [1, 2, 3])
@given(data=st.data())
def test_zeros_around_are_padding(rank, data):
    axes = lambda low, high: data.draw(st.tuples(*[st.integers(low, high)] * rank))  # noqa: E731
    sizes, kernel_size, strides, dilation_rate = axes(1, 8), axes(1, 3), axes(1, 4), axes(1, 4)
    pairs = tuple(zip(axes(0, 3), axes(0, 3), strict=True))
    padding = data.draw(st.sampled_from(["same", pairs]))
    geometry = ConvGeometry(kernel_size, strides, dilation_rate, padding)
    x, kernel = random_array((2, *sizes, 2)), random_array((*kernel_size, 2, 3), 1)
    padded = np.pad(x, [(0, 0), *geometry.pads(sizes), (0, 0)])
    if any(size < extent for size, extent in zip(padded.shape[1:-1], geometry.extent, strict=True)):
        return
    got = conv_ops.convolve(to_tensor(x), to_tensor(kernel), strides, dilation_rate, padding)
    assert_close(got, reference(padded, kernel, strides, dilation_rate), "float32")


@pytest.mark.parametrize(("size", "before"), [(1, 1), (2, 1), (1, 2), (2, 5)])
def test_windows_that_read_padding_alone(size, before):
    x, kernel = random_array((2, size, 5, 2)), random_array((1, 1, 2, 3), 1)
    got = conv_ops.convolve(to_tensor(x), to_tensor(kernel), (3, 3), (1, 1), ((before, 0), (0, 0)))
    padded = np.pad(x, [(0, 0), (before, 0), (0, 0), (0, 0)])
    assert_close(got, reference(padded, kernel, (3, 3), (1, 1)), "float32")


@pytest.mark.parametrize("sizes", [(6, 8), (5, 7), (6,), (4, 6, 8)])
def test_subsample(sizes):
    x, steps, starts = random_array((2, *sizes, 3)), (2, 4, 2)[: len(sizes)], (1, 2, 0)[: len(sizes)]
    want = x[(slice(None), *(slice(start, None, step) for start, step in zip(starts, steps, strict=True)))]
    np.testing.assert_array_equal(to_numpy(subsample(to_tensor(x, "float64"), steps, starts)), want)


@pytest.mark.parametrize("kernel_size", [(1, 1, 3), (2, 2, 3), (3, 1, 2)])
@pytest.mark.parametrize("strides", [(1, 1, 2), (2, 1, 2), (1, 2, 1)])
def test_volumes_of_one_channel_whose_output_is_one_wide(kernel_size: tuple[int, ...], strides: tuple[int, ...]):
    """Where TensorFlow's own three-dimensional convolution gives numbers from elsewhere in memory."""
    dice = np.random.default_rng(0)
    outputs = (2, 3, 1)
    sizes = tuple(k + s * (o - 1) for k, s, o in zip(kernel_size, strides, outputs, strict=True))
    x = dice.normal(size=(3, *sizes, 1)).astype("float32")
    kernel = dice.normal(size=(*kernel_size, 1, 2)).astype("float32")
    found = to_numpy(conv_ops.convolve(x, kernel, strides, (1, 1, 1)))
    assert_close(found, reference(x, kernel, strides, (1, 1, 1)), "float32")
