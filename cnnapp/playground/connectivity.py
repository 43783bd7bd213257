"""Who is joined with whom, and by which weight: plain, tiled, unshared and dense layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

import layers
from cnnapp.playground import colours, svg
from layers.analysis.conv_matrix import convolution_matrix
from layers.analysis.cost import costs
from pipelines.core.errors import ConfigError

__all__ = ["KINDS", "Count", "connections", "count", "draw_connections"]

KINDS = ("plain", "tiled", "unshared", "dense")


@dataclass(frozen=True)
class Count:
    """What a layer costs, and how that comes about.

    Args:
        parameters: weights that are kept, without biases.
        multiply_adds: weights that are applied.
        outputs: units on the axis above.
        parameter_formula: the number of parameters with numbers filled in.
        multiply_add_formula: likewise.
    """

    parameters: int
    multiply_adds: int
    outputs: int
    parameter_formula: str
    multiply_add_formula: str


def connections(kind: str, inputs: int, kernel_size: int = 3, tile_shape: int = 2, rank: int = 1) -> np.ndarray:
    """Return which weight joins every output with every input.

    Args:
        kind: one of `KINDS`.
        inputs: units on each axis of the input.
        kernel_size: on each axis.
        tile_shape: the period of the kernels of a tiled layer, on each axis.
        rank: number of axes.

    Returns:
        int `(outputs, inputs)`, both numbered row by row: the number of the weight, from 1, and 0 where there is none.

    Raises:
        ConfigError: if the kernel is larger than the input.

    Example:
        >>> from cnnapp.playground.connectivity import connections
        >>> connections("plain", 4).tolist()
        [[1, 2, 3, 0], [0, 1, 2, 3]]

    Reference:
        Goodfellow, Bengio and Courville, 2016, "Deep Learning", sections 9.2 and 9.5.
    """
    outputs = _outputs(inputs, kernel_size)
    if kind == "dense":
        shape = (outputs**rank, inputs**rank)
        return np.arange(1, shape[0] * shape[1] + 1).reshape(shape)
    layer = _layer(kind, rank, 1, kernel_size, tile_shape)
    layer.build((None, *[inputs] * rank, 1))
    (kernel,) = layer.get_weights()
    layer.set_weights([np.arange(1, kernel.size + 1, dtype="float32").reshape(kernel.shape)])
    matrix: np.ndarray = convolution_matrix(layer, (*[inputs] * rank, 1), dense=True)
    return matrix.round().astype(int)


def count(
    kind: str, inputs: int, kernel_size: int = 3, tile_shape: int = 2, channels: int = 1, filters: int = 1
) -> Count:
    """Count the weights of a one-dimensional layer, and how often they are applied.

    Args:
        kind: one of `KINDS`.
        inputs: units of the input.
        kernel_size: taps of the kernels.
        tile_shape: the period of the kernels of a tiled layer.
        channels: of the input.
        filters: channels of the output.

    Returns:
        A `Count`, its numbers from the layer itself.

    Raises:
        ConfigError: if the kernel is larger than the input.

    Example:
        >>> from cnnapp.playground.connectivity import count
        >>> count("plain", 8).parameters, count("unshared", 8).parameters, count("dense", 8).parameters
        (3, 18, 48)
    """
    outputs = _outputs(inputs, kernel_size)
    if kind == "dense":
        steps: list[Any] = [keras.Input((inputs * channels,)), keras.layers.Dense(outputs * filters, use_bias=False)]
    else:
        steps = [keras.Input((inputs, channels)), _layer(kind, 1, filters, kernel_size, tile_shape)]
    total = costs(keras.Sequential(steps)).total
    deep = "" if channels == filters == 1 else f" · {channels} · {filters}"
    written = {
        "plain": (f"{kernel_size}", f"{outputs} · {kernel_size}"),
        "tiled": (f"{tile_shape} · {kernel_size}", f"{outputs} · {kernel_size}"),
        "unshared": (f"{outputs} · {kernel_size}", f"{outputs} · {kernel_size}"),
        "dense": (f"{outputs} · {inputs}", f"{outputs} · {inputs}"),
    }[kind]
    numbers = (total.parameters, total.multiply_adds)
    formulas = [
        f"{text}{deep} = {number:,}" if "·" in text + deep else text
        for text, number in zip(written, numbers, strict=True)
    ]
    return Count(*numbers, outputs, *formulas)


def draw_connections(weights: np.ndarray, *, output: int | None = None, input_: int | None = None) -> str:
    """Draw the units of a one-dimensional layer and who is joined with whom; lines of one colour are one weight.

    Args:
        weights: int `(outputs, inputs)`, from `connections`.
        output: the output whose lines alone are drawn strongly.
        input_: the input whose lines alone are drawn strongly.

    Returns:
        An SVG document, the inputs below.
    """
    outputs, inputs = weights.shape
    step, margin, top, bottom = 44, 30, 24, 132
    root = svg.begin(2 * margin + (inputs - 1) * step, bottom + 24)
    palette = colours.many(int(weights.max()))
    below = [margin + step * i for i in range(inputs)]
    above = [margin + step * (inputs - outputs) / 2 + step * j for j in range(outputs)]
    everything = output is None and input_ is None
    strong = {(j, i) for j, i in np.argwhere(weights).tolist() if everything or j == output or i == input_}
    for j, i in sorted(np.argwhere(weights).tolist(), key=lambda pair: tuple(pair) in strong):
        colour = colours.to_hex(palette[weights[j, i] - 1]) if (j, i) in strong else "#d5d9df"
        width = 2.6 if (j, i) in strong else 1.2
        ends = {"x1": below[i], "y1": bottom, "x2": above[j], "y2": top}
        svg.add(root, "line", stroke=colour, stroke_width=width, **ends)
    joined = {"below": {i for _, i in strong}, "above": {j for j, _ in strong}}
    for side, places, y in (("below", below, bottom), ("above", above, top)):
        for number, x in enumerate(places):
            filled = not everything and number in joined[side]
            fill = colours.READ if filled else "white"
            svg.add(root, "circle", cx=x, cy=y, r=14, fill=fill, stroke=colours.INK, stroke_width=1.5)
            svg.write(root, str(number + 1), x=x, y=y, font_size=13)
    return svg.finish(root)


def _layer(kind: str, rank: int, filters: int, kernel_size: int, tile_shape: int) -> Any:
    name = {"plain": "Dilated", "tiled": "Tiled", "unshared": "Unshared"}[kind]
    options = {"tile_shape": tile_shape} if kind == "tiled" else {}
    family = getattr(layers, f"{name}Conv{rank}D")
    return family(filters, kernel_size, use_bias=False, data_format="channels_last", **options)


def _outputs(inputs: int, kernel_size: int) -> int:
    if kernel_size > inputs:
        raise ConfigError(
            f"The kernel must not be larger than the input. Received: kernel_size={kernel_size}, {inputs} inputs; take "
            "a smaller kernel or more inputs."
        )
    return inputs - kernel_size + 1
