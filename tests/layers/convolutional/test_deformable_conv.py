import itertools

import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from keras import ops

from layer_checks import (
    BACKEND,
    EXAMPLES,
    assert_close,
    check_gradients,
    convolutions,
    given,
    gradients,
    keras_copies,
    random_array,
    randomize,
    reference_pads,
    run,
    tensorflow_only,
    to_numpy,
)
from layers.convolutional.deformable_conv import DeformableConv2D, deformable_convolution
from layers.convolutional.dilated_conv import DilatedConv2D

pytestmark = keras_copies


def bilinear(image, y, x):
    """Read channels-last `image` as torchvision's `bilinear_interpolate` does."""
    height, width = image.shape[:2]
    if y <= -1 or y >= height or x <= -1 or x >= width:
        return np.zeros(image.shape[-1])
    top, left = int(np.floor(y)), int(np.floor(x))
    total = np.zeros(image.shape[-1])
    for row, column in itertools.product((top, top + 1), (left, left + 1)):
        if 0 <= row < height and 0 <= column < width:
            total += (1 - abs(y - row)) * (1 - abs(x - column)) * image[row, column]
    return total


def reference(x, offsets, mask, kernel, strides, dilation, groups, offset_groups):
    """Convolve `x`, padded already, by loops in float64."""
    kh, kw, inputs_of, filters = kernel.shape
    batch, height, width, _ = offsets.shape
    channels = x.shape[-1]
    y = np.zeros((batch, height, width, filters))
    for b, j, i in itertools.product(range(batch), range(height), range(width)):
        read = np.zeros((kh, kw, channels))
        for og, a, c in itertools.product(range(offset_groups), range(kh), range(kw)):
            entry = (og * kh + a) * kw + c
            place = (
                j * strides[0] + a * dilation[0] + offsets[b, j, i, 2 * entry],
                i * strides[1] + c * dilation[1] + offsets[b, j, i, 2 * entry + 1],
            )
            part = slice(og * channels // offset_groups, (og + 1) * channels // offset_groups)
            read[a, c, part] = bilinear(x[b, :, :, part], *place) * (1 if mask is None else mask[b, j, i, entry])
        for g in range(groups):
            rows, columns = (
                slice(g * inputs_of, (g + 1) * inputs_of),
                slice(g * filters // groups, (g + 1) * filters // groups),
            )
            y[b, j, i, columns] = np.einsum("hwc,hwcf->f", read[..., rows], kernel[..., columns])
    return y


def padded(x, kernel_size, strides, dilation, padding, mode="constant", value=0.0):
    pairs = [padding] * 2 if isinstance(padding, str) else padding
    pads = [reference_pads(*axis) for axis in zip(x.shape[1:3], kernel_size, strides, dilation, pairs, strict=True)]
    fill = {"constant_values": value} if mode == "constant" else {}
    return np.pad(x, [(0, 0), *pads, (0, 0)], mode=mode, **fill)


@st.composite
def problems(draw):
    """Draw arguments of the function: x, offsets, mask, kernel, and the rest."""
    arguments, shape = draw(convolutions())
    seed = draw(st.integers(0, 99))
    offset_groups = draw(st.sampled_from([g for g in (1, 2, 3) if shape[-1] % g == 0]))
    kernel_size, strides, dilation = (arguments[n] for n in ("kernel_size", "strides", "dilation_rate"))
    groups = arguments["groups"]
    x = random_array(shape, seed)
    sizes = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip(
            padded(x, kernel_size, strides, dilation, arguments["padding"]).shape[1:3], kernel_size, strides, dilation,
            strict=True,
        )
    ]  # fmt: skip
    entries = offset_groups * kernel_size[0] * kernel_size[1]
    scale = draw(st.sampled_from([0.0, 0.4, 3.0, 1e9]))
    offsets = scale * random_array((shape[0], *sizes, 2 * entries), seed + 1)
    mask = random_array((shape[0], *sizes, entries), seed + 2) if draw(st.booleans()) else None
    kernel = random_array((*kernel_size, shape[-1] // groups, arguments["filters"]), seed + 3)
    rest = {
        "strides": strides,
        "padding": arguments["padding"],
        "dilation_rate": dilation,
        "groups": groups,
        "offset_groups": offset_groups,
    }
    return (x, offsets, mask, kernel), rest


def cast(tensors, dtype):
    return [None if tensor is None else ops.cast(tensor, dtype) for tensor in tensors]


@given(problems(), st.sampled_from(["float32", "float64"]))
def test_equals_the_loops(problem, dtype):
    tensors, rest = problem
    x, offsets, mask, kernel = tensors
    y = deformable_convolution(*cast(tensors, dtype), **rest)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    window = (rest["strides"], rest["dilation_rate"])
    x = padded(x, kernel.shape[:2], *window, rest["padding"])
    if dtype == "float32":  # the place in float32 is the place
        offsets = offsets.astype("float32").astype("float64")
    assert_close(y, reference(x, offsets, mask, kernel, *window, rest["groups"], rest["offset_groups"]), dtype)


class Function(keras.layers.Layer):
    """The function with everything but x as weights, for the gradient checks."""

    def __init__(self, tensors, rest, dtype):
        super().__init__(dtype=dtype)
        self.rest, self.masked = rest, tensors[1] is not None
        for i, tensor in enumerate(tensors):
            if tensor is not None:
                setattr(self, f"w{i}", self.add_weight(shape=tensor.shape, name=f"w{i}"))
                getattr(self, f"w{i}").assign(tensor)

    def call(self, x):
        mask = ops.convert_to_tensor(self.w1) if self.masked else None
        return deformable_convolution(
            x, ops.convert_to_tensor(self.w0), mask, ops.convert_to_tensor(self.w2), **self.rest
        )

    def compute_output_shape(self, shape):
        return (shape[0], *self.w0.shape[1:3], self.w2.shape[-1])


@given(problems())
def test_gradients_in_float64_are_the_finite_differences(problem):
    (x, *others), rest = problem
    # Away from the pixels themselves, where the gradient jumps.
    others[0] = np.clip(np.round(others[0]), -20, 20) + 0.3 + 0.1 * np.tanh(others[0])
    check_gradients(Function(others, rest, "float64"), x)


@given(problems(), examples=EXAMPLES // 3)
def test_gradients_in_float32_are_those_in_float64(problem):
    (x, *others), rest = problem
    others[0] = np.clip(np.round(others[0]), -20, 20) + 0.25 + 0.125 * np.sign(others[0])
    single, double = (Function(others, rest, dtype) for dtype in ("float32", "float64"))
    cotangent = random_array(single.compute_output_shape(x.shape), 3)
    got = gradients(single, x.astype("float32"), cotangent.astype("float32"))
    want = gradients(double, x, cotangent)
    for a, b in zip(got, want, strict=True):
        # The gradient by a place is a difference of products, so it is held against all of them together.
        assert np.abs(a - b).max() <= 1e-5 * max(np.abs(b).max(), np.abs(want[0]).max())


def layer_of(shape, dtype="float32", **arguments):
    layer = DeformableConv2D(**{"data_format": "channels_last", **arguments, "dtype": dtype})
    layer.build(shape)
    randomize(layer)
    return layer


FULL = {
    "filters": 6,
    "kernel_size": (3, 2),
    "strides": (2, 1),
    "padding": ((2, 1), (0, 3)),
    "dilation_rate": (2, 3),
    "padding_mode": "reflect",
    "groups": 2,
    "flip_kernel": True,
    "activation": "softplus",
    "offset_groups": 2,
}


@pytest.mark.parametrize("size", [5, 16, 57, 100] if BACKEND == "tensorflow" else [57])
@pytest.mark.parametrize("modulated", [True, False])
def test_starts_as_the_plain_convolution(size, modulated):
    arguments = {"filters": 4, "kernel_size": 3, "padding": "same", "data_format": "channels_last"}
    deformable, plain = DeformableConv2D(**arguments, modulated=modulated), DilatedConv2D(**arguments)
    x = random_array((2, size, size + 3, 2), dtype="float32")
    deformable.build(x.shape)
    plain.build(x.shape)
    plain.kernel.assign(deformable.kernel)
    assert_close(run(deformable, x), run(plain, x), "float32")


@given(st.data())
def test_the_layer_is_the_function_of_what_it_predicts(data):
    arguments, shape = data.draw(convolutions())
    modulated = data.draw(st.booleans())
    layer = layer_of(shape, "float64", modulated=modulated, **arguments)
    x = random_array(shape)
    kernel, bias, offset_kernel, offset_bias = map(to_numpy, layer.weights)
    geometry = layer.geometry
    window = (geometry.kernel_size, geometry.strides, geometry.dilation_rate)
    wide = padded(x, *window, geometry.padding, geometry.padding_mode, layer.padding_value)
    predict = DilatedConv2D(
        offset_bias.size, *window[:2], dilation_rate=window[2], dtype="float64", data_format="channels_last"
    )
    predict.build(wide.shape)
    predict.set_weights([offset_kernel, offset_bias])
    predicted = to_numpy(run(predict, wide))
    offsets, logits = predicted[..., : 2 * geometry.positions], predicted[..., 2 * geometry.positions :]
    mask = 2 / (1 + np.exp(-logits)) if modulated else None
    kernel = kernel[::-1, ::-1] if layer.flip_kernel else kernel
    want = reference(wide, offsets, mask, kernel, *window[1:], layer.groups, 1) + bias
    y = run(layer, x)
    assert layer.compute_output_shape(shape) == tuple(y.shape)
    assert_close(y, want, "float64")


def test_a_whole_offset_is_a_shift():
    x = random_array((1, 9, 9, 2), dtype="float32")
    kernel = random_array((3, 3, 2, 4), 1, "float32")
    offsets = np.tile(np.array([2, -1], "float32"), (1, 9, 9, 9))
    y = deformable_convolution(x, offsets, None, kernel, padding=1)
    shifted = np.pad(x, [(0, 0), (4, 4), (4, 4), (0, 0)])[:, 5:16, 2:13]
    want = ops.conv(shifted, kernel, data_format="channels_last")
    assert_close(y, want, "float32")


def test_config_round_trip():
    layer = DeformableConv2D(**FULL, modulated=False, data_format="channels_first", name="odd", dtype="mixed_bfloat16")
    config = layer.get_config()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is DeformableConv2D
    assert again.get_config() == config
    assert {name: config[name] for name in FULL} == FULL


@tensorflow_only
def test_saved_model_and_keras_file_round_trips(tmp_path):
    import tensorflow as tf

    model = keras.Sequential([keras.Input((9, 8, 4)), DeformableConv2D(**FULL, data_format="channels_last")])
    randomize(model.layers[0])
    x = random_array((2, 9, 8, 4), dtype="float32")
    model.save(tmp_path / "model.keras")
    assert_close(keras.models.load_model(tmp_path / "model.keras")(x), model(x), "float32")
    model.export(tmp_path / "saved", verbose=False)
    again = tf.saved_model.load(tmp_path / "saved")
    assert_close(again.serve(x), model(x), "float32")


@pytest.mark.parametrize("modulated", [True, False])
def test_channels_first_is_the_same_transposed(modulated):
    last = layer_of((2, 9, 8, 4), modulated=modulated, **FULL)
    first = layer_of((2, 4, 9, 8), data_format="channels_first", modulated=modulated, **FULL)
    x = random_array((2, 9, 8, 4), dtype="float32")
    y = to_numpy(first(np.moveaxis(x, -1, 1)))
    assert first.compute_output_shape((2, 4, 9, 8)) == y.shape
    assert_close(np.moveaxis(y, 1, -1), last(x), "float32")


@tensorflow_only
@pytest.mark.parametrize("padding", ["same", "full", 2])
def test_one_graph_for_all_sizes_with_gradients(padding):
    import tensorflow as tf

    layer = layer_of((None, None, None, 4), **{**FULL, "padding": padding})
    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 4))])
    def graph(x):
        traces.append(1)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, tape.gradient(y, [x, *(w.value for w in layer.trainable_variables)])

    for shape in [(1, 9, 8, 4), (3, 12, 9, 4)]:
        x = random_array(shape, dtype="float32")
        y, got = graph(x)
        assert_close(y, layer(x), "float32")
        for a, b in zip(got, gradients(layer, x, np.ones(y.shape, "float32")), strict=True):
            assert_close(a, b, "float32")
    assert len(traces) == 1


