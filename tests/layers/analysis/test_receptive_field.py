"""Receptive fields, held against the inputs on which the gradient of a unit is not zero."""

import doctest
import itertools
from fractions import Fraction

import keras
import numpy as np
import pytest
from hypothesis import strategies as st

import layers.analysis.dilation_check
import layers.analysis.model_graph
import layers.analysis.receptive_field
from layer_checks import BACKEND, given, keras_copies, tensorflow_only
from layers.analysis.dilation_check import check_dilation_rates
from layers.analysis.receptive_field import AxisField, receptive_fields, unit_support
from layers.convolutional.deformable_conv import DeformableConv2D
from layers.convolutional.dilated_conv import DilatedConv1D, DilatedConv2D
from layers.convolutional.filter_bank import FilterBank2D
from layers.convolutional.tiled_conv import TiledConv2D
from layers.convolutional.unshared_conv import UnsharedConv2D
from layers.core.geometry import ConvGeometry
from layers.normalization.local_contrast import (
    DivisiveNormalization2D,
    LocalContrastNormalization2D,
    SubtractiveNormalization2D,
)
from layers.normalization.local_response import LocalResponseNormalization
from layers.pooling.adaptive_pooling import AdaptiveMaxPooling2D
from layers.pooling.channel_pooling import Maxout
from layers.pooling.gem_pooling import GeMPooling2D, GlobalGeMPooling2D
from layers.pooling.lp_pooling import L2Pooling2D
from layers.pooling.pyramid_pooling import SpatialPyramidPooling2D

pytestmark = keras_copies
K = keras.layers


@pytest.mark.parametrize(
    "module",
    [layers.analysis.model_graph, layers.analysis.dilation_check, layers.analysis.receptive_field],
    ids=lambda m: m.__name__,
)
def test_examples_run(module):
    result = doctest.testmod(module)
    assert result.attempted >= 2
    assert not result.failed


# === The truth ===


def sensitivity(model, x):
    """Return a function from an output cotangent to the magnitude of the gradient by the pixels of `x`."""
    if BACKEND == "jax":
        import jax

        by_x = jax.jit(jax.grad(lambda x, c: keras.ops.sum(model(x, training=False) * c)))
        return lambda cotangent: np.abs(np.asarray(by_x(x, cotangent)))[0].sum(-1)
    import tensorflow as tf

    def gradient(cotangent):
        pixels = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            loss = tf.reduce_sum(model(pixels, training=False) * cotangent)
        return np.abs(tape.gradient(loss, pixels, unconnected_gradients="zero").numpy())[0].sum(-1)

    return gradient


def true_support(model, position, gradient):
    """Return the smallest box that holds all pixels on which the gradient of a unit is not zero."""
    cotangent = np.zeros((1, *model.output_shape[1:]), "float32")
    cotangent[(0, *position)] = 1
    seen = np.nonzero(gradient(cotangent))
    return tuple(slice(int(axis.min()), int(axis.max()) + 1) if axis.size else slice(0, 0) for axis in seen)


def positive(model):
    """Give the model positive weights, so that nothing cancels, and return it."""
    random = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(random.uniform(0.5, 1.0, weight.shape))
    return model


# === Random networks ===

SMALL = st.integers(1, 3)
PAIR = st.tuples(SMALL, SMALL)
# The gradient of a 1 x 1 convolution with unequal strides overwrites foreign memory in TensorFlow 2.21 with oneDNN.
KERNELS = st.tuples(PAIR, PAIR).filter(lambda drawn: drawn[0] != (1, 1) or drawn[1][0] == drawn[1][1])
PADDING = st.sampled_from(["valid", "same"])
MODES = st.sampled_from(["constant", "reflect", "symmetric", "edge", "wrap"])
OURS_PADDING = st.sampled_from(["valid", "same", "full", "causal", ((0, 2), (1, 0))])


