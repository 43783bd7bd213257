"""From which kernel size on other routes beat the direct convolution.

Fourier convolution, a separable pair of rank 1 and (per channel) of a depthwise convolution, at kernel sizes from 3 to
31, each relative to the direct convolution of the same size in the same run, all in turn: forward, and a step with the
gradients by input and kernel. Prints a Markdown table and the size from which on each is always faster. Peers:
`DilatedConv2D` (`tf.nn.conv2d`) and Keras's `DepthwiseConv2D`.
"""

from __future__ import annotations

import argparse
import statistics
import time

import project_first  # noqa: F401

from pipelines.core.tensorflow_import import import_tensorflow

import_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from layers.convolutional.dilated_conv import DilatedConv2D  # noqa: E402
from layers.convolutional.fourier_conv import FourierConv2D  # noqa: E402
from layers.convolutional.low_rank import low_rank_kernels  # noqa: E402

ROUTES = {"Fourier": "direct", "separable": "direct", "separable depthwise": "depthwise"}


def routes(kernel_size: int, shape: tuple[int, ...]) -> dict[str, keras.layers.Layer]:
    """Return every route as a built layer."""
    channels = shape[-1]
    arguments = {"padding": "same", "data_format": "channels_last"}
    direct = DilatedConv2D(channels, kernel_size, **arguments)
    depthwise = keras.layers.DepthwiseConv2D(kernel_size, **arguments)
    fourier = FourierConv2D(channels, kernel_size, **arguments)
    for layer in (direct, depthwise, fourier):
        layer.build(shape)
    separable, separable_depthwise = (low_rank_kernels(layer, 1).layer for layer in (direct, depthwise))
    return {
        "direct": direct,
        "depthwise": depthwise,
        "Fourier": fourier,
        "separable": separable,
        "separable depthwise": separable_depthwise,
    }


def compiled(layer: keras.layers.Layer, x: tf.Tensor):
    """Return the forward pass and the training step, each a function without arguments."""

    @tf.function
    def forward(x):
        return layer(x)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(layer(x)))
        return tape.gradient(loss, [x, *(weight.value for weight in layer.trainable_variables)])

    return lambda: forward(x), lambda: step(x)


def measure(functions: dict[str, tuple], repeats: int) -> dict[str, list[float]]:
    """Return the median seconds of forward and step by route, measured in turn after a run each to compile."""
    seconds: dict[str, list[list[float]]] = {name: [[], []] for name in functions}
    for turn in range(repeats + 1):
        for name, pair in functions.items():
            for kind, function in enumerate(pair):
                started = time.perf_counter()
                function()
                if turn:
                    seconds[name][kind].append(time.perf_counter() - started)
    return {name: [statistics.median(times) for times in kinds] for name, kinds in seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[3, 5, 7, 9, 11, 15, 21, 31])
    parser.add_argument("--shape", type=int, nargs=4, default=[2, 64, 64, 16], help="batch, height, width, channels")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    x = tf.random.stateless_normal(options.shape, (1, 2))
    kinds = [f"{name}, {kind}" for name in ROUTES for kind in ("forward", "step")]
    ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
    print(f"| kernel | {' | '.join(kinds)} |")
    print(f"|---:|{'---:|' * len(kinds)}")
    for size in options.sizes:
        built = routes(size, tuple(options.shape))
        seconds = measure({name: compiled(layer, x) for name, layer in built.items()}, options.repeats)
        row = [seconds[name][kind] / seconds[peer][kind] for name, peer in ROUTES.items() for kind in (0, 1)]
        for kind, ratio in zip(kinds, row, strict=True):
            ratios[kind].append(ratio)
        print(f"| {size} | {' | '.join(f'{ratio:.3g} x' for ratio in row)} |", flush=True)
    print()
    for kind, column in ratios.items():
        slower = [size for size, ratio in zip(options.sizes, column, strict=True) if ratio >= 1]
        faster = [size for size in options.sizes if not slower or size > max(slower)]
        print(f"{kind}: " + (f"faster from {faster[0]} on" if faster else "not faster at these sizes"))


if __name__ == "__main__":
    main()