@pytest.mark.parametrize("batch", [0, 1])
def test_empty_batch_and_batch_of_one(batch):
    layer = layer_of((2, 9, 8, 4), **FULL)
    x = random_array((3, 9, 8, 4), dtype="float32")
    y = layer(x[:batch])
    assert tuple(y.shape) == layer.compute_output_shape((batch, 9, 8, 4))
    assert_close(y, to_numpy(layer(x))[:batch], "float32")
    if not batch:
        assert all(not g.any() for g in gradients(layer, x[:0], np.zeros(y.shape, "float32"))[1:])


@pytest.mark.parametrize(
    "policy", ["mixed_float16", "bfloat16", "mixed_bfloat16", "float16"][: None if BACKEND == "tensorflow" else 2]
)
def test_low_precision(policy):
    layer, exact = layer_of((2, 9, 8, 4), policy, **FULL), layer_of((2, 9, 8, 4), "float64", **FULL)
    for each in (layer, exact):  # offsets of the size that training finds, in which half precision has bits to spare
        each.offset_kernel.assign(0.02 * to_numpy(exact.offset_kernel))
    x = random_array((2, 9, 8, 4))
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    assert_close(y, exact(x), policy.removeprefix("mixed_"))
    assert all(np.isfinite(g).all() for g in gradients(layer, ops.cast(x, layer.compute_dtype), ops.ones_like(y)))


