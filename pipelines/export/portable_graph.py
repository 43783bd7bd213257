"""A signature of a saved model as one graph without variables that converters to other formats take.

The graph is the saved one. Operations that other formats lack, or compute otherwise, are replaced
(:mod:`pipelines.export.portable_ops`), and constants are moved into the loops that use them, because converters look
for kernels and their shapes where they are used.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.export.portable_ops import OUTPUTS, stand_in

__all__ = ["PortableGraph", "portable"]

_CALLED = {
    "While": ("cond", "body"),
    "StatelessWhile": ("cond", "body"),
    "If": ("then_branch", "else_branch"),
    "StatelessIf": ("then_branch", "else_branch"),
}
"""Operations that call functions, and by which attributes."""
_FIRST = ":output:0"
"""How a function's nodes refer to the only output of another."""
_SMALL = 1024
"""Bytes of a constant. Small ones stay where they are as well: a loop's limit of rounds is one of them."""
_numbers = itertools.count()


@dataclass(frozen=True)
class PortableGraph:
    """A graph without variables.

    Args:
        graph: a ``GraphDef``.
        inputs: what the signature takes, by name, as tensor specs.
        feeds: the tensors of the graph that stand for them, by name.
        fetches: the tensors that are the signature's outputs, by name.
    """

    graph: Any
    inputs: dict[str, tf.TensorSpec]
    feeds: dict[str, str]
    fetches: dict[str, str]

    def function(self) -> Any:
        """Return it as a ``tf.function`` that takes the inputs in their order, and gives the outputs by name."""
        imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(self.graph, name=""), [])
        named = imported.graph.as_graph_element
        pruned = imported.prune(
            [named(self.feeds[name]) for name in self.inputs], [named(t) for t in self.fetches.values()]
        )

        @tf.function(input_signature=list(self.inputs.values()), autograph=False)
        def run(*values: tf.Tensor) -> dict[str, tf.Tensor]:
            return dict(zip(self.fetches, pruned(*values), strict=True))

        return run


def portable(signature: Any) -> PortableGraph:
    """Make a signature of a saved model portable.

    Args:
        signature: of a model as ``tf.saved_model.load`` gives it.

    Returns:
        A graph that gives the same answers.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(signature, lower_control_flow=False, aggressive_inlining=True)
    graph = frozen.graph.as_graph_def()
    _replace(graph, {each.name: _shape(each) for each in frozen.graph.get_operations() if each.outputs})
    _sink_constants(graph)
    _keep_loops(graph)
    _rename(graph)
    feeds = {tensor.name.partition(":")[0]: tensor.name for tensor in frozen.inputs}
    # A signature's outputs are flattened in the order of their names.
    fetches = dict(zip(sorted(signature.structured_outputs), (tensor.name for tensor in frozen.outputs), strict=True))
    specs = signature.structured_input_signature[1]
    return PortableGraph(graph, {name: specs[name] for name in feeds}, feeds, fetches)


def _bodies(graph: Any) -> Iterator[tuple[Any, Any]]:
    """Give the nodes of the graph and of each of its functions, with the function."""
    yield graph.node, None
    for function in graph.library.function:
        yield function.node_def, function


def _shape(operation: tf.Operation) -> tf.TensorShape:
    """Return what is known of the shape of an operation's first output."""
    if operation.type != "Pad" or operation.inputs[0].shape.rank is None:
        return operation.outputs[0].shape
    # Where some margins are known only when it runs, TensorFlow gives up on all sides.
    margins = tf.get_static_value(operation.inputs[1], partial=True)
    if margins is None:
        return operation.outputs[0].shape
    kept = [margin is not None and not np.any(margin) for margin in margins]
    return tf.TensorShape([side if same else None for side, same in zip(operation.inputs[0].shape, kept, strict=True)])


def _replace(graph: Any, shapes: dict[str, tf.TensorShape]) -> None:
    """Make calls of all operations for which something else stands.

    Args:
        graph: a ``GraphDef``.
        shapes: what is known of the shapes of the first outputs, by the names of the nodes outside functions.
    """
    called: dict[str, Any] = {}
    for nodes, function in _bodies(graph):
        replaced: dict[str, tuple[str, ...]] = {}
        for node in nodes:
            shape = tf.TensorShape(None) if function is not None else shapes.get(node.name, tf.TensorShape(None))
            found = stand_in(node, shape) if node.op in OUTPUTS else None
            if found is not None:
                replaced[node.name] = OUTPUTS[node.op]
                signature = found.function_def.signature
                called[signature.name] = found
                _call(node, signature)
        if function is not None:
            for node in nodes:
                node.input[:] = [_renumbered(text, replaced) for text in node.input]
            for name, text in function.ret.items():
                function.ret[name] = _renumbered(text, replaced)
    known = {function.signature.name for function in graph.library.function}
    for found in called.values():
        for function in (found.function_def, *found.graph.as_graph_def().library.function):
            if function.signature.name not in known:
                known.add(function.signature.name)
                graph.library.function.append(function)


def _call(node: Any, signature: Any) -> None:
    node.op = "PartitionedCall"
    node.attr.clear()
    node.attr["Tin"].list.type.extend(argument.type for argument in signature.input_arg)
    node.attr["Tout"].list.type.extend(argument.type for argument in signature.output_arg)
    node.attr["f"].func.name = signature.name