@st.composite
def windows(draw):
    """Draw what makes a convolution or a pooling, of any kind."""
    (kernel, strides), dilation, padding = draw(KERNELS), draw(PAIR), draw(PADDING)
    ours = {"padding": draw(OURS_PADDING), "padding_mode": draw(MODES), "strides": strides, "dilation_rate": dilation}
    kinds = [
        lambda: K.Conv2D(2, kernel, padding=padding, dilation_rate=dilation),
        lambda: K.Conv2D(2, kernel, padding=padding, strides=strides),
        lambda: K.DepthwiseConv2D(kernel, padding=padding, strides=strides[0]),
        lambda: K.SeparableConv2D(2, kernel, padding=padding, strides=strides[0]),
        lambda: DilatedConv2D(2, kernel, **ours),
        lambda: UnsharedConv2D(2, kernel, **ours),
        lambda: TiledConv2D(2, kernel, **ours),
        lambda: K.AveragePooling2D(kernel, strides, padding),
        lambda: L2Pooling2D(kernel, strides, padding),
    ]
    return draw(st.sampled_from(kinds))


@st.composite
def others(draw):
    """Draw what makes a layer that pads, cuts, spreads or changes nothing."""
    kernel, factor, padding = draw(PAIR), draw(PAIR), draw(PADDING)
    edges = draw(st.tuples(st.tuples(*[st.integers(0, 2)] * 2), st.tuples(*[st.integers(0, 2)] * 2)))
    kinds = [
        lambda: K.Conv2DTranspose(2, [k + f - 1 for k, f in zip(kernel, factor, strict=True)], factor, padding),
        lambda: K.UpSampling2D(factor),
        lambda: K.UpSampling2D(factor, interpolation="bilinear"),
        lambda: K.ZeroPadding2D(edges),
        lambda: K.Cropping2D(edges),
        lambda: K.BatchNormalization(),
        lambda: K.Dense(2, activation="relu"),
        lambda: K.Dropout(0.5),
    ]
    return draw(st.sampled_from(kinds))


@st.composite
def plans(draw, *kinds_of_steps):
    """Draw a network of two to four steps, each one layer or two branches that meet."""
    steps = st.one_of(*kinds_of_steps)
    kinds = st.sampled_from(["one", "one", "add", "concatenate", "attend"])
    sizes = draw(st.tuples(st.integers(5, 12), st.integers(5, 12)))
    return sizes, draw(st.lists(st.tuples(kinds, steps, st.none() | steps), min_size=2, max_size=4))


def build(plan):
    """Build a network as drawn, as far as its images are large enough."""
    sizes, steps = plan
    x = images = keras.Input((*sizes, 2))
    for kind, one, other in steps:
        left = after(one, x)
        right = x if other is None else after(other, x)
        if kind == "attend":
            left = K.Add()([left, K.GlobalAveragePooling2D(keepdims=True)(left)])
        elif kind != "one" and left.shape[1:-1] == right.shape[1:-1] and jumps(images, left) == jumps(images, right):
            meet = kind == "add" and left.shape == right.shape
            left = keras.ops.add(left, right) if meet else K.Concatenate()([left, right])
        x = left if max(left.shape[1:-1]) <= 40 else x
    return positive(keras.Model(images, K.Identity()(x)))


def after(make, x):
    try:
        return make()(x)
    except ValueError:  # the window or the cropping is larger than the image
        return x


def jumps(images, x):
    field = receptive_fields(keras.Model(images, x))[-1] if x is not images else None
    return (1, 1) if field is None else field.axes and tuple(axis.jump for axis in field.axes)


