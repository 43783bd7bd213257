"""Draw the pictures of docs/layers.md from the layers themselves: `python docs/draw_layers.py`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import colormaps
from matplotlib import pyplot as plt
from sklearn.datasets import load_sample_image

import layers
from cnnapp.playground.connectivity import connections
from layers.analysis.dilation_check import check_dilation_rates
from layers.analysis.receptive_field import receptive_fields
from layers.convolutional.filter_bank import filter_kernel
from layers.core.padding import pad

INK, FAINT = "#1b1f24", "#c9d1d9"
PAGE = {
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "text.color": INK,
    "axes.titlesize": 11,
    "figure.dpi": 110,
    "figure.constrained_layout.h_pad": 0.12,
}


def colours(weights: np.ndarray) -> np.ndarray:
    """Return a colour a weight: few weights get clear ones, many a rainbow."""
    count = weights.max()
    if count <= 10:
        return np.array([colormaps["tab10"](i) for i in range(count)])
    return colormaps["turbo"](np.linspace(0.03, 0.97, count))


NAMES = {
    "plain": "Plain: one kernel, {0} weights",
    "tiled": "Tiled, tile_shape=2: two kernels, {0} weights",
    "unshared": "Unshared: a kernel a position, {0} weights",
    "dense": "Dense: every pair, {0} weights",
}


def draw_connectivity(inputs: int = 8) -> plt.Figure:
    """Draw who is joined with whom; lines of one colour are one weight."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 5), layout="constrained")
    for axis, (name, title) in zip(axes.flat, NAMES.items(), strict=True):
        weights = connections(name, inputs)
        palette = colours(weights)
        for j, i in zip(*np.nonzero(weights), strict=True):
            colour = palette[weights[j, i] - 1]
            axis.plot([i, j + 1], [0, 1], color=colour, linewidth=1.0 if name == "dense" else 2.2, zorder=1)
        for places, height in ((range(inputs), 0), (range(1, len(weights) + 1), 1)):
            axis.scatter(places, [height] * len(places), s=130, color="white", edgecolor=INK, linewidth=1.3, zorder=2)
        axis.text(-0.9, 0, "input", ha="right", va="center", fontsize=9)
        axis.text(-0.9, 1, "output", ha="right", va="center", fontsize=9)
        axis.set(title=title.format(weights.max()), xlim=(-2.3, inputs - 0.4), ylim=(-0.2, 1.2))
        axis.axis("off")
    return figure


def draw_matrices(inputs: int = 6) -> plt.Figure:
    """Draw the same four, over a small image, as the matrices they are."""
    figure, axes = plt.subplots(1, 4, figsize=(12, 2.9), layout="constrained")
    for axis, name in zip(axes, NAMES, strict=True):
        weights = connections(name, inputs, rank=2)
        palette = np.concatenate([[[1, 1, 1, 1]], colours(weights)])
        axis.imshow(palette[weights], interpolation="nearest", aspect="auto")
        share = np.count_nonzero(weights) / weights.size
        axis.set(title=f"{name}: {weights.max()} weights,\n{share:.0%} of the entries", xticks=[], yticks=[])
    axes[0].set_ylabel(f"{(inputs - 2) ** 2} outputs")
    figure.supxlabel(f"{inputs**2} inputs: an image of {inputs} x {inputs}, row by row", fontsize=10)
    return figure


def draw_dilation() -> plt.Figure:
    """Draw how often each input pixel is read by one output, through three layers of every choice of rates."""
    choices = [[1, 1, 1], [1, 2, 4], [1, 2, 5], [2, 2, 2]]
    figure, axes = plt.subplots(1, len(choices), figsize=(12, 3.5), layout="constrained")
    for axis, rates in zip(axes, choices, strict=True):
        found = check_dilation_rates(rates)
        model = keras.Sequential([keras.Input((found.extent, found.extent, 1))])
        for rate in rates:
            model.add(layers.DilatedConv2D(1, 3, dilation_rate=rate, data_format="channels_last"))
        paths = np.ones((1, 1))
        for rate in rates:
            shifts = [(i * rate, (2 - i) * rate) for i in range(3)]
            paths = sum(np.pad(paths, (rows, columns)) for rows in shifts for columns in shifts)
        field = receptive_fields(model)[-1].axes[0]
        assert paths.shape == (int(field.size),) * 2  # what is drawn is what the layers see
        axis.imshow(np.where(paths, paths, np.nan), cmap="viridis", vmin=0)
        axis.set_facecolor("#f3d9d6")
        holes = "every pixel is read" if found.ok else f"{found.reached**2} of {found.extent**2} pixels are read"
        axis.set(title=f"rates {rates}: {found.extent} x {found.extent}\n{holes}", xticks=[], yticks=[])
    return figure


