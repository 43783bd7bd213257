from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from keras import layers as L

import layers
from layers.fully_convolutional.convolutionalize import certify, convolutionalize, scan_size, window_stride
from profiles import examples

BACKEND = keras.backend.backend()
# JAX compiles every operation anew for every shape.
given = hypothesis.settings(max_examples=examples(30 if BACKEND == "tensorflow" else 3, ci=5), deadline=None)
TOLERANCE = 1e-4  # of the largest magnitude


def randomize(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give every weight a random value that is legal for it."""
    dice = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name == "p":
            values = dice.uniform(1, 4, weight.shape)
        elif "variance" in weight.name:
            values = dice.uniform(0.3, 2, weight.shape)
        else:
            values = dice.normal(0, 0.5, weight.shape)
        weight.assign(values.astype(weight.dtype))
    return model


def run(model: keras.Model, x: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(y) for y in keras.tree.flatten(model.predict_on_batch(x))]


def check(model: keras.Model, *strides: Any, more: tuple[int, int] | None = None, images: int = 2) -> None:
    """Hold the dense model of each stride against the model on all windows."""
    height, width, channels = model.inputs[0].shape[1:]
    own = window_stride(model)
    more = more or (own[0] + 2, own[1] + 1)
    x = np.random.default_rng(7).normal(size=(images, height + more[0], width + more[1], channels)).astype("float32")
    windows = np.lib.stride_tricks.sliding_window_view(x, (height, width), (1, 2)).transpose(0, 1, 2, 4, 5, 3)
    places = windows.shape[:3]
    expected = run(model, np.ascontiguousarray(windows).reshape(-1, height, width, channels))
    for stride in strides:
        rows, columns = (stride or own) if not isinstance(stride, int) else (stride, stride)
        actual = run(convolutionalize(model, stride), x)
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected, strict=True):
            e = e.reshape(*places, -1)[:, ::rows, ::columns]
            assert a.shape == e.shape
            assert np.abs(a - e).max() <= TOLERANCE * np.abs(e).max()


def classifier(*inside: Any, size: tuple[int, ...] = (9, 8, 2)) -> keras.Model:
    return randomize(keras.Sequential([keras.Input(size), *inside]))


# === Random classifiers ===

POINTWISE = [
    lambda: L.BatchNormalization(),
    lambda: layers.FusedBatchNormalization(),
    lambda: L.LayerNormalization(),
    lambda: L.UnitNormalization(),
    lambda: layers.LocalResponseNormalization(alpha=0.5),
    lambda: L.Activation("tanh"),
    lambda: L.Activation("softmax"),
    lambda: L.LeakyReLU(),
    lambda: L.PReLU(shared_axes=[1, 2]),
    lambda: L.Softmax(),
    lambda: L.Dropout(0.5),
    lambda: L.SpatialDropout2D(0.5),
    lambda: L.Rescaling(2.0, 0.5),
    lambda: L.Rescaling([2.0] * 4),
    lambda: L.Dense(4),
]
POOLINGS = [
    L.MaxPooling2D,
    L.AveragePooling2D,
    layers.L2Pooling2D,
    layers.GeMPooling2D,
    lambda *a, **k: layers.LpPooling2D(*a, p=3, **k),
    lambda *a, **k: layers.WeightedAveragePooling2D(*a, **k),
    lambda *a, **k: layers.WeightedLpPooling2D(*a, p=2, **k),
]
CONVOLUTIONS = [
    lambda k, s, d: L.Conv2D(4, k, s, activation="relu"),
    lambda k, s, d: L.Conv2D(4, k, dilation_rate=d),
    lambda k, s, d: L.Conv2D(4, k, s, groups=2),
    lambda k, s, d: L.DepthwiseConv2D(k, (max(s), max(s)), activation="tanh"),
    lambda k, s, d: L.SeparableConv2D(4, k, (max(s), max(s))),
    lambda k, s, d: layers.DilatedConv2D(4, k, s, dilation_rate=d, flip_kernel=True),
    lambda k, s, d: layers.FourierConv2D(4, k, s),
]
JOINS = [L.Add, L.Subtract, L.Multiply, L.Maximum, L.Minimum, L.Average]
HEADS = [
    L.Flatten,
    lambda: L.Reshape((-1,)),
    L.GlobalAveragePooling2D,
    L.GlobalMaxPooling2D,
    lambda: L.GlobalMaxPooling2D(keepdims=True),
    lambda: layers.GlobalGeMPooling2D(per_channel=True),
    lambda: layers.AdaptiveAveragePooling2D(1),
    lambda: layers.AdaptiveMaxPooling2D(1),
    lambda: layers.AdaptiveLpPooling2D(1),
]
TAILS = [
    lambda: [L.Dense(3)],
    lambda: [L.Dropout(0.5), L.ReLU(), L.Dense(5, activation="relu"), L.Dense(3, activation="softmax")],
    lambda: [L.BatchNormalization(), L.Dense(2), L.LayerNormalization()],
    lambda: [L.Dense(4, use_bias=False), L.PReLU(), layers.Maxout(2), L.Softmax()],
]


def pairs(draw: st.DrawFn, largest: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(draw(st.integers(1, max(1, n))) for n in largest)


def draw_block(draw: st.DrawFn, x: Any) -> Any:
    """Return the output of a random layer, or of a few, for a map of four channels."""
    sizes = x.shape[1:3]
    kernel = pairs(draw, tuple(min(4, n) for n in sizes))
    strides = pairs(draw, (2, 3))
    dilation = tuple(2 if 2 * (k - 1) < n and draw(st.booleans()) else 1 for k, n in zip(kernel, sizes, strict=True))
    strides = (1, 1) if max(dilation) > 1 else strides
    kind = draw(st.sampled_from(["convolution", "pooling", "pooling", "pointwise", "residual", "branches", "nested"]))
    if kind == "pooling":
        return draw(st.sampled_from(POOLINGS))(kernel, strides=draw(st.sampled_from([strides, (2, 2)])))(x)
    if kind == "pointwise":
        return draw(st.sampled_from(POINTWISE))()(x)
    convolution = draw(st.sampled_from(CONVOLUTIONS))
    if kind == "convolution":
        return convolution(kernel, strides, dilation)(x)
    if kind == "residual":
        inner = L.Conv2D(4, kernel, activation="relu")(x)
        before = draw(st.tuples(*[st.integers(0, k - 1) for k in kernel]))
        cropping = [(b, k - 1 - b) for b, k in zip(before, kernel, strict=True)]
        skipped = L.Cropping2D(cropping)(x)
        return inner + skipped if draw(st.booleans()) else draw(st.sampled_from(JOINS))()([inner, skipped])
    if kind == "branches":
        both = [L.Conv2D(2, kernel, strides)(x), draw(st.sampled_from(POOLINGS))(kernel, strides=strides)(x)]
        return L.Conv2D(4, 1)(L.Concatenate()(both))
    shared = keras.Sequential([L.Conv2D(4, 1, activation="tanh"), L.BatchNormalization()])
    return shared(shared(x))


def draw_classifier(draw: st.DrawFn) -> keras.Model:
    """Return a random classifier; for a test's body, since Keras draws random numbers that no strategy may."""
    image = keras.Input((*pairs_between(draw, 9, 19), draw(st.integers(1, 3))))
    x = L.Conv2D(4, draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2])))(image)
    early = x
    for _ in range(draw(st.integers(1, 4))):
        x = draw_block(draw, x)
    vector = draw(st.sampled_from(HEADS))()(x)
    answer = vector
    for layer in draw(st.sampled_from(TAILS))():
        answer = layer(answer)
    outputs: Any = answer
    second = draw(st.sampled_from(["none", "none", "list", "dictionary", "two scales"]))
    if second == "list":
        outputs = [answer, L.Dense(4)(L.Flatten()(x))]
    elif second == "dictionary":
        outputs = {"score": answer, "early": L.GlobalAveragePooling2D()(early)}
    elif second == "two scales":
        outputs = L.Dense(2)(L.Concatenate()([L.GlobalMaxPooling2D()(early), L.Flatten()(vector)]))
    return randomize(keras.Model(image, outputs), draw(st.integers(0, 99)))


