"""A classifier of windows as it was built: its calls, the window that it takes, and its own stride."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ..analysis.model_graph import Call, calls
from ..core.geometry import positive_ints
from .supported_layers import WINDOWED, window_of

__all__ = ["Pair", "WindowClassifier", "own_stride", "pair", "scan_size"]

Pair = tuple[int, int]
"""Of the height and the width."""


@dataclass(frozen=True)
class WindowClassifier:
    """A model that takes one image of known size.

    Args:
        calls: of its layers, each after those it depends on; the image first.
        outputs: the numbers of its output tensors.
        window: (height, width) of the image.
        stride: the product of its layers' strides, (height, width); of several outputs the least common multiple.
        structure: its outputs as the model gives them: one, a list or a dictionary.
    """

    calls: tuple[Call, ...]
    outputs: tuple[int, ...]
    window: Pair
    stride: Pair
    structure: Any

    @classmethod
    def read(cls, model: keras.Model) -> WindowClassifier:
        """Read a model.

        Raises:
            ValueError: if it has no graph to read, or its input is not one image of known size.
        """
        found, outputs = _read(model)
        inputs = [call for call in found if not call.inputs]
        if len(inputs) > 1:
            raise ValueError(f"The classifier must have one input. Received: {[call.name for call in inputs]}.")
        shape = found[0].output_shapes[0]
        if len(shape) != 4 or None in shape[1:]:
            raise ValueError(
                "The classifier's input must be an image of known size, (batch, height, width, channels). "
                f"Received: {shape}."
            )
        window = int(shape[1] or 0), int(shape[2] or 0)
        structure = model.outputs[0] if isinstance(model, keras.Sequential) else model.output
        return cls(tuple(found), tuple(outputs), window, _whole_stride(found, outputs), structure)

    def pack(self, tensors: Sequence[Any]) -> Any:
        """Return one tensor for each output in the structure of the outputs."""
        return keras.tree.pack_sequence_as(self.structure, list(tensors))


def scan_size(window: int | Pair, stride: int | Pair, image_size: int | Pair) -> Pair:
    """Return how many windows fit into an image, (rows, columns): `(size - window) // stride + 1`, or 0.

    Args:
        window: int or (height, width), of the window.
        stride: likewise, pixels between windows.
        image_size: likewise.

    Raises:
        ValueError: if an argument is not positive.

    Example:
        >>> from layers.fully_convolutional.window_classifier import scan_size
        >>> scan_size((40, 100), 4, (200, 300))
        (41, 51)
    """
    arguments = zip(pair(image_size, "image_size"), pair(window, "window"), pair(stride, "stride"), strict=True)
    rows, columns = (max((size - w) // step + 1, 0) for size, w, step in arguments)
    return rows, columns


def own_stride(call: Call) -> Pair:
    """Return the (height, width) stride of a call: 1 where there is but one position to go to."""
    if not isinstance(call.operation, WINDOWED):
        return (1, 1)
    sizes = call.input_shapes[0][1:3]
    height, width = (s if n != 1 else 1 for s, n in zip(window_of(call.operation).strides, sizes, strict=True))
    return height, width


def pair(value: int | Sequence[int], name: str) -> Pair:
    """Return (height, width) from both or one int for both.

    Raises:
        ValueError: if it is neither, or not positive.
    """
    height, width = positive_ints(value, 2, name)
    return height, width


def _read(model: keras.Model) -> tuple[list[Call], list[int]]:
    """Return the calls of a model, and the numbers of its output tensors."""
    calls(model)  # refuses what has no graph
    # The outputs are marked by a layer each, since a list of calls does not say which of its tensors they are.
    marks = [keras.layers.Identity(name=f"mark_of_output_{number}") for number in range(len(model.outputs))]
    marked = [mark(x) for mark, x in zip(marks, model.outputs, strict=True)]
    found = calls(keras.Model(model.inputs, marked))
    outputs = {id(call.operation): call.inputs[0] for call in found if call.operation in marks}
    return [call for call in found if call.operation not in marks], [outputs[id(mark)] for mark in marks]


def _whole_stride(found: Sequence[Call], outputs: Sequence[int]) -> Pair:
    strides: dict[int, Pair] = {}
    for call in found:
        given = [strides[number] for number in call.inputs]
        strides.update(dict.fromkeys(call.outputs, _common(given, own_stride(call))))
    return _common([strides[number] for number in outputs], (1, 1))


def _common(strides: Sequence[Pair], times: Pair) -> Pair:
    """Return the least common multiple of strides, times another."""
    height, width = (math.lcm(*(stride[axis] for stride in strides)) * times[axis] for axis in (0, 1))
    return height, width
