"""The calls of a Keras model in the order they run, nested models opened up, with the shapes that pass through."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

__all__ = ["Call", "calls", "data_format_of", "label"]

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Call:
    """One call of a layer, or of one of Keras's operations.

    Args:
        name: the layer's; inside a nested model "model/layer", and of a second call of the same layer "layer#2".
        operation: the layer.
        inputs: numbers of the tensors it reads; none for an input of the model.
        outputs: numbers of the tensors it gives.
        input_shapes: with the batch, None where unknown.
        output_shapes: likewise.
        dtypes: of the outputs.
    """

    name: str
    operation: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...]


def calls(model: Any, *, input_sizes: Sequence[int] | None = None) -> list[Call]:
    """Return every call of a model, each after those it depends on.

    Args:
        model: a built functional or sequential model.
        input_sizes: the size of every spatial axis of the input, where the model leaves it open.

    Returns:
        One `Call` a layer that is called, the inputs of the model first.

    Raises:
        ValueError: if the model has no graph to read, or does not take these sizes.

    Example:
        >>> import keras
        >>> from layers.analysis.model_graph import calls
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv")])
        >>> calls(model)[-1].name, calls(model)[-1].output_shapes
        ('conv', ((None, 6, 6, 4),))
    """
    inputs = _graph(model)[0]
    shapes = [tuple(tensor.shape) for tensor in inputs]
    if input_sizes is not None:
        data_format = data_format_of(calls(model))
        shapes = [_resized(shape, tuple(input_sizes), data_format) for shape in shapes]
    specs = [keras.KerasTensor(shape, x.dtype) for shape, x in zip(shapes, inputs, strict=True)]
    trace = _Trace()
    entries = []
    for tensor, spec in zip(inputs, specs, strict=True):
        node = _maker(tensor)
        name, operation = (tensor.name, None) if node is None else (node.operation.name, node.operation)
        entries += trace.add(trace.name(name), operation, [], [spec])
    trace.open(model, "", entries)
    return trace.found


def data_format_of(found: Sequence[Call]) -> str:
    """Return the data format that all the layers agree on; Keras's own setting where none has any.

    Raises:
        ValueError: if two disagree.
    """
    formats = {getattr(call.operation, "data_format", None) or "": call.name for call in found}
    formats.pop("", None)
    if len(formats) > 1:
        names = " but ".join(f"{name!r} is {data_format}" for data_format, name in formats.items())
        raise ValueError(f"All layers of a model must have one `data_format`. Received: {names}.")
    return str(next(iter(formats), keras.config.image_data_format()))


def label(call: Call) -> str:
    """Return how an error names a call."""
    return f"layer {call.name!r} ({type(call.operation).__name__})"


@dataclass
class _Entry:
    """A tensor on its way through the model: its number and what is known of it."""

    number: int
    spec: Any


class _Trace:
    def __init__(self) -> None:
        self.found: list[Call] = []
        self._taken: set[str] = set()
        self._tensors = 0

    def name(self, name: str) -> str:
        """Return a name that no other call has."""
        counted = (name if count == 1 else f"{name}#{count}" for count in itertools.count(1))
        free = next(candidate for candidate in counted if candidate not in self._taken)
        self._taken.add(free)
        return free

    def add(self, name: str, operation: Any, inputs: list[_Entry], outputs: list[Any]) -> list[_Entry]:
        """Append one call, and return the tensors that it gives."""
        entries = [_Entry(self._tensors + i, spec) for i, spec in enumerate(outputs)]
        self._tensors += len(entries)
        call = Call(
            name,
            operation,
            tuple(entry.number for entry in inputs),
            tuple(entry.number for entry in entries),
            tuple(tuple(entry.spec.shape) for entry in inputs),
            tuple(tuple(spec.shape) for spec in outputs),
            tuple(spec.dtype for spec in outputs),
        )
        self.found.append(call)
        return entries

    def open(self, model: Any, prefix: str, entries: list[_Entry]) -> list[_Entry]:
        """Append the calls inside a model that is called with these tensors, and return those that it gives."""
        inputs, outputs, nodes = _graph(model)
        known = {id(tensor): entry for tensor, entry in zip(inputs, entries, strict=True)}
        specs = iter(_specs(inputs, [x for node in nodes for x in node.outputs], [entry.spec for entry in entries]))
        for node in nodes:
            results = [next(specs) for _ in node.outputs]
            given = [known[id(tensor)] for tensor in node.input_tensors]
            name = self.name(prefix + node.operation.name)
            if isinstance(node.operation, keras.Model):
                fresh = self.open(node.operation, f"{name}/", given)
            else:
                fresh = self.add(name, node.operation, given, results)
            known.update({id(tensor): entry for tensor, entry in zip(node.outputs, fresh, strict=True)})
        return [known[id(tensor)] for tensor in outputs]


def _specs(inputs: list[Any], tensors: list[Any], specs: list[Any]) -> list[Any]:
    if not tensors:
        return []
    try:
        found: list[Any] = keras.Function(inputs, tensors).compute_output_spec(specs)
        return found
    except ValueError as error:
        sizes = [tuple(spec.shape) for spec in specs]
        raise ValueError(f"The model does not take inputs of these shapes. Received: {sizes}. Keras: {error}") from None


def _resized(shape: Shape, sizes: tuple[int, ...], data_format: str) -> Shape:
    if len(shape) != len(sizes) + 2 or any(size < 1 for size in sizes):
        raise ValueError(
            f"`input_sizes` must hold one size >= 1 for each axis between batch and channels of an input. "
            f"Received: input_sizes={sizes}, for an input of shape {shape}."
        )
    return (shape[0], *sizes, shape[-1]) if data_format == "channels_last" else (*shape[:2], *sizes)


def _maker(tensor: Any) -> Any:
    """Return the node that made a tensor: with `_graph`, the one place that reads what Keras keeps to itself."""
    history = tensor._keras_history
    return None if history.operation is None else history.operation._inbound_nodes[history.node_index]


def _graph(model: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the inputs and outputs of a model, and the nodes between them, each after those it depends on."""
    try:
        inputs, outputs = list(model.inputs), list(model.outputs)
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            "`model` must be a functional model or a built sequential one; other models have no graph to read. "
            f"Received: model={model!r}."
        ) from None
    given = {id(tensor) for tensor in inputs}
    order: list[Any] = []
    done: set[int] = set()
    # By a stack and not by recursion: networks are deeper than Python's stack.
    waiting = [(_maker(tensor), False) for tensor in reversed(outputs) if id(tensor) not in given]
    while waiting:
        node, ready = waiting.pop()
        if id(node) in done:
            continue
        if ready:
            done.add(id(node))
            order.append(node)
            continue
        waiting.append((node, True))
        waiting += [(_maker(tensor), False) for tensor in reversed(node.input_tensors) if id(tensor) not in given]
    return inputs, outputs, order
