"""What the tests of all layers share: one table of tolerances, independent references, gradients on any backend."""

from __future__ import annotations

import itertools
import math
import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st

from profiles import examples as in_profile

BACKEND = keras.backend.backend()
if BACKEND == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)

tensorflow_only = pytest.mark.skipif(BACKEND != "tensorflow", reason="graphs and SavedModels are TensorFlow's")

# JAX compiles every operation anew for every shape.
EXAMPLES = 30 if BACKEND == "tensorflow" else 3


def given(*arguments: Any, examples: int = EXAMPLES, ci: int | None = None, **keywords: Any) -> Any:
    """Return hypothesis's own decorator, with as many examples as the backend does in reasonable time."""
    settings = hypothesis.settings(max_examples=in_profile(min(examples, EXAMPLES), ci), deadline=None)
    return lambda test: settings(hypothesis.given(*arguments, **keywords)(test))


# Keras 3.15 on NumPy 2: its JAX variables do not take the copy argument when they are read.
keras_copies = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning:keras.src.backend.jax.core"
)

# Largest difference allowed, as a share of the largest magnitude expected.
TOLERANCES = {
    "float64": 1e-11,
    "float32": 1e-5,
    "float16": 5e-3,
    "bfloat16": 4e-2,
    "finite differences": 1e-6,  # in float64; the error of the differences themselves
}


def assert_close(actual: Any, expected: Any, tolerance: str) -> None:
    actual, expected = to_numpy(actual), to_numpy(expected)
    assert actual.shape == expected.shape
    if expected.size:
        scale = max(np.abs(expected).max(), 1e-30)
        error = np.abs(actual - expected).max() / scale
        assert error <= TOLERANCES[tolerance], f"relative error {error:.3g} for {tolerance}"


def to_numpy(x: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.cast(x, "float64"))


