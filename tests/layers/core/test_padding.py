import numpy as np
import pytest
from hypothesis import strategies as st

from layer_checks import given, random_array, tensorflow_only, to_numpy
from layers.core.geometry import PADDING_MODES, ConvGeometry
from layers.core.padding import pad


@pytest.mark.parametrize("mode", PADDING_MODES)
@given(
    sizes=st.lists(st.integers(4, 7), min_size=1, max_size=3),
    amounts=st.lists(st.integers(0, 3), min_size=6, max_size=6),
)
def test_equals_numpy_at_every_rank(mode, sizes, amounts):
    pairs = tuple(zip(amounts[::2], amounts[1::2], strict=True))[: len(sizes)]
    x = random_array((2, *sizes, 3))
    got = pad(x, ConvGeometry((1,) * len(sizes), padding=pairs, padding_mode=mode))
    np.testing.assert_array_equal(to_numpy(got), np.pad(x, [(0, 0), *pairs, (0, 0)], mode=mode))


def test_constant_takes_a_value():
    got = pad(np.ones((1, 1, 1)), ConvGeometry((1,), padding=1), value=-2.5)
    assert to_numpy(got).ravel().tolist() == [-2.5, 1, -2.5]


def test_nothing_to_pad_returns_the_input_itself():
    x = np.ones((1, 4, 4, 1))
    assert pad(x, ConvGeometry((3, 3), padding_mode="reflect")) is x


@tensorflow_only
@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_sizes_known_only_at_run_time(mode, stride):
    import tensorflow as tf

    geometry = ConvGeometry((4, 3), stride, 1, "same", mode)
    run = tf.function(lambda x: pad(x, geometry), input_signature=[tf.TensorSpec((None, None, None, 2), tf.float64)])
    for sizes in [(4, 5), (7, 6), (9, 9)]:
        x = random_array((2, *sizes, 2))
        want = np.pad(x, [(0, 0), *geometry.pads(sizes), (0, 0)], mode=mode)
        np.testing.assert_array_equal(to_numpy(run(x)), want)