def draw_receptive_fields() -> plt.Figure:
    """Draw how the receptive field of one output grows, layer by layer."""
    stacks = {
        "kernel 3": [("DilatedConv1D", {})] * 4,
        "kernel 3, stride 2": [("DilatedConv1D", {"strides": 2})] * 4,
        "kernel 3, rates 1, 2, 4, 8": [("DilatedConv1D", {"dilation_rate": 2**i}) for i in range(4)],
    }
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained", sharey=True)
    for axis, (title, stack) in zip(axes, stacks.items(), strict=True):
        model = keras.Sequential([keras.Input((64, 1))])
        for name, options in stack:
            model.add(getattr(layers, name)(1, 3, data_format="channels_last", **options))
        fields = [row.axes[0] for row in receptive_fields(model)]
        for depth, field in enumerate(fields):
            units = int((fields[-1].size - field.size) / field.jump) + 1
            places = [float(field.center + j * field.jump) for j in range(units)]
            axis.scatter(places, [depth] * units, s=16, color=colormaps["viridis"](depth / 4.6), zorder=2)
            if depth:
                below = fields[depth - 1]
                rate = stack[depth - 1][1].get("dilation_rate", 1)
                for j, place in enumerate(places):
                    for i in range(3):
                        start = float(below.center + (j * field.jump) + i * rate * below.jump)
                        axis.plot([start, place], [depth - 1, depth], color=FAINT, linewidth=0.8, zorder=1)
        sizes = ", ".join(str(int(field.size)) for field in fields[1:])
        axis.set(title=f"{title}\nsees {sizes} inputs", xticks=[], yticks=range(5))
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    axes[0].set_ylabel("layer")
    return figure


def sample(size: int = 96) -> np.ndarray:
    """Return a small grey photograph in 0..1."""
    image = load_sample_image("china.jpg")[60:420, 120:480].mean(axis=-1) / 255
    step = image.shape[0] // size
    return image[: size * step, : size * step].reshape(size, step, size, step).mean(axis=(1, 3))


def draw_padding() -> plt.Figure:
    """Draw what each padding mode puts around an image."""
    modes = ["constant", "reflect", "symmetric", "edge", "wrap"]
    figure, axes = plt.subplots(1, len(modes), figsize=(12, 2.8), layout="constrained")
    image = sample(48)
    for axis, mode in zip(axes, modes, strict=True):
        geometry = layers.core.geometry.ConvGeometry((1, 1), padding=16, padding_mode=mode)
        axis.imshow(keras.ops.convert_to_numpy(pad(image[None, ..., None], geometry))[0, ..., 0], cmap="gray")
        axis.add_patch(plt.Rectangle((15.5, 15.5), 48, 48, fill=False, color="#d1242f", linewidth=1.5))
        axis.set(title=mode, xticks=[], yticks=[])
    return figure


def draw_filters() -> plt.Figure:
    """Draw what hand-designed kernels see in a photograph."""
    names = ["gaussian_blur", "sharpen", "edges", "sobel_x", "sobel_y", "laplacian"]
    image = sample(120)
    bank = layers.FilterBank2D(filters=names, padding_mode="reflect", data_format="channels_last")
    outputs = keras.ops.convert_to_numpy(bank(image[None, ..., None].astype("float32")))[0]
    figure, axes = plt.subplots(1, 1 + len(names), figsize=(12, 2.2), layout="constrained")
    axes[0].imshow(image, cmap="gray")
    axes[0].set(title="image", xticks=[], yticks=[])
    for i, (axis, name) in enumerate(zip(axes[1:], names, strict=True)):
        signed = abs(filter_kernel(name).sum()) < 1e-6
        limit = np.quantile(abs(outputs[..., i]), 0.99)
        span = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit} if signed else {"cmap": "gray", "vmin": 0, "vmax": 1}
        axis.imshow(outputs[..., i], **span)
        axis.set(title=name, xticks=[], yticks=[])
    return figure


PICTURES = {
    "connectivity": draw_connectivity,
    "matrices": draw_matrices,
    "dilation": draw_dilation,
    "receptive_fields": draw_receptive_fields,
    "padding": draw_padding,
    "filters": draw_filters,
}


def main() -> None:
    """Draw every picture into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(PAGE):
        for name, draw in PICTURES.items():
            figure = draw()
            figure.savefig(options.out / f"{name}.png", metadata={"Software": None})
            plt.close(figure)
            print(options.out / f"{name}.png")


if __name__ == "__main__":
    main()