def random_array(shape: tuple[int, ...], seed: int = 0, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def randomize(layer: keras.layers.Layer, seed: int = 1) -> None:
    """Give every weight, the biases too, a random value."""
    layer.set_weights([random_array(w.shape, seed + i) for i, w in enumerate(layer.weights)])


# === The reference ===


def reference_pads(size: int, kernel: int, stride: int, dilation: int, padding: Any) -> tuple[int, int]:
    span = (kernel - 1) * dilation + 1
    if padding == "same":
        total = max((math.ceil(size / stride) - 1) * stride + span - size, 0)
        return total // 2, total - total // 2
    return {"valid": (0, 0), "full": (span - 1, span - 1), "causal": (span - 1, 0)}.get(padding) or padding


def reference_convolution(layer: Any, x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolve channels-last `x` by loops in float64; `kernel[site]` and `bias[site]` hold the weights of an output."""
    rank = len(layer.kernel_size)
    pairs = [layer.padding] * rank if isinstance(layer.padding, str) else layer.padding
    arguments = zip(x.shape[1:-1], layer.kernel_size, layer.strides, layer.dilation_rate, pairs, strict=True)
    pads = [reference_pads(*axis) for axis in arguments]
    fill = {"constant_values": layer.padding_value} if layer.padding_mode == "constant" else {}
    x = np.pad(x, [(0, 0), *pads, (0, 0)], mode=layer.padding_mode, **fill)
    sizes = [
        len(range(0, n - (k - 1) * d, s))
        for n, k, s, d in zip(x.shape[1:-1], layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)
    ]
    outputs = np.zeros((x.shape[0], *sizes, layer.filters))
    inputs_of, filters_of = x.shape[-1] // layer.groups, layer.filters // layer.groups
    for position in itertools.product(*map(range, sizes)):
        weights, offset = kernel_at(layer, kernel, bias, position)
        for taps in itertools.product(*map(range, layer.kernel_size)):
            where = tuple(
                j * s + i * d for j, s, i, d in zip(position, layer.strides, taps, layer.dilation_rate, strict=True)
            )
            if layer.flip_kernel:
                taps = tuple(k - 1 - i for k, i in zip(layer.kernel_size, taps, strict=True))
            pixel = x[(slice(None), *where)]
            for group in range(layer.groups):
                rows = slice(group * inputs_of, (group + 1) * inputs_of)
                columns = slice(group * filters_of, (group + 1) * filters_of)
                outputs[(slice(None), *position, columns)] += pixel[:, rows] @ weights[taps][:, columns]
        outputs[(slice(None), *position)] += offset
    return outputs


def kernel_at(layer: Any, kernel: np.ndarray, bias: np.ndarray, position: tuple[int, ...]) -> tuple[Any, Any]:
    family = type(layer).__name__
    if family.startswith("Unshared"):
        return kernel[position].reshape(*layer.kernel_size, -1, layer.filters), bias[position]
    if family.startswith("Tiled"):
        tile = tuple(j % t for j, t in zip(position, layer.tile_shape, strict=True))
        return kernel[tile], bias[tile]
    return kernel, bias


def fits(size: int, kernel: int, stride: int, dilation: int, padding: Any, mode: str) -> bool:
    """Return whether this axis is legal."""
    before, after = reference_pads(size, kernel, stride, dilation, padding)
    reach = {"reflect": size - 1, "symmetric": size, "wrap": size}.get(mode, 10**6)
    return size + before + after >= (kernel - 1) * dilation + 1 and max(before, after) <= reach


@st.composite
def convolutions(draw: st.DrawFn, tiled: bool = False, rank: int = 2) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Draw legal arguments of a convolution, and a channels-last input shape."""
    largest = 4 if rank < 3 else 3
    axes = lambda low, high: draw(st.tuples(*[st.integers(low, high)] * rank))  # noqa: E731
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    arguments = {
        "filters": groups * draw(st.integers(1, 2)),
        "kernel_size": axes(1, largest),
        "strides": axes(1, 3),
        "dilation_rate": axes(1, 3),
        "padding": draw(
            st.sampled_from(
                ["valid", "same", "full", "causal", ((0, 2), (1, 0), (2, 1))[:rank], ((1, 1), (2, 2), (0, 1))[:rank]]
            )
        ),
        "padding_mode": draw(st.sampled_from(["constant", "reflect", "symmetric", "edge", "wrap"])),
        "groups": groups,
        "flip_kernel": draw(st.booleans()),
    }
    if arguments["padding_mode"] == "constant":
        arguments["padding_value"] = draw(st.sampled_from([0.0, -1.5]))
    if tiled:
        # Every place of a tile is a convolution of its own, so that many places of volumes take a test minutes.
        most = (4, 9) if rank < 3 else (2, 3, 2)
        arguments["tile_shape"] = draw(st.tuples(*[st.integers(1, high) for high in most[:rank]]))
    pairs = [arguments["padding"]] * rank if isinstance(arguments["padding"], str) else arguments["padding"]
    sizes = []
    for axis in range(rank):
        axis_arguments = [arguments[name][axis] for name in ("kernel_size", "strides", "dilation_rate")]
        mode = arguments["padding_mode"]
        legal = [n for n in range(1, 13 if rank < 3 else 9) if fits(n, *axis_arguments, pairs[axis], mode)]
        sizes.append(draw(st.sampled_from(legal)))
    return arguments, (draw(st.integers(1, 2)), *sizes, groups * draw(st.integers(1, 2)))


# === Gradients ===


def run(layer: keras.layers.Layer, x: Any) -> Any:
    """Return `layer(x)`; on JAX compiled in one piece, which is many times faster than operation by operation."""
    if BACKEND != "jax":
        return layer(x)
    x = keras.ops.cast(x, layer.compute_dtype)
    return _compiled(layer, x)([w.value for w in layer.trainable_variables], x)


def _compiled(layer: keras.layers.Layer, x: Any) -> Any:
    import jax

    if not layer.built:
        layer.build(x.shape)
    if not hasattr(layer, "compiled_for_tests"):
        layer.compiled_for_tests = jax.jit(lambda weights, x: layer.stateless_call(weights, [], x)[0])
    return layer.compiled_for_tests


def gradients(layer: keras.layers.Layer, x: Any, cotangent: Any) -> list[np.ndarray]:
    """Return the gradient of `sum(cotangent * layer(x))` by `x` and every trainable weight."""
    if BACKEND == "jax":
        import jax

        call = _compiled(layer, x)
        by_weights_and_x = jax.jit(jax.grad(lambda w, x: keras.ops.sum(call(w, x) * cotangent), argnums=(0, 1)))
        weights, x = [w.value for w in layer.trainable_variables], keras.ops.convert_to_tensor(x)
        by_weights, by_x = by_weights_and_x(weights, x)
        return [to_numpy(g) for g in (by_x, *by_weights)]
    import tensorflow as tf

    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x) * tf.cast(cotangent, x.dtype))
    return [to_numpy(g) for g in tape.gradient(loss, [x, *(w.value for w in layer.trainable_variables)])]


def check_gradients(layer: keras.layers.Layer, x: np.ndarray, step: float = 1e-5) -> None:
    """Hold the gradient along random directions against central differences, in float64."""
    cotangent = random_array(layer.compute_output_shape(x.shape), 7)
    got = gradients(layer, x, cotangent)
    start = [x, *(to_numpy(w) for w in layer.trainable_variables)]
    assert [g.shape for g in got] == [s.shape for s in start]

    def value(arrays: list[np.ndarray]) -> float:
        for weight, array in zip(layer.trainable_variables, arrays[1:], strict=True):
            weight.assign(array)
        return float((to_numpy(run(layer, arrays[0])) * cotangent).sum())

    for chosen in range(len(start)):
        direction = random_array(start[chosen].shape, 11 + chosen)
        ends = [
            value([s + sign * step * direction if i == chosen else s for i, s in enumerate(start)]) for sign in (1, -1)
        ]
        assert_close((got[chosen] * direction).sum(), (ends[0] - ends[1]) / (2 * step), "finite differences")
    value(start)