def pairs_between(draw: st.DrawFn, low: int, high: int) -> tuple[int, int]:
    return draw(st.integers(low, high)), draw(st.integers(low, high))


def divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


@given
@hypothesis.given(data=st.data())
def test_dense_equals_crops_at_the_own_stride_at_one_and_between(data: st.DataObject) -> None:
    model = draw_classifier(data.draw)
    between = tuple(data.draw(st.sampled_from(divisors(own))) for own in window_stride(model))
    check(model, None, 1, between)


@given
@hypothesis.given(
    sizes=st.tuples(st.integers(12, 17), st.integers(12, 17)),
    tile=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    kernel=st.integers(1, 3),
    times=st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_tiled_kernels_are_exact_where_their_period_divides_the_shift(
    sizes: tuple[int, int], tile: tuple[int, int], kernel: int, times: tuple[int, int]
) -> None:
    model = classifier(
        layers.TiledConv2D(3, kernel, strides=(2, 1), tile_shape=tile), L.MaxPooling2D(), L.Flatten(), L.Dense(2),
        size=(*sizes, 1),
    )  # fmt: skip
    periods = (2 * tile[0], tile[1])
    check(model, tuple(n * period for n, period in zip(times, periods, strict=True)), more=(8, 5), images=1)


# === Strides ===


@pytest.mark.parametrize(
    "strides", [[(2, 3), (3, 2)], [(3, 2), (2, 2)], [(6, 1), (1, 4)], [(4, 2), (3, 1)]], ids=str
)  # fmt: skip
def test_strides_of_different_primes_are_exact_at_any_shift(strides: list[tuple[int, int]]) -> None:
    model = classifier(
        L.Conv2D(3, 3, strides[0]), L.MaxPooling2D(2, strides[1]), L.Flatten(), L.Dense(2), size=(19, 17, 1)
    )
    own = tuple(math.prod(axis) for axis in zip(*strides, strict=True))
    assert window_stride(model) == own
    check(model, (2, 2), (3, 1), (4, 5), (own[0], 1), images=1)


def test_branches_whose_strides_come_in_another_order_meet() -> None:
    image = keras.Input((20, 20, 1))
    first = L.MaxPooling2D(2)(L.AveragePooling2D(3)(image))
    second = L.Conv2D(1, 6, strides=6)(image)
    model = randomize(keras.Model(image, L.Dense(2)(L.Flatten()(first + second))))
    check(model, None, 1, 2, 3, images=1)


@pytest.mark.parametrize("size", [32, 33, 34, 35])
def test_pooling_that_leaves_pixels_over_is_exact(size: int) -> None:
    model = classifier(
        L.Conv2D(2, 3),
        L.MaxPooling2D(),
        L.Conv2D(2, 2),
        L.MaxPooling2D(),
        L.Flatten(),
        L.Dense(2),
        size=(size, size, 1),
    )
    assert window_stride(model) == (4, 4)
    check(model, None, 1, 2, images=1)


def test_an_image_of_one_window_has_one_answer() -> None:
    model = classifier(L.Conv2D(2, 3), L.MaxPooling2D(), L.Flatten(), L.Dense(2))
    check(model, None, 1, more=(0, 0))


def test_every_image_size_has_as_many_answers_as_windows() -> None:
    model = classifier(L.Conv2D(1, 2), L.MaxPooling2D((3, 2)), L.Flatten(), L.Dense(1))
    dense = {stride: convolutionalize(model, stride) for stride in ((3, 2), (1, 1))}
    for more in ((0, 1), (1, 0), (2, 3), (3, 5)):
        image = np.zeros((1, 9 + more[0], 8 + more[1], 2), "float32")
        for stride, network in dense.items():
            assert run(network, image)[0].shape[1:3] == scan_size((9, 8), stride, image.shape[1:3])


def test_scan_size_counts_windows() -> None:
    assert scan_size((40, 100), (4, 2), (41, 101)) == (1, 1)
    assert scan_size(40, 4, (44, 39)) == (2, 0)


def test_the_own_stride_of_several_outputs_is_their_common_one() -> None:
    image = keras.Input((13, 13, 1))
    outputs = [L.Flatten()(L.MaxPooling2D(n)(image)) for n in (4, 6)]
    model = keras.Model(image, outputs)
    assert window_stride(model) == (12, 12)
    check(model, None, 2, images=1)


# === Layers and structure ===


def test_flattening_goes_by_height_then_width_then_channels() -> None:
    model = keras.Sequential([keras.Input((2, 3, 2)), L.Flatten()])
    image = np.arange(2 * 3 * 2, dtype="float32").reshape(1, 2, 3, 2)
    assert run(convolutionalize(model), image)[0].ravel().tolist() == list(range(12))


def test_reshapes_that_flatten_or_move_axes_of_one_are_exact() -> None:
    check(classifier(L.MaxPooling2D(3), L.Reshape((12,)), L.Reshape((1, 1, 12)), L.Conv2D(2, 1), L.Flatten()), None, 1)
    check(classifier(L.Flatten(), L.ReLU(), L.Reshape((9, 8, 2)), L.Conv2D(2, 3), L.GlobalMaxPooling2D()), None)


def test_vectors_are_normalized_over_all_their_features() -> None:
    norms = [L.BatchNormalization(axis=1), L.LayerNormalization(axis=1), L.Softmax(), L.Activation("softmax")]
    for layer in norms if BACKEND == "tensorflow" else norms[:2]:
        check(classifier(L.MaxPooling2D(4), L.Flatten(), layer, L.Dense(2)), None, 1)


def test_adapted_and_given_statistics_are_copied() -> None:
    adapted = L.Normalization()
    adapted.adapt(np.random.default_rng(0).normal(3, 2, (5, 9, 8, 2)).astype("float32"))
    model = keras.Sequential([keras.Input((9, 8, 2)), adapted, L.Normalization(axis=None, mean=1.0, variance=4.0)])
    check(keras.Sequential([model, L.GlobalAveragePooling2D()]), None)


def test_whole_numbers_go_in_where_the_classifier_takes_them() -> None:
    image = keras.Input((6, 6, 3), dtype="uint8")
    model = keras.Model(image, L.Flatten()(L.MaxPooling2D(2)(L.Rescaling(1 / 255)(L.Cropping2D(1)(image)))))
    dense = convolutionalize(model)
    assert dense.inputs[0].dtype == "uint8"
    x = np.random.default_rng(0).integers(0, 255, (1, 6, 6, 3), "uint8")
    np.testing.assert_array_equal(run(dense, x)[0].ravel(), run(model, x)[0].ravel())


def test_a_layer_used_twice_stays_one() -> None:
    image = keras.Input((9, 8, 2))
    shared, pooled = L.Conv2D(2, 3, padding="valid", name="shared"), L.MaxPooling2D(2)
    model = randomize(keras.Model(image, L.Flatten()(shared(pooled(shared(image))))))
    check(model, None, 1)
    assert convolutionalize(model).count_params() == model.count_params()


def test_a_strided_layer_used_twice_is_exact_at_every_stride() -> None:
    image, shared = keras.Input((15, 15, 2)), L.Conv2D(2, 3, strides=2)
    check(randomize(keras.Model(image, L.Flatten()(shared(shared(image))))), None, 1, 2)


def test_models_in_models_may_have_layers_of_one_name() -> None:
    inner = [keras.Sequential([L.Conv2D(2, 2, name="same")], name=name) for name in "ab"]
    check(classifier(*inner, L.Conv2D(2, 1, name="a_same"), L.Flatten()), None)


def test_outputs_keep_their_structure() -> None:
    image = keras.Input((4, 4, 1))
    x = L.Flatten()(image)
    outputs = {"b": L.Dense(1)(x), "a": [L.Dense(2)(x), x]}
    dense = convolutionalize(keras.Model(image, outputs))
    shapes = keras.tree.map_structure(lambda y: y.shape, dense.predict_on_batch(np.zeros((1, 5, 6, 1), "float32")))
    assert shapes == {"b": (1, 2, 3, 1), "a": [(1, 2, 3, 2), (1, 2, 3, 16)]}


def test_one_map_that_is_two_outputs_is_both() -> None:
    image = keras.Input((4, 4, 1))
    x = L.GlobalMaxPooling2D()(image)
    check(keras.Model(image, [x, x]), None)


def test_the_weights_are_copied() -> None:
    model = classifier(L.Conv2D(2, 3), L.BatchNormalization(), L.Flatten(), L.Dense(2))
    dense = convolutionalize(model)
    x = np.ones((1, 12, 12, 2), "float32")
    before = run(dense, x)[0]
    randomize(model, 5)
    np.testing.assert_array_equal(run(dense, x)[0], before)


@pytest.mark.skipif(BACKEND == "jax", reason="saving does not depend on the backend")
def test_a_dense_model_survives_saving(tmp_path: Path) -> None:
    image = keras.Input((9, 8, 2))
    x = L.MaxPooling2D(2)(image) + L.Conv2D(2, 2, strides=2)(image)
    model = randomize(keras.Model(image, L.BatchNormalization()(L.Flatten()(x))))
    dense = convolutionalize(model, 1)
    dense.save(tmp_path / "dense.keras")
    x = np.random.default_rng(0).normal(size=(2, 12, 13, 2)).astype("float32")
    np.testing.assert_array_equal(run(keras.models.load_model(tmp_path / "dense.keras"), x)[0], run(dense, x)[0])


def test_layers_that_change_training_images_at_random_are_left_out() -> None:
    check(classifier(L.RandomFlip(), L.Conv2D(2, 2), L.Flatten()), None)


def test_layers_built_to_train_do_nothing_at_inference() -> None:
    """Keras gives a model's ``training=False`` to all its layers, whatever they were called with when it was built."""
    pixels = keras.Input((8, 8, 1))
    x = L.Dropout(0.5)(L.BatchNormalization()(pixels, training=True), training=True)
    check(keras.Model(pixels, L.Dense(2)(L.Flatten()(x))), None)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="where Keras 3.15 fails to pool to one place")
