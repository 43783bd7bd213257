"""What each unit of a network sees of its input."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..core.data_format import spatial
from ..core.geometry import ConvGeometry
from .layer_windows import Reads, reads_of
from .model_graph import Call, calls, data_format_of

__all__ = ["AxisField", "LayerField", "receptive_fields", "unit_support", "unit_supports"]


@dataclass(frozen=True)
class AxisField:
    """The receptive field along one axis, in input pixels; behind upsampling they may be fractions.

    The unit at position `j` sees the pixels from `start + j * jump` to `start + j * jump + size - 1`, of which those
    outside the image are padding.

    Args:
        size: pixels from the first to the last that is seen, those between that are not included.
        jump: pixels between neighbouring units.
        start: first pixel that the unit at 0 sees; below 0 where there is padding.
    """

    size: Fraction
    jump: Fraction
    start: Fraction

    @property
    def center(self) -> Fraction:
        """The middle of the field of the unit at 0; a pixel's own middle is its index."""
        return self.start + (self.size - 1) / 2

    def window(self, position: int) -> tuple[int, int]:
        """Return the first and the last pixel that a unit sees, which may lie outside the image."""
        first = self.start + position * self.jump
        return math.ceil(first), math.floor(first + self.size - 1)


@dataclass(frozen=True)
class LayerField:
    """The receptive field of the units that a layer gives.

    Args:
        name: the layer's; inside a nested model "model/layer", and of a second call of the same layer "layer#2".
        layer_type: name of its class.
        axes: one field a spatial axis; None where a unit sees the whole input, or may.
        output_sizes: number of units on each axis, None where unknown.
    """

    name: str
    layer_type: str
    axes: tuple[AxisField, ...] | None
    output_sizes: tuple[int | None, ...]


def receptive_fields(
    model: Any, *, input_sizes: Sequence[int] | None = None, geometries: Mapping[type, ConvGeometry] | None = None
) -> list[LayerField]:
    """Return the receptive field of every layer of a model, at inference.

    With each window `size` grows by `(kernel_size - 1) * dilation * jump`, `start` falls by `padding * jump`, and then
    `jump` multiplies by the stride. Where branches meet, the field is the smallest that holds those of both. It is the
    extent: dilation may leave pixels unseen inside. Behind upsampling neighbouring units see windows of
    different sizes, and the field is the smallest of one size that holds them all. Batch normalisation and dropout
    change nothing; global pooling, flattening, normalising over positions and deformable convolution, whose offsets
    have no bound, let a unit see everything. Several inputs are taken as one stack of images.

    Args:
        model: a built functional or sequential Keras model, of Keras's layers and ours; models inside it are opened.
        input_sizes: size of every spatial axis of the input. Needed where the model leaves them open and has 'same'
            padding with strides, which falls on the two sides by size.
        geometries: the windows of further layers, by class.

    Returns:
        One `LayerField` a call of a layer, in the order in which they run, the inputs first.

    Raises:
        ValueError: if a layer is not known, branches meet whose jumps differ, or a size is needed.

    Example:
        >>> import keras
        >>> from layers.analysis.receptive_field import receptive_fields
        >>> model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(6, 5), keras.layers.MaxPooling2D()])
        >>> axis = receptive_fields(model)[-1].axes[0]
        >>> int(axis.size), int(axis.jump), int(axis.start), float(axis.center)
        (6, 2, 0, 2.5)

    Reference:
        Araujo, Norris and Sim, 2019, "Computing receptive fields of convolutional neural networks".
    """
    found, data_format = _traced(model, input_sizes)
    fields: dict[int, tuple[AxisField, ...] | None] = {}
    rows = []
    for call in found:
        sizes = spatial(call.output_shapes[0], data_format)
        if not call.inputs:
            field: tuple[AxisField, ...] | None = (AxisField(Fraction(1), Fraction(1), Fraction(0)),) * len(sizes)
        else:
            reads = reads_of(call, data_format, geometries or {})
            seen = [_seen(fields[number], axes) for number, axes in zip(call.inputs, reads, strict=True)]
            field = _joined(call, seen, found)
        fields.update(dict.fromkeys(call.outputs, field))
        rows.append(LayerField(call.name, type(call.operation).__name__, field, sizes))
    return rows


def unit_support(
    model: Any,
    layer: str,
    position: Sequence[int],
    *,
    input_sizes: Sequence[int] | None = None,
    geometries: Mapping[type, ConvGeometry] | None = None,
) -> tuple[slice, ...]:
    """Return the smallest box of input pixels that holds all that one unit depends on, padding left out.

    Unlike `AxisField.window` it is cut to the image, and follows what becomes of the unit at the borders: pixels that
    no window reaches are not counted, nor are those that a padding of zeros stands for, and padding that repeats
    pixels counts these.

    Args:
        model: as of `receptive_fields`, all sizes known or given.
        layer: name of the layer, as `receptive_fields` gives it.
        position: of the unit, one index a spatial axis of the layer's output.
        input_sizes: size of every spatial axis of the input.
        geometries: the windows of further layers, by class.

    Returns:
        One slice a spatial axis of the input; empty ones if the unit depends on no pixel.

    Raises:
        ValueError: as `receptive_fields`, and if there is no such layer or unit, or a size is not known.

    Example:
        >>> import keras
        >>> from layers.analysis.receptive_field import unit_support
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(6, 5, padding="same", name="conv")])
        >>> unit_support(model, "conv", (0, 4))
        (slice(0, 3, None), slice(2, 7, None))
    """
    return unit_supports(model, {layer: position}, input_sizes=input_sizes, geometries=geometries)[layer]


