"""Costs: the textbook's figures, and counts made in another way."""

import doctest

import keras
import numpy as np
import pytest

import layers.analysis.cost
from layer_checks import keras_copies, tensorflow_only
from layers.analysis.cost import costs
from layers.convolutional.deformable_conv import DeformableConv2D
from layers.convolutional.dilated_conv import DilatedConv2D
from layers.convolutional.filter_bank import FilterBank2D
from layers.convolutional.tiled_conv import TiledConv2D
from layers.convolutional.unshared_conv import UnsharedConv2D
from layers.pooling.gem_pooling import GeMPooling2D

pytestmark = keras_copies
K = keras.layers


def test_examples_run():
    result = doctest.testmod(layers.analysis.cost)
    assert result.attempted >= 2
    assert not result.failed


def one(layer, shape=(32, 32, 3), **arguments):
    return costs(keras.Sequential([keras.Input(shape), layer]), **arguments).layers[-1]


def test_textbook_convolution():
    row = one(K.Conv2D(6, 5, name="c1"))
    assert (row.name, row.layer_type, row.output_shape) == ("c1", "Conv2D", (28, 28, 6))
    assert (row.parameters, row.trainable, row.non_trainable) == (456, 456, 0)
    assert row.multiply_adds == 28 * 28 * 6 * 75
    assert (row.activation_bytes, row.weight_bytes) == (28 * 28 * 6 * 4, 456 * 4)


@pytest.mark.parametrize(
    ("layer", "multiply_adds"),
    [
        (K.Conv2D(6, 5, strides=2, padding="same"), 16 * 16 * 6 * 75),
        (K.Conv2D(6, 5, groups=3), 28 * 28 * 6 * 25),
        (DilatedConv2D(6, 5, groups=3, dilation_rate=2), 24 * 24 * 6 * 25),
        (UnsharedConv2D(6, 5), 28 * 28 * 6 * 75),
        (TiledConv2D(6, 5, tile_shape=3), 28 * 28 * 6 * 75),
        (DeformableConv2D(6, 5), 28 * 28 * (6 * 75 + 3 * 25 * 75)),
        (FilterBank2D(["sobel_x", "sobel_y"]), 32 * 32 * 6 * 9),
        (GeMPooling2D(), 0),
        (K.DepthwiseConv2D(5, depth_multiplier=2), 28 * 28 * 6 * 25),
        (K.SeparableConv2D(7, 5, depth_multiplier=2), 28 * 28 * (6 * 25 + 6 * 7)),
        (K.Conv2DTranspose(6, 5, 2), 32 * 32 * 75 * 6),
        (K.Dense(7), 32 * 32 * 3 * 7),
        (K.MaxPooling2D(), 0),
        (K.BatchNormalization(), 0),
        (K.PReLU(), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else "",
)
def test_multiply_adds(layer, multiply_adds):
    row = one(layer)
    assert row.multiply_adds == multiply_adds
    assert row.parameters == layer.count_params()


def test_multiply_adds_are_the_ones_that_run():
    """Of a valid convolution of ones by ones the outputs add up to the multiply-adds."""
    for layer in (K.Conv2D(4, 3, 2, groups=2), DilatedConv2D(4, (2, 3), 2, dilation_rate=2), UnsharedConv2D(2, 3)):
        row = one(layer, (9, 10, 2))
        layer.set_weights([np.ones(w.shape) if "kernel" in w.path else np.zeros(w.shape) for w in layer.weights])
        outputs = keras.ops.convert_to_numpy(layer(np.ones((1, 9, 10, 2), "float32")))
        assert outputs.sum() == row.multiply_adds


def test_totals_and_shared_layers():
    shared = K.Conv2D(3, 3, padding="same", name="shared")
    inner = keras.Sequential([keras.Input((8, 8, 3)), shared, K.BatchNormalization(name="norm")], name="inner")
    images = keras.Input((8, 8, 3), name="images")
    model = keras.Model(images, keras.ops.relu(inner(shared(images))))
    found = costs(model)
    names = ["images", "shared", "inner/shared", "inner/norm"]
    assert [row.name for row in found.layers][:4] == names
    rows = dict(zip(names, found.layers, strict=False))
    assert rows["shared"].parameters == 84
    assert rows["inner/shared"].parameters == 0
    assert rows["inner/shared"].multiply_adds == rows["shared"].multiply_adds == 8 * 8 * 3 * 27
    assert (rows["inner/norm"].trainable, rows["inner/norm"].non_trainable) == (6, 6)
    assert found.total.parameters == model.count_params()
    assert found.total.multiply_adds == 2 * 8 * 8 * 3 * 27
    assert found.total.activation_bytes == 5 * 8 * 8 * 3 * 4
    assert found.total.output_shape == (8, 8, 3)


def test_frozen_layers_do_not_train():
    layer = K.Conv2D(6, 5)
    layer.trainable = False
    assert (one(layer).trainable, one(layer).non_trainable) == (0, 456)


def test_memory_follows_the_dtype():
    row = one(K.Conv2D(6, 5, dtype="mixed_bfloat16"))
    assert (row.activation_bytes, row.weight_bytes) == (28 * 28 * 6 * 2, 456 * 4)
    pixels = keras.Model(image := keras.Input((4, 4, 3), dtype="uint8"), K.Rescaling(2.0)(image))
    assert [row.activation_bytes for row in costs(pixels).layers] == [48, 192]


@tensorflow_only  # the same graph, several times slower to build on JAX
def test_published_networks():
    vgg = costs(keras.applications.VGG16(weights=None)).total
    assert vgg.parameters == 138_357_544
    assert vgg.multiply_adds == 15_470_264_320  # 15.5 G in Sze et al. 2017, table II
    mobile = costs(keras.applications.MobileNet(weights=None)).total
    assert round(mobile.multiply_adds / 1e6) == 569  # Howard et al. 2017, table 4


def test_channels_first_and_unknown_sizes():
    first = one(DilatedConv2D(6, 5, data_format="channels_first"), (3, 32, 30))
    assert first.multiply_adds == 28 * 26 * 6 * 75
    assert one(K.Conv2D(6, 5), (None, None, 3), input_sizes=(32, 32)).multiply_adds == 28 * 28 * 6 * 75
    with pytest.raises(ValueError, match="pass `input_sizes`"):
        one(K.Conv2D(6, 5), (None, None, 3))


def test_refuses_weights_of_unknown_use():
    class Scale(K.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],))

        def call(self, inputs):
            return inputs * self.scale

    with pytest.raises(ValueError, match=r"'twice' \(Scale\) are not known.*`multiply_adds=\{Scale: function\}`"):
        one(Scale(name="twice"))
    row = one(Scale(), multiply_adds={Scale: lambda layer, before, after: layer.scale.shape[0] * before[0] * after[1]})
    assert row.multiply_adds == 32 * 32 * 3
    images = keras.Input((4, 4))
    with pytest.raises(ValueError, match="Matmul"):
        costs(keras.Model(images, keras.ops.matmul(images, images)))