@given(plans(windows(), others()), st.data())
def test_units_see_what_their_gradient_depends_on(plan, data):
    model = build(plan)
    x = np.random.default_rng(1).uniform(1, 2, (1, *model.input_shape[1:])).astype("float32")
    gradient = sensitivity(model, x)
    field = receptive_fields(model)[-1]
    assert field.output_sizes == model.output_shape[1:-1]
    for _ in range(4):
        position = tuple(data.draw(st.integers(0, n - 1)) for n in field.output_sizes)
        support = true_support(model, position, gradient)
        assert unit_support(model, field.name, position) == support
        if field.axes is not None and support[0] != slice(0, 0) and not repeats_pixels(model):
            for axis, j, seen in zip(field.axes, position, support, strict=True):
                first, last = axis.window(j)
                assert first <= seen.start
                assert seen.stop - 1 <= last


def repeats_pixels(model):
    return any(getattr(layer, "padding_mode", "constant") != "constant" for layer in model.layers)


@st.composite
def unpadded(draw):
    (kernel, strides), dilation = draw(KERNELS), draw(PAIR)
    kinds = [
        lambda: DilatedConv2D(2, kernel, strides, dilation_rate=dilation),
        lambda: K.AveragePooling2D(kernel, strides),
        lambda: K.ReLU(),
    ]
    return draw(st.sampled_from(kinds))


@given(plans(unpadded()), st.data())
def test_the_field_is_exact_where_nothing_is_padded(plan, data):
    model = build(plan)
    x = np.random.default_rng(1).uniform(1, 2, (1, *model.input_shape[1:])).astype("float32")
    field = receptive_fields(model)[-1]
    if field.axes is not None:
        position = tuple(data.draw(st.integers(0, n - 1)) for n in field.output_sizes)
        windows = [axis.window(j) for axis, j in zip(field.axes, position, strict=True)]
        support = true_support(model, position, sensitivity(model, x))
        assert windows == [(seen.start, seen.stop - 1) for seen in support]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"])
@pytest.mark.parametrize("factor", [2, 3])
def test_upsampling_of_every_kind(interpolation, factor):
    layer = K.UpSampling2D(factor, interpolation=interpolation, name="up")
    model = keras.Sequential([keras.Input((15, 15, 1)), K.AveragePooling2D(1), layer])
    gradient = sensitivity(model, np.ones((1, 15, 15, 1), "float32"))
    for j in range(7 * factor, 8 * factor):
        support, truth = unit_support(model, "up", (j, j)), true_support(model, (j, j), gradient)
        for claimed, seen in zip(support, truth, strict=True):
            # The cubic kernels are zero at whole distances, which odd factors reach.
            assert claimed.start <= seen.start
            assert claimed.stop >= seen.stop
        if interpolation in ("nearest", "bilinear") or factor == 2:
            assert support == truth


# Not all that Keras takes: TensorFlow 2.21 computes some wrongly or not at all, such as 2, 2, "same", 0.
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("kernel", "stride", "output_padding"),
    [(2, 2, None), (3, 2, None), (4, 2, None), (5, 3, None), (3, 3, None), (3, 2, 0), (3, 2, 1), (5, 3, 2), (5, 2, 1)],
)
def test_transposed_convolutions(kernel, stride, padding, output_padding):
    layer = K.Conv1DTranspose(1, kernel, stride, padding, output_padding, name="up")
    model = positive(keras.Sequential([keras.Input((6, 1)), layer]))
    gradient = sensitivity(model, np.ones((1, 6, 1), "float32"))
    for j in range(model.output_shape[1]):
        assert unit_support(model, "up", (j,)) == true_support(model, (j,), gradient)


def test_max_pooling_sees_its_window():
    model = positive(keras.Sequential([keras.Input((9, 9, 1)), K.Conv2D(1, 3), K.MaxPooling2D(3, 2, name="pool")]))
    support = unit_support(model, "pool", (1, 2))
    assert support == (slice(2, 7), slice(4, 9))
    corners = [(2, 4), (2, 8), (6, 4), (6, 8)]
    for corner in corners:  # make each the brightest in turn
        x = np.zeros((1, 9, 9, 1), "float32")
        x[(0, *corner)] = 1
        cotangent = np.zeros((1, 3, 3, 1), "float32")
        cotangent[0, 1, 2] = 1
        rows, columns = np.nonzero(sensitivity(model, x)(cotangent))
        assert corner in list(zip(rows, columns, strict=True))
        assert {rows.min() >= 2, rows.max() <= 6, columns.min() >= 4, columns.max() <= 8} == {True}