def unit_supports(
    model: Any,
    positions: Mapping[str, Sequence[int]],
    *,
    input_sizes: Sequence[int] | None = None,
    geometries: Mapping[type, ConvGeometry] | None = None,
) -> dict[str, tuple[slice, ...]]:
    """Return `unit_support` of one unit of each of several layers, for which the model is read once.

    Args:
        model: as of `unit_support`.
        positions: of the units, by the layers' names.
        input_sizes: as of `unit_support`.
        geometries: likewise.

    Returns:
        The boxes, by the layers' names.

    Raises:
        ValueError: as `unit_support`.

    Example:
        >>> import keras
        >>> from layers.analysis.receptive_field import unit_supports
        >>> convolutions = [keras.layers.Conv2D(6, 3, name=name) for name in ("first", "second")]
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), *convolutions])
        >>> unit_supports(model, {"first": (0, 0), "second": (1, 0)})["second"]
        (slice(1, 6, None), slice(0, 5, None))
    """
    found, data_format = _traced(model, input_sizes)
    shape = spatial(found[0].output_shapes[0], data_format)
    if None in shape:
        raise ValueError(f"The sizes of the input must be known: pass `input_sizes`. Received: input shape {shape}.")
    reads = [reads_of(call, data_format, geometries or {}) if call.inputs else () for call in found]
    return {
        layer: _support(found, reads, _named(found, layer), position, data_format)
        for layer, position in positions.items()
    }


def _support(
    found: list[Call],
    reads: list[tuple[tuple[Reads, ...] | None, ...]],
    target: int,
    position: Sequence[int],
    data_format: str,
) -> tuple[slice, ...]:
    needed = {found[target].outputs[0]: _unit(found[target], position, data_format)}
    for call, windows in reversed(list(zip(found[: target + 1], reads, strict=False))):
        wanted = needed.get(call.outputs[0])
        if wanted is None or not call.inputs:
            continue
        shapes = (spatial(shape, data_format) for shape in call.input_shapes)
        for number, sizes, axes in zip(call.inputs, shapes, windows, strict=True):
            indices = _indices(wanted, axes, sizes)
            if all(len(index) for index in indices):
                old = needed.get(number, indices)
                needed[number] = tuple(np.union1d(a, b) for a, b in zip(old, indices, strict=True))
    boxes = [needed[call.outputs[0]] for call in found if not call.inputs and call.outputs[0] in needed]
    if not boxes:
        return (slice(0, 0),) * len(spatial(found[0].output_shapes[0], data_format))
    return tuple(
        slice(int(min(a[0] for a in axis)), int(max(a[-1] for a in axis)) + 1) for axis in zip(*boxes, strict=True)
    )


def _traced(model: Any, input_sizes: Sequence[int] | None) -> tuple[list[Call], str]:
    found = calls(model, input_sizes=input_sizes)
    ranks = {len(call.output_shapes[0]) for call in found if not call.inputs}
    if len(ranks) > 1:
        raise ValueError(f"All inputs of the model must have one rank. Received: inputs of ranks {sorted(ranks)}.")
    return found, data_format_of(found)


def _seen(field: tuple[AxisField, ...] | None, reads: tuple[Reads, ...] | None) -> tuple[AxisField, ...] | None:
    """Return the field of units that read units of this field."""
    if field is None or reads is None:
        return None
    return tuple(
        AxisField(
            axis.size + axis.jump * (read.last - read.first),
            axis.jump * read.jump,
            axis.start + axis.jump * read.first,
        )
        for axis, read in zip(field, reads, strict=True)
    )


def _joined(call: Call, seen: list[tuple[AxisField, ...] | None], found: list[Call]) -> tuple[AxisField, ...] | None:
    fields = [field for field in seen if field is not None]
    if len(fields) < len(seen):
        return None
    joined = []
    for axis, parts in enumerate(zip(*fields, strict=True)):
        if len({part.jump for part in parts}) > 1:
            makers = {number: other.name for other in found for number in other.outputs}
            branches = ", ".join(
                f"{part.jump} from {makers[number]!r}" for number, part in zip(call.inputs, parts, strict=True)
            )
            raise ValueError(
                f"Branches that meet must have one `jump`. Received: on axis {axis} of layer {call.name!r} {branches}."
            )
        start = min(part.start for part in parts)
        end = max(part.start + part.size for part in parts)
        joined.append(AxisField(end - start, parts[0].jump, start))
    return tuple(joined)


def _named(found: list[Call], layer: str) -> int:
    names = [call.name for call in found]
    if layer not in names:
        raise ValueError(f"`layer` must be one of {', '.join(names)}. Received: layer={layer!r}.")
    return names.index(layer)


def _unit(call: Call, position: Sequence[int], data_format: str) -> tuple[np.ndarray, ...]:
    sizes = spatial(call.output_shapes[0], data_format)
    position = tuple(position)
    if len(position) != len(sizes) or any(not 0 <= j < (n or 0) for j, n in zip(position, sizes, strict=True)):
        raise ValueError(
            f"`position` must hold one index for each axis of the units of {call.name!r}, whose sizes are {sizes}. "
            f"Received: position={position}."
        )
    return tuple(np.array([j]) for j in position)


def _indices(
    wanted: tuple[np.ndarray, ...], reads: tuple[Reads, ...] | None, sizes: tuple[int | None, ...]
) -> tuple[np.ndarray, ...]:
    known = [int(size or 0) for size in sizes]
    if reads is None:
        return tuple(np.arange(size) for size in known)
    return tuple(read.inputs(j, size) for j, read, size in zip(wanted, reads, known, strict=True))