def test_the_adaptive_pooling_of_keras_is_global_where_it_pools_to_one() -> None:
    check(classifier(L.AdaptiveAveragePooling2D(1), L.Dense(2), L.Flatten()), None)
    check(classifier(L.AdaptiveMaxPooling2D(1), L.Flatten()), None)


def test_padding_that_adds_nothing_is_no_padding() -> None:
    check(
        classifier(L.Conv2D(2, 1, padding="same"), L.MaxPooling2D(2, padding="same"), L.Flatten(), size=(8, 8, 1)),
        None,
        1,
    )


# === What is refused ===


@keras.saving.register_keras_serializable(package="tests")
class _Own(L.Layer):
    def call(self, x: Any) -> Any:
        return x


@keras.saving.register_keras_serializable(package="tests")
class _Changed(L.Conv2D):
    pass


def _unpooled(x: Any) -> Any:
    return x


REFUSED = {
    "same padding": (lambda name: L.Conv2D(2, 3, padding="same", name=name), "inside the window"),
    "same pooling": (lambda name: L.MaxPooling2D(2, padding="same", name=name), "inside the window"),
    "our padding": (lambda name: layers.DilatedConv2D(2, 3, padding=1, name=name), "inside the window"),
    "padding of a kernel of one": (lambda name: layers.DilatedConv2D(2, 1, padding=1, name=name), "inside the window"),
    "zero padding": (lambda name: L.ZeroPadding2D(1, name=name), "pads inside"),
    "unshared": (lambda name: layers.UnsharedConv2D(2, 3, name=name), "its own kernel"),
    "locally connected": (lambda name: layers.LocallyConnected2D(2, 3, name=name), "its own kernel"),
    "tiled": (lambda name: layers.TiledConv2D(2, 3, tile_shape=2, name=name), "does not divide the shift"),
    "deformable": (lambda name: layers.DeformableConv2D(2, 3, padding="valid", name=name), "read outside"),
    "group normalization": (lambda name: L.GroupNormalization(1, name=name), "over the whole image"),
    "layer normalization": (lambda name: L.LayerNormalization(axis=[1, 2, 3], name=name), "over positions"),
    "batch normalization": (lambda name: L.BatchNormalization(axis=1, name=name), "over positions"),
    "normalization": (lambda name: L.Normalization(axis=(1, 3), name=name), "over positions"),
    "softmax": (lambda name: L.Softmax(axis=1, name=name), "over positions"),
    "contrast": (lambda name: layers.LocalContrastNormalization2D(3, floor=1.0, name=name), "neighbourhood"),
    "resizing": (lambda name: L.Resizing(4, 4, name=name), "resizes"),
    "upsampling": (lambda name: L.UpSampling2D(name=name), "resizes"),
    "transposed": (lambda name: L.Conv2DTranspose(2, 3, name=name), "resizes"),
    "adaptive": (lambda name: layers.AdaptiveMaxPooling2D(2, name=name), "windows of different sizes"),
    "pyramid": (lambda name: layers.SpatialPyramidPooling2D((1, 2), name=name), "windows of different sizes"),
    "lambda": (lambda name: L.Lambda(_unpooled, output_shape=(9, 9, 2), name=name), "is arbitrary"),
    "unknown": (lambda name: _Own(name=name), "not a supported layer"),
    "subclass": (lambda name: _Changed(2, 3, name=name), "not a supported layer"),
    "permutation": (lambda name: L.Permute((2, 1, 3), name=name), "not a supported layer"),
    "own activation": (lambda name: L.Activation(_unpooled, name=name), "activation"),
    "slopes at each position": (lambda name: L.PReLU(name=name), "at each position"),
    "scales at each position": (lambda name: L.Rescaling(np.ones((9, 9, 1)), name=name), "each position"),
    "reshape": (lambda name: L.Reshape((9, 18), name=name), "may only flatten"),
    "channels first": (lambda name: layers.DilatedConv2D(2, 1, data_format="channels_first", name=name), "channels"),
    "large exponent": (lambda name: layers.LpPooling2D(2, p=12, name=name), "exceeds 6"),
    "large learned exponent": (lambda name: layers.GlobalGeMPooling2D(p=8, name=name), "exceeds 6"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_exact_is_refused_by_name(case: str) -> None:
    make, reason = REFUSED[case]
    model = keras.Sequential([keras.Input((9, 9, 2)), make("culprit")])
    with pytest.raises(ValueError, match=rf"'culprit'.*{reason}"):
        convolutionalize(model)


def test_attention_is_refused_by_name() -> None:
    image = keras.Input((4, 4, 2))
    model = keras.Model(image, L.MultiHeadAttention(1, 2, attention_axes=(1, 2), name="culprit")(image, image))
    with pytest.raises(ValueError, match=r"'culprit'.*sees the whole image"):
        convolutionalize(model)


def test_joins_that_mix_positions_are_refused_by_name() -> None:
    image = keras.Input((6, 6, 2))
    scaled = L.Multiply(name="culprit")([image, L.GlobalAveragePooling2D(keepdims=True)(image)])
    with pytest.raises(ValueError, match=r"'culprit'.*spreads"):
        convolutionalize(keras.Model(image, L.Flatten()(scaled)))
    stacked = L.Concatenate(axis=1, name="culprit")([image, image])
    with pytest.raises(ValueError, match=r"'culprit'.*instead of channels"):
        convolutionalize(keras.Model(image, L.Flatten()(stacked)))
    strided = L.Add(name="culprit")([L.MaxPooling2D(2)(image), L.Cropping2D(((1, 2), (0, 3)))(image)])
    with pytest.raises(ValueError, match=r"'culprit'.*strides"):
        convolutionalize(keras.Model(image, L.Flatten()(strided)))


def test_operations_with_constants_are_refused() -> None:
    image = keras.Input((6, 6, 2))
    with pytest.raises(ValueError, match=r"multiply.*not a supported layer"):
        convolutionalize(keras.Model(image, L.Flatten()(image * 2.0)))


def test_tiles_are_refused_below_their_period_alone() -> None:
    model = classifier(layers.TiledConv2D(2, 2, tile_shape=(2, 1), name="tiled"), L.MaxPooling2D(2), L.Flatten())
    check(model, None, (2, 1), images=1)
    with pytest.raises(ValueError, match=r"'tiled'.*every \(2, 1\) pixels.*shift \(1, 1\)"):
        convolutionalize(model, 1)


def test_models_that_are_no_window_classifiers_are_refused() -> None:
    with pytest.raises(ValueError, match="image of known size"):
        convolutionalize(keras.Sequential([keras.Input((None, None, 1)), L.GlobalMaxPooling2D()]))
    with pytest.raises(ValueError, match="image of known size"):
        window_stride(keras.Sequential([keras.Input((8, 1)), L.Flatten()]))
    with pytest.raises(ValueError, match=r"one vector.*\(7, 7\)"):
        convolutionalize(keras.Sequential([keras.Input((9, 9, 1)), L.Conv2D(1, 3)]))
    inputs = [keras.Input((4, 4, 1), name=name) for name in "ab"]
    with pytest.raises(ValueError, match=r"one input.*'a', 'b'"):
        convolutionalize(keras.Model(inputs, L.Flatten()(L.Add()(inputs))))


@pytest.mark.parametrize("stride", [0, -1, 1.5, (1, 2, 3), True])
def test_illegal_strides_are_refused(stride: Any) -> None:
    with pytest.raises(ValueError, match="`stride`"):
        convolutionalize(keras.Sequential([keras.Input((4, 4, 1)), L.Flatten()]), stride)


# === The certificate ===


def certified(*, stride: Any = None, **arguments: Any) -> tuple[keras.Model, Any]:
    model = classifier(L.Conv2D(2, 3), L.MaxPooling2D((2, 3)), L.Flatten(), L.Dense(2))
    image = np.random.default_rng(3).normal(size=(20, 24, 2)).astype("float32")
    return model, certify(model, convolutionalize(model, stride), image, stride, **arguments)


def test_a_certificate_says_what_was_found() -> None:
    _, found = certified(stride=(1, 3))
    assert (found.size, found.stride, found.window) == ((12, 6), (1, 3), (9, 8))
    assert found.compared == 72
    assert not found.sampled
    assert found.relative_difference <= 1e-5
    assert found.magnitude > 0.1
    assert found.speed_up == found.crop_seconds / found.dense_seconds > 0
    assert found.box(11, 5) == (15, 11, 23, 20)
    with pytest.raises(IndexError, match=r"\(12, 0\)"):
        found.box(12, 0)
    assert "72 of 72" in str(found)
    assert "extrapolated" not in str(found)


def test_a_certificate_of_a_sample_says_so() -> None:
    _, found = certified(stride=1, samples=10)
    assert found.compared == 10 < math.prod(found.size)
    assert found.sampled
    assert "extrapolated from 10" in str(found)
    assert certified(stride=1, samples=10)[1].difference == found.difference


def test_a_certificate_shows_that_models_differ() -> None:
    model, _ = certified()
    dense = convolutionalize(model)
    randomize(model, 9)
    found = certify(model, dense, np.ones((20, 24, 2), "float32"))
    assert found.relative_difference > 0.1


def test_a_certificate_of_what_does_not_fit_is_refused() -> None:
    model, _ = certified()
    dense = convolutionalize(model)
    with pytest.raises(ValueError, match=r"window of \(9, 8\).*\(8, 24, 2\)"):
        certify(model, dense, np.zeros((8, 24, 2), "float32"))
    with pytest.raises(ValueError, match="made with stride=1"):
        certify(model, dense, np.zeros((20, 24, 2), "float32"), 1)
