"""Speed of a window classifier over a whole image: all at once against crop by crop, and against the image's area.

A classifier with two 2 x 2 max poolings (own stride 4) looks at a window at every fourth pixel, and at every one.
Dense is `convolutionalize`; the crops go through the same classifier in batches of 256. Both are TensorFlow
graphs, timed by turns. Of the crops a few batches are timed and the time scaled to all windows, which at 1,024 x 1,024
pixels are a million; cutting them out of the image is not counted. A "dense" head flattens the map into 64 units, a
"pooled" one averages 64 features over it. At stride 1 the layers before the first pooling cost the same as at stride
4, those between the poolings 4 times as much and those after them 16 times, so that the last column grows with the
head. The figures are medians over rounds of ratios within a round; the line is fitted to medians of times. Prints
Markdown tables.

    python benchmarks/dense_scan.py             # everything, about two minutes on two cores
    python benchmarks/dense_scan.py --quick     # small images alone
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import project_first  # noqa: F401

from pipelines.core.tensorflow_import import import_tensorflow

import_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from timing import seconds  # noqa: E402

from cnnapp.prediction import model_paths  # noqa: E402
from layers.fully_convolutional.convolutionalize import convolutionalize, scan_size, window_stride  # noqa: E402
from pipelines.artifacts.served_model import ServedModel  # noqa: E402
from pipelines.detection.sliding_window import ScanSpec  # noqa: E402

BATCH = 256
BATCHES = 2  # of crops a round
AREAS = (128, 256, 384, 512, 640, 768, 896, 1024)


def network(height: int, width: int, head: str) -> keras.Model:
    """Return a classifier of grey windows: two convolutions of 5 x 5 with a max pooling each, and a head."""
    flat = [keras.layers.Flatten(), keras.layers.Dense(64, activation="relu")]
    pooled = [keras.layers.Conv2D(64, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    return keras.Sequential(
        [
            keras.Input((height, width, 1)),
            keras.layers.Conv2D(16, 5, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 5, activation="relu"),
            keras.layers.MaxPooling2D(),
            *(flat if head == "dense" else pooled),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def call_of(model: keras.Model, shape: tuple[int, ...]) -> Callable[[], Any]:
    """Return a run of the model's graph on random pixels."""
    graph = tf.function(lambda x: model(x, training=False))
    x = tf.constant(np.random.default_rng(0).random(shape, "float32"))
    return lambda: graph(x)


def compare(height: int, width: int, head: str, side: int, rounds: int) -> str:
    """Return a row of the table: one window, one image."""
    model = network(height, width, head)
    own = window_stride(model)
    crops = call_of(model, (BATCH, height, width, 1))
    image = (1, side, side, 1)
    calls = [call_of(convolutionalize(model), image), call_of(convolutionalize(model, 1), image)]
    times = seconds([*calls, lambda: [crops() for _ in range(BATCHES)]], rounds)
    windows = [int(np.prod(scan_size((height, width), stride, side))) for stride in (own, 1)]
    coarse, fine = (times[:, 2] * count / (BATCH * BATCHES) / times[:, i] for i, count in enumerate(windows))
    ratio = times[:, 1] / times[:, 0]
    figures = [np.median(column) for column in (times[:, 0], times[:, 1], coarse, fine, ratio)]
    return "| {} x {}, {} | {} x {} | {:.4f} s | {:.3f} s | {:.1f} x | {:.1f} x | {:.1f} x |".format(
        height, width, head, side, side, *figures
    )


def shipped(side: int, rounds: int) -> str:
    """Return a row of the table for the detector that ships, which has one stride alone: its own."""
    served = ServedModel(model_paths.resolve("digit-scenes"))
    spec = ScanSpec.from_json(served.card.input)
    pixels = np.random.default_rng(0).random((BATCH, *spec.window, spec.channels), "float32") * 255
    image = tf.random.uniform((1, side, side, spec.channels), maxval=255.0)
    crops = tf.constant(pixels)
    run = lambda x: served.run("windows", pixels=x)  # noqa: E731
    times = seconds([lambda: run(image), lambda: [run(crops) for _ in range(BATCHES)]], rounds)
    windows = int(np.prod(run(image)["outputs"].shape[1:3]))
    faster = np.median(times[:, 1] * windows / (BATCH * BATCHES) / times[:, 0])
    height, width = spec.window
    return (
        f"| {height} x {width}, digit-scenes (stride {spec.stride}) | {side} x {side} | "
        f"{np.median(times[:, 0]):.4f} s | | {faster:.1f} x | | |"
    )


def line(rounds: int, sides: tuple[int, ...]) -> list[str]:
    """Return the table of cost against area, and the line that fits it."""
    dense = convolutionalize(network(32, 32, "dense"))
    times = np.median(seconds([call_of(dense, (1, side, side, 1)) for side in sides], rounds), axis=0)
    areas = np.array([side**2 for side in sides]) / 1e6
    slope, offset = np.polyfit(areas, times, 1)
    residuals = times - (slope * areas + offset)
    fit = 1 - residuals.var() / times.var()
    rows = [
        f"| {side} x {side} | {area:.3f} | {time * 1e3:.1f} ms | {time / area * 1e3:.0f} ms |"
        for side, area, time in zip(sides, areas, times, strict=True)
    ]
    return [*rows, "", f"Line: {slope * 1e3:.1f} ms a million pixels {offset * 1e3:+.1f} ms, R^2 = {fit:.4f}."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="images of at most 512 x 512 pixels")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of timing (default: 9)")
    arguments = parser.parse_args()
    sides = (256,) if arguments.quick else (256, 1024)
    print("Targets: crops at stride 4 at least 12 x, at stride 1 at least 20 x; stride 1 over stride 4 at most 11 x.\n")
    print("| window | image | dense, stride 4 | dense, stride 1 | crops over dense, stride 4 | stride 1 | 1 over 4 |")
    print("|---|---|---|---|---|---|---|")
    for height, width, head in ((32, 32, "dense"), (40, 100, "dense"), (40, 100, "pooled")):
        for side in sides:
            print(compare(height, width, head, side, arguments.rounds), flush=True)
    for side in sides:
        print(shipped(side, arguments.rounds), flush=True)
    print("\n| image | million pixels | dense, stride 4 | a million pixels |\n|---|---|---|---|")
    print("\n".join(line(arguments.rounds, tuple(side for side in AREAS if side <= 2 * sides[-1]))))


if __name__ == "__main__":
    main()