# === Published networks and known figures ===


def axis_of(model, layer=-1, **arguments):
    rows = receptive_fields(model, **arguments)
    row = rows[layer] if isinstance(layer, int) else next(row for row in rows if row.name == layer)
    return row.axes[0]


@tensorflow_only  # the same graph, several times slower to build on JAX
def test_published_networks():
    # Araujo, Norris and Sim, 2019: size 212, jump 32 and padding 90; 315 and 32; 483 and 32.
    vgg = keras.applications.VGG16(include_top=False, weights=None, input_shape=(224, 224, 3))
    assert axis_of(vgg) == AxisField(212, 32, -90)
    mobile = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(224, 224, 3))
    # Keras pads the strided ones after the image alone, which moves the field but changes neither size nor jump.
    assert (axis_of(mobile).size, axis_of(mobile).jump) == (315, 32)
    residual = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(224, 224, 3))
    assert (axis_of(residual).size, axis_of(residual).jump) == (483, 32)


def test_sizes_decide_where_same_padding_falls():
    model = keras.Sequential([keras.Input((None, None, 3)), K.Conv2D(4, 3, 2, "same", name="conv")])
    assert axis_of(model, input_sizes=(8, 8)) == AxisField(3, 2, 0)
    assert axis_of(model, input_sizes=(9, 9)) == AxisField(3, 2, -1)
    with pytest.raises(ValueError, match=r"'same' of layer 'conv' \(Conv2D\).*`input_sizes`"):
        receptive_fields(model)
    with pytest.raises(ValueError, match=r"must hold one size >= 1.*\(8,\)"):
        receptive_fields(model, input_sizes=(8,))
    fixed = keras.Sequential([keras.Input((8, 8, 3)), K.Conv2D(4, 3)])
    with pytest.raises(ValueError, match="does not take inputs of these shapes"):
        receptive_fields(fixed, input_sizes=(9, 9))


def test_channels_first_and_ranks():
    first = keras.Sequential(
        [keras.Input((3, 9, 12)), DilatedConv2D(4, 3, (1, 2), "same", data_format="channels_first", name="conv")]
    )
    assert receptive_fields(first)[-1].axes == (AxisField(3, 1, -1), AxisField(3, 2, 0))
    assert receptive_fields(first)[-1].output_sizes == (9, 6)
    sequence = keras.Sequential([keras.Input((9, 2)), DilatedConv1D(4, 3, dilation_rate=2, padding="causal")])
    assert axis_of(sequence) == AxisField(5, 1, -4)
    volume = keras.Sequential([keras.Input((9, 9, 9, 2)), K.Conv3D(4, 3), K.MaxPooling3D(2), K.Cropping3D(1)])
    assert receptive_fields(volume)[-1].axes == (AxisField(4, 2, 2),) * 3
    mixed = keras.Sequential([keras.Input((9, 9, 9)), DilatedConv2D(4, 3, data_format="channels_first")])
    mixed.add(DilatedConv2D(4, 3, data_format="channels_last"))
    with pytest.raises(ValueError, match="one `data_format`"):
        receptive_fields(mixed)


def test_upsampling_makes_fractions():
    model = keras.Sequential([keras.Input((8, 8, 1)), K.UpSampling2D(2), K.Conv2D(1, 3, name="conv")])
    assert axis_of(model) == AxisField(Fraction(5, 2), Fraction(1, 2), Fraction(-1, 2))
    assert [axis_of(model).window(j) for j in range(3)] == [(0, 1), (0, 1), (1, 2)]


