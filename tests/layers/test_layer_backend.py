"""Every route of `backend.convolve` gives what one convolution over the padded input gives."""

import itertools

import keras
import numpy as np
import pytest
from layer_checks import assert_close, random_array, tensorflow_only, to_numpy

from layers import backend


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


STEPS = [((1, 1), (2, 2)), ((2, 2), (2, 2)), ((2, 1), (1, 3)), ((3, 2), (2, 3)), ((4, 6), (6, 4)), ((2, 3), (1, 1))]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("strides", "dilation_rate"), STEPS)
def test_in_two_dimensions_by_either_route(strides, dilation_rate, groups, native, monkeypatch):
    if not native:
        monkeypatch.setattr(backend, "_tensorflow_has", lambda *_: False)
    x, kernel = random_array((2, 17, 15, 4)), random_array((3, 2, 4 // groups, 8), 1)
    got = backend.convolve(to_tensor(x), to_tensor(kernel), strides, dilation_rate, "valid")
    assert_close(got, reference(x, kernel, strides, dilation_rate), "float32")


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 2), (2, 2), (2, 3), (4, 2), (2, 1)])
def test_at_every_rank(rank, stride, dilation, groups):
    x, kernel = random_array((2, *(13, 9, 8)[:rank], 4)), random_array((*(3, 2, 2)[:rank], 4 // groups, 4), 1)
    strides, dilation_rate = (stride,) * rank, (dilation,) * rank
    got = backend.convolve(to_tensor(x), to_tensor(kernel), strides, dilation_rate, "valid")
    assert_close(got, reference(x, kernel, strides, dilation_rate), "float32")


@tensorflow_only
def test_the_probe_tells_what_this_machine_can_do():
    # A plain convolution has a gradient everywhere; whatever is claimed beyond that must be true.
    import tensorflow as tf

    assert backend._tensorflow_has("float32", False, False)
    for dtype, dilated, grouped in itertools.product(["float32", "float64"], [False, True], [False, True]):
        if backend._tensorflow_has(dtype, dilated, grouped):
            x, kernel = tf.ones((1, 9, 9, 2), dtype), tf.ones((3, 3, 1 if grouped else 2, 2), dtype)
            with tf.GradientTape() as tape:
                tape.watch((x, kernel))
                y = tf.nn.conv2d(x, kernel, 1, "VALID", dilations=2 if dilated else 1)
            assert all(g is not None for g in tape.gradient(y, (x, kernel)))


@pytest.mark.parametrize(("start", "step"), [(0, 1), (2, 1), (0, 2), (1, 3), (5, 2), (3, 4)])
def test_every(start, step):
    x = random_array((2, 11, 3))
    np.testing.assert_array_equal(to_numpy(backend.every(to_tensor(x, "float64"), 1, start, step)), x[:, start::step])


def to_tensor(x, dtype="float32"):
    return keras.ops.convert_to_tensor(x, dtype)


@tensorflow_only
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("strides", [(1, 2), (1, 3), (2, 3), (2, 1)])
@pytest.mark.parametrize("width", [3, 4, 7])
def test_one_channel_and_an_output_one_wide(width, strides, known):
    # TensorFlow's own convolution returns whatever lay in memory for some of these.
    import tensorflow as tf

    x, kernel = random_array((3, 5, width, 1), dtype="float32"), random_array((2, 2, 1, 3), 1, "float32")
    spec = [tf.TensorSpec(x.shape if known else (None, None, None, 1))]
    graph = tf.function(lambda x: backend.convolve(x, kernel, strides, (1, 1), "valid"), input_signature=spec)
    assert_close(graph(x), reference(x, kernel, strides, (1, 1)), "float32")
