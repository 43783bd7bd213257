"""Speed of the layers, each against a named peer in the same run, forward and for a training step.

A training step is the forward pass and the gradients by the input and every weight. All of TensorFlow runs as graphs,
JAX jitted, PyTorch eagerly. The ratio is the median over rounds in which ours and its peer take turns, so that a busy
machine slows both. "1.50 x" is ours over the peer (lower is better), "1.50 x faster" the peer over ours (higher is
better). Prints a Markdown table.

    python benchmarks/layers.py                 # everything, about a quarter of an hour on two cores
    python benchmarks/layers.py --only tiled    # one kind
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # the threads of one framework must not spin beside another's

import project_first  # noqa: F401

from pipelines.core.tensorflow_import import import_tensorflow

import_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import layers  # noqa: E402


class Shape(NamedTuple):
    """One problem: a channels-last input, a square kernel, a number of filters."""

    input: tuple[int, int, int, int]
    kernel: int
    filters: int


SHAPES = {
    "A": Shape((32, 32, 32, 16), 3, 32),
    "B": Shape((128, 28, 28, 1), 5, 16),
    "C": Shape((8, 56, 56, 64), 3, 64),
    "D": Shape((1, 64, 64, 32), 3, 32),
}
KINDS: dict[str, Callable[[], Iterator[Row]]] = {}


class Row(NamedTuple):
    """Ours, its peers by name, and the targets of both columns.

    `faster` says which way the targets are meant: at least so many times faster, or at most so many times the cost.
    """

    name: str
    ours: Any
    peers: dict[str, Any]
    targets: tuple[float | None, float | None]
    faster: bool = False


def kind(function: Callable[[], Iterator[Row]]) -> Callable[[], Iterator[Row]]:
    """Take a generator of rows into the table."""
    KINDS[function.__name__] = function
    return function


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Return standard normal numbers in float32."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def layer_pair(layer: keras.layers.Layer, x: np.ndarray) -> Any:
    """Return the calls of a Keras layer, with gradients by its input and weights."""
    layer.build(x.shape)
    weights = [weight.value for weight in layer.trainable_variables]
    return in_tensorflow(lambda x, *_: layer(x), x, *weights)


def plain(shape: Shape, x: np.ndarray, strides: int = 1, padding: str = "VALID") -> Any:
    """Return the calls of TensorFlow's plain convolution."""
    kernel = normal(shape.kernel, shape.kernel, x.shape[-1], shape.filters, seed=1)
    return in_tensorflow(lambda x, kernel: tf.nn.conv2d(x, kernel, strides, padding), x, kernel)


# === The kinds ===


@kind
def unshared() -> Iterator[Row]:
    """Yield unshared convolution against its bare matrix products, JAX, PyTorch and Keras 2."""
    for name, shape in SHAPES.items():
        x, k, filters = normal(*shape.input), shape.kernel, shape.filters
        batch, height, width, channels = shape.input
        sites, patch = (height - k + 1, width - k + 1), k * k * channels
        patches, kernel = normal(*sites, batch, patch), normal(*sites, patch, filters)
        ours = layer_pair(layers.UnsharedConv2D(filters, k, use_bias=False), x)
        yield Row(
            f"unshared {name}",
            ours,
            {"the same matrix products alone": in_tensorflow(tf.matmul, patches, kernel)},
            (1.8, 2.0),
        )
        in_order = kernel.reshape(*sites, k, k, channels, filters).transpose(0, 1, 4, 2, 3, 5)  # JAX: channels first
        local = in_jax(
            lambda x, w, k=k: jax.lax.conv_general_dilated_local(
                x, w, (1, 1), "VALID", (k, k), dimension_numbers=("NHWC", "HWIO", "NHWC")
            ),
            x,
            in_order.reshape(*sites, patch, filters),
        )
        yield Row(f"unshared {name}", ours, {"jax.lax.conv_general_dilated_local": local}, (1.0, 4.0), faster=True)
        unfold = in_torch(
            lambda x, w, k=k: torch.matmul(torch.nn.functional.unfold(x, k).permute(2, 0, 1), w),
            x.transpose(0, 3, 1, 2).copy(),
            kernel.reshape(-1, patch, filters),
        )
        yield Row(f"unshared {name}", ours, {"torch unfold + matmul": unfold}, (1.5, 4.0), faster=True)
        # Implementations 2 and 3 take memory, or minutes, that grow with the square of the image.
        for implementation in {"A": (1,), "B": (1, 2, 3), "C": (), "D": ()}[name]:
            old = keras2_pair(shape, x, implementation)
            peer = {f"tf_keras LocallyConnected2D, {implementation}": old}
            yield Row(f"unshared {name}", ours, peer, (1.5, 4.0), faster=True)