def test_places_that_are_not_finite_read_nothing_else():
    x = random_array((1, 5, 5, 1), dtype="float32")
    offsets = np.zeros((1, 5, 5, 2), "float32")
    offsets[0, 0, 0, 0], offsets[0, 1, 1, 1] = np.inf, -np.inf
    y = to_numpy(deformable_convolution(x, offsets, None, np.ones((1, 1, 1, 1), "float32")))
    want = x.copy()
    want[0, 0, 0] = want[0, 1, 1] = 0
    assert_close(y, want, "float32")


def test_one_fit_step_moves_every_weight():
    model = keras.Sequential(
        [
            keras.Input((9, 8, 4)),
            DeformableConv2D(**FULL, data_format="channels_last"),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    randomize(model.layers[0])
    before = [to_numpy(w) for w in model.weights]
    model.compile("adam", "mse")
    model.fit(random_array((4, 9, 8, 4)), random_array((4, 6)), epochs=1, verbose=0)
    assert all((to_numpy(new) != old).mean() > 0.8 for old, new in zip(before, model.weights, strict=True))


def test_symbolic_shapes():
    layer = DeformableConv2D(5, 3, strides=2, padding="same", data_format="channels_last")
    assert layer(keras.Input((None, None, 4))).shape == (None, None, None, 5)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"`offset_groups` must be an integer >= 1.*offset_groups=0"):
        DeformableConv2D(6, 3, offset_groups=0)
    with pytest.raises(ValueError, match=r"divisible by `offset_groups`.*offset_groups=3.*\(None, 9, 9, 4\)"):
        DeformableConv2D(6, 3, offset_groups=3, data_format="channels_last").build((None, 9, 9, 4))
    x, kernel = np.zeros((1, 5, 5, 4)), np.zeros((3, 3, 4, 2))
    offsets, mask = np.zeros((1, 3, 3, 18)), np.zeros((1, 3, 3, 9))
    for change, message in [
        ({"kernel": np.zeros((3, 3, 3, 2))}, r"`kernel` must be .*\(3, 3, 3, 2\)"),
        ({"offsets": np.zeros((1, 3, 3, 9))}, r"`offsets` must have the shape \(1, 3, 3, 18\).*\(1, 3, 3, 9\)"),
        ({"mask": np.zeros((1, 3, 9))}, r"`mask` must have the shape \(1, 3, 3, 9\).*\(1, 3, 9\)"),
        ({"offset_groups": 3}, "divisible by `offset_groups`.*offset_groups=3"),
    ]:
        with pytest.raises(ValueError, match=message):
            deformable_convolution(**{"x": x, "offsets": offsets, "mask": mask, "kernel": kernel, **change})


def test_torch_reads_alike():
    torch = pytest.importorskip("torch")
    x, kernel = random_array((2, 7, 6, 3)), np.ones((1, 1, 3, 1))
    offsets = 2 * random_array((2, 7, 6, 2), 1)
    y, column = np.mgrid[:7, :6]
    grid = np.stack([(column + offsets[..., 1]) * 2 / 5 - 1, (y + offsets[..., 0]) * 2 / 6 - 1], -1)
    image = torch.tensor(np.moveaxis(x, -1, 1))
    want = torch.nn.functional.grid_sample(image, torch.tensor(grid), align_corners=True, padding_mode="zeros")
    got = deformable_convolution(*cast((x, offsets, None, kernel), "float64"))
    assert_close(got, want.sum(1)[..., None].numpy(), "float64")