def _renumbered(text: str, replaced: dict[str, tuple[str, ...]]) -> str:
    """Return a reference inside a function, which names the output, for a node that is a call now."""
    node, _, rest = text.partition(":")
    if node not in replaced or not rest:
        return text
    return f"{node}:output:{replaced[node].index(rest.partition(':')[0])}"


def _sink_constants(graph: Any) -> None:
    """Put constants that loops and branches are handed into their functions."""
    functions = {function.signature.name: function for function in graph.library.function}
    times = Counter(value.func.name for nodes, _ in _bodies(graph) for node in nodes for value in node.attr.values())
    # From the outside in: a caller may itself have been given the constant by its own.
    waiting: list[tuple[Any, Any]] = [(graph.node, None)]
    for nodes, function in waiting:
        named = {node.name: node for node in nodes}
        for node in list(nodes):
            if node.op in _CALLED:
                called = [functions[node.attr[role].func.name] for role in _CALLED[node.op]]
                if all(times[each.signature.name] == 1 for each in called):
                    _sink_into(called, node, nodes, function, named)
                waiting += [(each.node_def, each) for each in called]
            elif node.op == "PartitionedCall":
                each = functions[node.attr["f"].func.name]
                waiting.append((each.node_def, each))


def _sink_into(called: list[Any], node: Any, nodes: Any, function: Any, named: dict[str, Any]) -> None:
    loop = node.op.endswith("While")
    given = list(node.input)[0 if loop else 1 :]
    for number, text in enumerate(text for text in given if not text.startswith("^")):
        constant = _source(named, text)
        if constant is None or constant.op != "Const":
            continue
        if loop and not _stays(called[1], number):
            continue
        for each in called:
            _place(each, number, constant)
        if loop and constant.ByteSize() > _SMALL and not _is_read(node, number, nodes, function):
            # Else the loop would still be handed the constant, and converters would write it once more.
            _hand_nothing(node, number, nodes, function, constant, called)


def _source(named: dict[str, Any], text: str) -> Any | None:
    """Return the node that a value comes from unchanged."""
    node = named.get(text.partition(":")[0])
    while node is not None and node.op == "Identity":
        node = named.get(node.input[0].partition(":")[0])
    return node


def _stays(body: Any, number: int) -> bool:
    """Return whether a loop gives a value to its next round as it was."""
    named = {node.name: node for node in body.node_def}
    text = body.ret[body.signature.output_arg[number].name]
    while (node := named.get(text.partition(":")[0])) is not None and node.op == "Identity":
        text = node.input[0]
    return bool(text.partition(":")[0] == body.signature.input_arg[number].name)


def _place(function: Any, number: int, constant: Any) -> None:
    """Let the nodes of a function read a constant of its own instead of an argument."""
    argument = function.signature.input_arg[number].name
    name = f"{argument}/constant"
    used = False
    for node in function.node_def:
        for place, text in enumerate(node.input):
            if text == argument:
                node.input[place], used = name + _FIRST, True
    if used:
        copy = function.node_def.add()
        copy.CopyFrom(constant)
        copy.name = name
        del copy.input[:]


def _is_read(node: Any, number: int, nodes: Any, function: Any) -> bool:
    """Return whether anything reads an output of a loop."""
    if function is not None:
        names = {f"{node.name}:output:{number}"}
    else:
        names = {f"{node.name}:{number}"} | ({node.name} if number == 0 else set())
    read = {text for other in nodes for text in other.input}
    return bool(names & (read | set(function.ret.values() if function is not None else ())))


def _hand_nothing(node: Any, number: int, nodes: Any, function: Any, constant: Any, called: list[Any]) -> None:
    kind = tf.as_dtype(constant.attr["dtype"].type)
    nothing = nodes.add()
    nothing.name, nothing.op = f"{node.name}/nothing_{number}", "Const"
    nothing.attr["dtype"].type = kind.as_datatype_enum
    nothing.attr["value"].tensor.CopyFrom(tf.make_tensor_proto("" if kind == tf.string else 0, kind))
    node.input[number] = nothing.name + (_FIRST if function is not None else "")
    shapes = node.attr["output_shapes"].list.shape
    if shapes:
        shapes[number].Clear()
        shapes[number].unknown_rank = True
    for each in called:
        each.arg_attr[number].attr.pop("_output_shapes", None)


def _keep_loops(graph: Any) -> None:
    """Forbid that loops are taken apart into jumps, from which no converter puts them together again."""
    for nodes, _ in _bodies(graph):
        for node in nodes:
            if "_lower_using_switch_merge" in node.attr:
                node.attr["_lower_using_switch_merge"].b = False


def _rename(graph: Any) -> None:
    """Give the functions names that this process does not know: under the old ones it knows them unchanged."""
    number = next(_numbers)
    names = {each.signature.name: f"portable_{number}_{place}" for place, each in enumerate(graph.library.function)}
    for nodes, function in _bodies(graph):
        if function is not None:
            function.signature.name = names[function.signature.name]
        for node in nodes:
            for value in node.attr.values():
                if value.HasField("func"):
                    value.func.name = names[value.func.name]