def keras2_pair(shape: Shape, x: np.ndarray, implementation: int) -> Any:
    """Return the calls of Keras 2's layer."""
    import tf_keras

    old = tf_keras.layers.LocallyConnected2D(shape.filters, shape.kernel, use_bias=False, implementation=implementation)
    old.build(x.shape)
    return in_tensorflow(lambda x, *_: old(x), x, *old.trainable_variables)


@kind
def tiled() -> Iterator[Row]:
    """Yield tiled convolution against the plain one."""
    targets = {2: (1.7, 2.2), 3: (2.2, 3.2), 4: (2.4, 3.4)}
    for name, shape in SHAPES.items():
        x = normal(*shape.input)
        for tile, target in targets.items():
            ours = layer_pair(layers.TiledConv2D(shape.filters, shape.kernel, tile_shape=tile, use_bias=False), x)
            yield Row(f"tiled {tile} x {tile} {name}", ours, {"plain convolution": plain(shape, x)}, target)


@kind
def dilated() -> Iterator[Row]:
    """Yield dilated convolution against the plain one, and Keras's own against that."""
    for name, shape in SHAPES.items():
        x = normal(*shape.input)
        for rate in (2, 4, 8):
            same = {"padding": "same", "dilation_rate": rate, "use_bias": False}
            ours = layer_pair(layers.DilatedConv2D(shape.filters, shape.kernel, **same), x)
            peer = plain(shape, x, padding="SAME")
            yield Row(f"dilated {rate} {name}", ours, {"plain convolution": peer}, (1.05, 1.05))
            keras_own = layer_pair(keras.layers.Conv2D(shape.filters, shape.kernel, **same), x)
            yield Row(f"keras Conv2D dilated {rate} {name}", keras_own, {"plain convolution": peer}, (None, None))


@kind
def strided() -> Iterator[Row]:
    """Yield stride and dilation of 2 together against a plain convolution with the same output."""
    for name, shape in SHAPES.items():
        x = normal(*shape.input)
        ours = layers.DilatedConv2D(shape.filters, shape.kernel, 2, "same", dilation_rate=2, use_bias=False)
        peer = plain(shape, x, strides=2, padding="SAME")
        yield Row(
            f"stride 2, dilation 2 {name}", layer_pair(ours, x), {"plain convolution, stride 2": peer}, (1.1, 1.2)
        )


@kind
def pooling() -> Iterator[Row]:
    """Yield L2 pooling against average pooling, and PyTorch's."""
    for name, shape in SHAPES.items():
        x = normal(*shape.input)
        ours = layer_pair(layers.L2Pooling2D(2), x)
        average = layer_pair(keras.layers.AveragePooling2D(2), x)
        yield Row(f"L2 pooling {name}", ours, {"keras AveragePooling2D": average}, (1.5, 2.2))
        lp_pool = in_torch(torch.nn.LPPool2d(2, 2), x.transpose(0, 3, 1, 2).copy())
        yield Row(f"L2 pooling {name}", ours, {"torch.nn.LPPool2d": lp_pool}, (1.3, 2.5), faster=True)


@kind
def deformable() -> Iterator[Row]:
    """Yield deformable convolution, version 2, against the same by PyTorch's grid_sample."""
    for name, shape in SHAPES.items():
        if name == "B":
            continue
        batch, height, width, channels = shape.input
        k = shape.kernel
        sites = (height - k + 1, width - k + 1)
        x, kernel = normal(*shape.input), normal(k, k, channels, shape.filters)
        offsets, mask = normal(batch, *sites, 2 * k * k), np.abs(normal(batch, *sites, k * k))
        ours = in_tensorflow(layers.deformable_convolution, x, offsets, mask, kernel)
        steps = np.stack(np.meshgrid(np.arange(k), np.arange(k), indexing="ij"), -1).reshape(1, 1, 1, k * k, 2)
        corners = np.stack(np.meshgrid(*map(np.arange, sites), indexing="ij"), -1)[None, :, :, None]
        start = torch.tensor((corners + steps).astype("float32"))
        scale = torch.tensor([2 / (height - 1), 2 / (width - 1)])

        def sampled(x, offsets, mask, kernel, start=start, scale=scale):
            places = ((start + offsets.reshape(*offsets.shape[:3], -1, 2)) * scale - 1).flip(-1)
            grid = places.flatten(1, 2)  # (batch, positions, kernel entries, 2)
            values = torch.nn.functional.grid_sample(x, grid, align_corners=True)
            values = (values * mask.reshape(mask.shape[0], 1, -1, mask.shape[-1])).permute(0, 2, 3, 1)
            return values.flatten(2) @ kernel.flatten(0, 2)

        peer = in_torch(sampled, x.transpose(0, 3, 1, 2).copy(), offsets, mask, kernel)
        yield Row(f"deformable {name}", ours, {"torch grid_sample": peer}, (1.2, 1.5), faster=True)


