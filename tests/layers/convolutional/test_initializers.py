import math

import keras
import numpy as np
import pytest

from layer_checks import keras_copies, to_numpy
from layers import DilatedConv2D, TiledConv2D, UnsharedConv2D
from layers.convolutional.initializers import per_site

pytestmark = keras_copies

VARIANCE_SCALING = ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"]


@pytest.mark.parametrize("name", [*VARIANCE_SCALING, "variance_scaling"])
@pytest.mark.parametrize("layer_class", [UnsharedConv2D, TiledConv2D])
def test_the_spread_is_that_of_a_plain_convolution(name, layer_class):
    arguments = {"tile_shape": 14} if layer_class is TiledConv2D else {}
    layer = layer_class(8, 3, padding="same", kernel_initializer=name, **arguments)
    plain = keras.layers.Conv2D(256, 3, kernel_initializer=name)
    layer.build((None, 14, 14, 8))
    plain.build((None, 14, 14, 8))
    # Fan in is the same; fan out is not, so Glorot's plain layer gets as many filters.
    if name.startswith("glorot"):
        plain = keras.layers.Conv2D(8, 3, kernel_initializer=type(plain.kernel_initializer)(seed=3))
        samples = []
        for seed in range(8):
            plain.kernel_initializer = type(plain.kernel_initializer)(seed=seed)
            samples.append(to_numpy(plain.kernel_initializer((3, 3, 8, 8))).std())
        want = float(np.mean(samples))
    else:
        want = to_numpy(plain.kernel).std()
    assert to_numpy(layer.kernel).std() == pytest.approx(want, rel=0.03)


def test_sites_differ_and_a_seed_repeats():
    build = lambda: per_site(keras.initializers.GlorotUniform(seed=5), (4, 4), (3, 3, 2, 6))  # noqa: E731
    first, again = to_numpy(build()((4, 4, 18, 6))), to_numpy(build()((4, 4, 18, 6)))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first)) == first.size


@pytest.mark.parametrize("filters", [4, 30])
def test_orthogonal_at_every_site(filters):
    layer = UnsharedConv2D(filters, 3, kernel_initializer=keras.initializers.Orthogonal(gain=2.0, seed=1))
    layer.build((None, 5, 5, 2))
    kernels = to_numpy(layer.kernel).reshape(-1, 18, filters)
    for kernel in kernels:
        gram = kernel.T @ kernel if filters < 18 else kernel @ kernel.T
        np.testing.assert_allclose(gram, 4 * np.eye(min(filters, 18)), atol=1e-5)
    assert not np.allclose(kernels[0], kernels[1])


def test_a_function_sees_one_site_and_fills_each():
    seen = []

    def ramp(shape, dtype=None):
        seen.append(tuple(shape))
        return keras.ops.reshape(keras.ops.arange(math.prod(shape), dtype=dtype), shape)

    layer = TiledConv2D(2, (3, 2), tile_shape=(2, 1), kernel_initializer=ramp)
    layer.build((None, 5, 5, 4))
    assert set(seen) == {(3, 2, 4, 2)}
    for kernel in to_numpy(layer.kernel).reshape(2, -1):
        np.testing.assert_array_equal(kernel, np.arange(48))


@pytest.mark.parametrize(("initializer", "value"), [("zeros", 0), ("ones", 1), (keras.initializers.Constant(0.3), 0.3)])
def test_constants(initializer, value):
    layer = UnsharedConv2D(2, 3, kernel_initializer=initializer, bias_initializer=initializer)
    layer.build((None, 5, 5, 4))
    for weight in layer.weights:
        np.testing.assert_allclose(to_numpy(weight), value, rtol=1e-6)


def test_a_constant_array_is_the_whole_kernel_or_one_site():
    whole, site = np.arange(9 * 9 * 2.0).reshape(3, 3, 9, 2), np.arange(18.0).reshape(3, 3, 1, 2)
    for array, want in [(whole, whole), (site, np.broadcast_to(site.reshape(9, 2), whole.shape))]:
        layer = UnsharedConv2D(2, 3, kernel_initializer=keras.initializers.Constant(array))
        layer.build((None, 5, 5, 1))
        np.testing.assert_array_equal(to_numpy(layer.kernel), want)


def test_without_sites_the_initializer_is_kept():
    initializer = keras.initializers.HeNormal(seed=2)
    assert per_site(initializer, (), (3, 3, 2, 4)) is initializer
    layer = DilatedConv2D(4, 3, kernel_initializer=initializer)
    layer.build((None, 5, 5, 2))
    np.testing.assert_array_equal(to_numpy(layer.kernel), to_numpy(initializer((3, 3, 2, 4), dtype="float32")))