def test_whole_input():
    images = keras.Input((9, 9, 2), name="images")
    x = K.Conv2D(3, 3, strides=3, name="conv")(K.Cropping2D(((0, 2), (0, 0)))(images))
    x = K.Reshape((3, 3, 1), name="map")(K.Dense(9)(K.Flatten(name="flat")(x)))
    model = keras.Model(images, x)
    assert [row.axes is None for row in receptive_fields(model)][-4:] == [False, True, True, True]
    # What no window reads is not seen by what sees everything.
    assert unit_support(model, "map", (1, 2)) == (slice(0, 6), slice(0, 9))
    assert unit_support(model, "flat", ()) == (slice(0, 6), slice(0, 9))
    over_positions = keras.Sequential([keras.Input((4, 4, 2)), K.LayerNormalization(axis=(1, 2, 3))])
    assert receptive_fields(over_positions)[-1].axes is None
    over_channels = keras.Sequential([keras.Input((4, 4, 2)), K.LayerNormalization()])
    assert axis_of(over_channels) == AxisField(1, 1, 0)


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (SubtractiveNormalization2D(5), 5),
        (DivisiveNormalization2D(5, floor=0.1), 5),
        (LocalContrastNormalization2D(5, floor=0.1), 9),
        (LocalContrastNormalization2D(5), None),
        (LocalResponseNormalization(), 1),
        (Maxout(2), 1),
        (FilterBank2D(["gaussian_blur"]), 5),
        (GeMPooling2D(2), 2),
        (GlobalGeMPooling2D(), None),
        (AdaptiveMaxPooling2D(2), None),
        (SpatialPyramidPooling2D((1, 2)), None),
        (DeformableConv2D(2, 3), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else "",
)
def test_the_other_layers(layer, size):
    model = keras.Sequential([keras.Input((16, 16, 2)), layer])
    field = receptive_fields(model)[-1]
    assert (field.axes is None) == (size is None)
    if field.axes is not None:
        x = np.random.default_rng(0).uniform(1, 2, (1, 16, 16, 2)).astype("float32")
        position = tuple(n // 2 for n in field.output_sizes)
        assert field.axes[0].size == size
        assert unit_support(model, layer.name, position) == true_support(model, (*position, 0), sensitivity(model, x))


def test_nested_and_shared_layers_have_names():
    block = keras.Sequential([K.Conv2D(3, 3, padding="same", name="conv"), K.ReLU(name="relu")], name="block")
    images = keras.Input((None, None, 3), name="images")
    outer = keras.Model(images, block(block(images)), name="outer")
    model = keras.Sequential([keras.Input((8, 8, 3)), outer])
    rows = receptive_fields(model)
    names = ["outer/block/conv", "outer/block/relu", "outer/block#2/conv", "outer/block#2/relu"]
    assert [row.name for row in rows[1:]] == names
    assert [row.axes[0].size for row in rows[1:]] == [3, 3, 5, 5]
    assert rows[-1].output_sizes == (8, 8)
    assert unit_support(model, "outer/block/relu", (4, 0)) == (slice(3, 6), slice(0, 2))


def test_several_inputs_and_outputs():
    left, right = keras.Input((8, 8, 1), name="left"), keras.Input((8, 8, 1), name="right")
    both = K.Add(name="both")([K.Conv2D(1, 3, padding="same")(left), K.Conv2D(1, (1, 5), padding="same")(right)])
    model = keras.Model(
        {"left": left, "right": right}, {"both": both, "pool": K.AveragePooling2D(2, name="pool")(both)}
    )
    fields = {row.name: row for row in receptive_fields(model)}
    assert fields["both"].axes == (AxisField(3, 1, -1), AxisField(5, 1, -2))
    assert unit_support(model, "pool", (1, 1)) == (slice(1, 5), slice(0, 6))


# === Refusals ===


def test_refuses_what_it_cannot_know():
    images = keras.Input((8, 8, 1))
    x = K.Conv2D(1, 3, padding="same", name="plain")(images)
    small = K.MaxPooling2D(2, 1, "same", name="small")(K.Conv2D(1, 3, 2, "same", name="strided")(images))
    crossed = keras.Model(images, K.Add(name="sum")([K.Cropping2D(2)(x), small]))
    with pytest.raises(ValueError, match=r"one `jump`.* 'sum' 1 from 'cropping2d.* 2 from 'small'"):
        receptive_fields(crossed)
    spliced = keras.Model(images, K.Concatenate(axis=1)([x, x]))
    with pytest.raises(ValueError, match="must join channels"):
        receptive_fields(spliced)
    lambdas = keras.Model(images, K.Lambda(lambda t: t, name="what")(x))
    with pytest.raises(
        ValueError, match=r"window of layer 'what' \(Lambda\) is not known. Pass `geometries=\{Lambda: "
    ):
        receptive_fields(lambdas)
    assert axis_of(lambdas, geometries={K.Lambda: ConvGeometry((1, 1))}) == AxisField(3, 1, -1)
    with pytest.raises(ValueError, match="other models have no graph"):
        receptive_fields(keras.Sequential([K.Conv2D(1, 3)]))
    with pytest.raises(ValueError, match="other models have no graph"):
        receptive_fields(K.Conv2D(1, 3))


def test_refuses_units_that_do_not_exist():
    model = keras.Sequential([keras.Input((8, 8, 1)), K.Conv2D(1, 3, name="conv")])
    with pytest.raises(ValueError, match=r"`layer` must be one of .*conv\. Received: layer='cov'"):
        unit_support(model, "cov", (0, 0))
    for position in ((6, 0), (0, -1), (0,)):
        with pytest.raises(ValueError, match=r"one index for each axis .*\(6, 6\)"):
            unit_support(model, "conv", position)
    unknown = keras.Sequential([keras.Input((None, None, 1)), K.Conv2D(1, 3, name="conv")])
    with pytest.raises(ValueError, match="must be known: pass `input_sizes`"):
        unit_support(unknown, "conv", (0, 0))


# === Gridding ===


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 4))
def test_gridding_agrees_with_all_sums(rates, kernel_size):
    seen = {0}
    for rate in rates:
        seen = {offset + rate * tap for offset in seen for tap in range(kernel_size)}
    check = check_dilation_rates(rates, kernel_size=kernel_size)
    assert (check.reached, check.extent) == (len(seen), max(seen) + 1)
    ordered = sorted(seen)
    gaps = [b - a - 1 for a, b in itertools.pairwise(ordered)]
    assert check.largest_gap == max(gaps, default=0)
    assert check.ok == (not any(gaps))
    # What the published rule promises: behind a first rate of 1 there are no holes.
    if rates[0] == 1 and kernel_size == 3 and len(rates) > 1 and check.published_rule:
        assert check.ok


def test_gridding_as_published():
    # Wang et al. 2018, section 3.2: [1, 2, 5] has M_2 = 2, [1, 2, 9] has M_2 = 5.
    good, bad, grid = (check_dilation_rates(rates) for rates in ([1, 2, 5], [1, 2, 9], [2, 2, 2]))
    assert (good.ok, good.published_rule, good.distances[1]) == (True, True, 2)
    assert (bad.ok, bad.published_rule, bad.distances[1]) == (False, False, 5)
    assert (grid.ok, grid.published_rule, grid.common_divisor) == (False, True, 2)
    assert (grid.reached, grid.extent, grid.largest_gap) == (7, 13, 1)


@pytest.mark.parametrize("rates", [[], 3, [1, 0], "12", [1, 2.5]])
def test_gridding_refuses_wrong_rates(rates):
    with pytest.raises(ValueError, match="`rates` must be"):
        check_dilation_rates(rates)