@kind
def fourier() -> Iterator[Row]:
    """Yield convolution by Fourier transforms against the direct one, for a large kernel."""
    shape = Shape((8, 64, 64, 16), 31, 16)
    x = normal(*shape.input)
    ours = layer_pair(layers.FourierConv2D(shape.filters, shape.kernel, padding="same", use_bias=False), x)
    yield Row("Fourier, kernel 31", ours, {"plain convolution": plain(shape, x, padding="SAME")}, (0.6, 0.12))

    def fast(x, kernel):
        """Convolve the interior by TensorFlow's fast transforms."""
        images = tf.signal.rfft2d(tf.transpose(x, (0, 3, 1, 2)))
        kernels = tf.signal.rfft2d(tf.transpose(kernel, (2, 3, 0, 1)), x.shape[1:3])
        y = tf.signal.irfft2d(tf.einsum("bchw,cfhw->bfhw", images, tf.math.conj(kernels)), x.shape[1:3])
        return tf.transpose(y[:, :, : 1 - kernel.shape[0], : 1 - kernel.shape[1]], (0, 2, 3, 1))

    for side, batch in ((64, 8), (256, 2)):
        x = normal(batch, side, side, 16)
        ours = layer_pair(layers.FourierConv2D(16, 31, use_bias=False), x)
        peer = {"tf.signal.rfft2d": in_tensorflow(fast, x, normal(31, 31, 16, 16, seed=1))}
        yield Row(f"Fourier, {side} x {side}", ours, peer, (None, None))


# === Memory ===


def peak_memory(name: str) -> float:
    """Return the memory that one unshared forward pass adds, over what it may: output and one copy of the patches.

    Weights and input are there before. By TensorFlow's own account of what it allocates, in a process of its own: what
    others have freed it would take back in pieces of up to twice the size.
    """
    shape = SHAPES[name]
    batch, height, width, channels = shape.input
    k = shape.kernel
    positions = (height - k + 1) * (width - k + 1)
    allowed = 4 * batch * positions * (shape.filters + k * k * channels)
    layer = layers.UnsharedConv2D(shape.filters, k)
    x = tf.constant(normal(*shape.input))
    forward = tf.function(layer)
    forward(x)
    tf.config.experimental.reset_memory_stats("CPU:0")
    before = tf.config.experimental.get_memory_info("CPU:0")["current"]
    forward(x)
    return (tf.config.experimental.get_memory_info("CPU:0")["peak"] - before) / allowed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[*KINDS, "memory"], action="append", help="this kind alone; may be repeated")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--peak-memory", choices=SHAPES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_memory:
        print(peak_memory(options.peak_memory))
        return
    chosen = options.only or [*KINDS, "memory"]
    print("| layer | peer | forward | target | step | target |\n|---|---|---:|---:|---:|---:|")
    for name in (name for name in KINDS if name in chosen):
        for row in KINDS[name]():
            show(row, options.rounds)
    if "memory" in chosen:
        for name in SHAPES:
            command = [sys.executable, __file__, "--peak-memory", name]
            share = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            met = judged(share, 1, faster=False)
            print(f"| unshared {name}, memory | output and patches | {share:.2f} x | {met} | | |", flush=True)


def judged(ratio: float, target: float, faster: bool) -> str:
    """Return the target, and whether it is missed."""
    missed = ratio < target if faster else ratio > target
    return f"{'≥' if faster else '≤'} {target}{' **missed**' if missed else ''}"


def show(row: Row, rounds: int) -> None:
    """Measure one row and print it, once a peer."""
    for peer, pair in row.peers.items():
        cells = []
        for column, target in enumerate(row.targets):
            ratio = ratios([pair[column], row.ours[column]], rounds)[1]
            ratio, unit = (1 / ratio, "x faster") if row.faster else (ratio, "x")
            cells += [
                f"{ratio:.2f} {unit}" if ratio >= 0.01 else f"{ratio:.1g} {unit}",
                "" if target is None else judged(ratio, target, row.faster),
            ]
        print(f"| {row.name} | {peer} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    import jax
    import torch
    from peers import in_jax, in_tensorflow, in_torch, ratios

    main()
