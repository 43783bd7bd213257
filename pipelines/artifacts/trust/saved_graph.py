"""The graphs of a saved model as they are written: nodes, functions, who calls whom, and where a value comes from.

A saved model is a program. Its `saved_model.pb` holds a graph for each set of tags, a library of functions that nodes
call by the names in their attributes, and objects that name the functions Python calls. Nothing is run here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines.core.errors import ModelError

__all__ = ["LARGEST", "Body", "MetaGraph", "Role", "called", "read_meta_graphs", "text_of"]

LARGEST = 256 * 2**20
"""Bytes of a `saved_model.pb` that is looked through. Weights are in other files."""

Role = str
"""What the nodes of a body are run for: "program", "save" or "restore" of variables by the saver."""

_CALLS = ("PartitionedCall", "StatefulPartitionedCall", "StatelessPartitionedCall")
_BRANCHES = ("Case", "If", "StatelessCase", "StatelessIf")
_SAME = ("Identity", "StopGradient", "Snapshot")
_ORIGINS = 50
"""Steps that a value is followed back through calls."""


@dataclass(frozen=True)
class Body:
    """Nodes that run together: the main graph, or a function.

    Args:
        name: of the function; empty for the main graph.
        nodes: by name.
        arguments: names of what the function is given.
    """

    name: str
    nodes: dict[str, Any]
    arguments: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What messages call it."""
        return f"function {self.name!r}" if self.name else "the graph"


def read_meta_graphs(path: Path) -> list[MetaGraph]:
    """Read a `saved_model.pb`.

    Args:
        path: of the file.

    Returns:
        One for each set of tags.

    Raises:
        ModelError: if it is larger than `LARGEST`, or is none.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise ModelError(f"{path}: has more than {LARGEST:,} bytes, more than is looked through before loading")
    saved = SavedModel()
    try:
        saved.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(f"{path}: is damaged, TensorFlow cannot load it: {error}") from None
    if not saved.meta_graphs:
        raise ModelError(f"{path}: holds no graph, TensorFlow cannot load it")
    return [MetaGraph(proto) for proto in saved.meta_graphs]


@dataclass(frozen=True)
class Call:
    """A node that hands its inputs on to a function, in their order.

    Args:
        body: that the node is in.
        node: itself.
        skipped: inputs that are not handed on, the first ones.
        straight: whether each argument is an input of the node; in a loop, for example, it is not.
    """

    body: Body
    node: Any
    skipped: int = 0
    straight: bool = True


@dataclass
class MetaGraph:
    """A graph with its functions.

    Args:
        proto: TensorFlow's record of it.
    """

    proto: Any
    _following: set[tuple[str, str]] = field(default_factory=set)

    @cached_property
    def functions(self) -> dict[str, Body]:
        """The functions of the library, by name."""
        return {
            each.signature.name: Body(
                each.signature.name,
                {node.name: node for node in each.node_def},
                tuple(argument.name for argument in each.signature.input_arg),
            )
            for each in self.proto.graph_def.library.function
        }

    @cached_property
    def main(self) -> Body:
        """The graph that TensorFlow Serving runs, and that signatures name nodes of."""
        return Body("", {node.name: node for node in self.proto.graph_def.node})

    def bodies(self) -> Iterator[Body]:
        """Give the main graph and every function, called or not."""
        yield self.main
        yield from self.functions.values()

    @cached_property
    def assets(self) -> list[Any]:
        """The records of the files that come with the model, as TensorFlow 2 writes them or TensorFlow 1 did."""
        from tensorflow.core.protobuf.meta_graph_pb2 import AssetFileDef

        if self.proto.asset_file_def or "saved_model_assets" not in self.proto.collection_def:
            return list(self.proto.asset_file_def)
        found = []
        for packed in self.proto.collection_def["saved_model_assets"].any_list.value:
            record = AssetFileDef()
            if packed.Unpack(record):
                found.append(record)
        return found

    def duplicates(self) -> list[str]:
        """Return names that two functions have, or two nodes of a body: only one of them would be looked at."""
        library = self.proto.graph_def.library.function
        found = [] if len(self.functions) == len(library) and "" not in self.functions else ["the library of functions"]
        sizes = {each.signature.name: len(each.node_def) for each in library}
        found += [body.words for name, body in self.functions.items() if len(body.nodes) != sizes[name]]
        return found + (["the graph"] if len(self.main.nodes) != len(self.proto.graph_def.node) else [])

    # --- Who calls whom ---

    @cached_property
    def calls(self) -> dict[str, list[Call]]:
        """For each function, the nodes that call it, directly or by an attribute."""
        found: dict[str, list[Call]] = {name: [] for name in self.functions}
        for body in self.bodies():
            for node in body.nodes.values():
                if node.op in found:
                    found[node.op].append(Call(body, node))
                for name in called(node):
                    if name in found:
                        branch = node.op in _BRANCHES
                        straight = branch or node.op in _CALLS
                        found[name].append(Call(body, node, int(branch), straight))
        return found

    @cached_property
    def roles(self) -> dict[str, frozenset[Role]]:
        """What each function is run for; of one that nothing is known to call, "program"."""
        found: dict[str, set[Role]] = {name: set() for name in self.functions}
        for name in (*self._python_functions, *(name for name, calls in self.calls.items() if not calls)):
            if name in found:
                found[name].add("program")
        changed = True
        while changed:
            changed = False
            for name, calls in self.calls.items():
                for call in calls:
                    roles = found[call.body.name] if call.body.name else self.node_roles[call.node.name]
                    if not roles <= found[name]:
                        found[name] |= roles
                        changed = True
        return {name: frozenset(roles or {"program"}) for name, roles in found.items()}

    @cached_property
    def node_roles(self) -> dict[str, frozenset[Role]]:
        """What each node of the main graph is run for."""
        saver = self.proto.saver_def
        save = self._ancestors([_node_of(saver.save_tensor_name)])
        restore = self._ancestors([_node_of(saver.restore_op_name)])
        own = save | restore
        rest = self._ancestors([*(name for name in self.main.nodes if name not in own), *self._fetched()])
        return {
            name: frozenset(
                role for role, names in (("save", save), ("restore", restore), ("program", rest)) if name in names
            )
            for name in self.main.nodes
        }

    def roles_of(self, body: Body, node: Any) -> frozenset[Role]:
        """Return what a node is run for."""
        return self.roles[body.name] if body.name else self.node_roles[node.name]

    def _ancestors(self, names: list[str]) -> set[str]:
        found: set[str] = set()
        waiting = [name for name in names if name in self.main.nodes]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                inputs = map(_node_of, self.main.nodes[name].input)
                waiting += [each for each in inputs if each in self.main.nodes and each not in found]
        return found

    def _fetched(self) -> list[str]:
        """Return the names of nodes that signatures and collections name, the initialization among them."""
        names = []
        for signature in self.proto.signature_def.values():
            names += [name for info in signature.outputs.values() for name in _tensors(info)]
        for collection in self.proto.collection_def.values():
            names += list(collection.node_list.value)
            names += _variables_of(collection)
        return [_node_of(name) for name in names]

    @property
    def _python_functions(self) -> list[str]:
        """Names of the functions that objects of the model hold, which Python calls."""
        return list(self.proto.object_graph_def.concrete_functions)

    def reached_from(self, function: str) -> str:
        """Return the signature from which a function is reached, in words; empty if it is none."""
        seen, waiting = {function}, [function]
        while waiting:
            for call in self.calls[waiting.pop()]:
                if not call.body.name:
                    name = self.signature_of(call.node.name)
                    if name:
                        return name
                elif call.body.name not in seen:
                    seen.add(call.body.name)
                    waiting.append(call.body.name)
        return ""

    def signature_of(self, node: str) -> str:
        """Return the signature that a node of the main graph is run for, in words; empty if it is none."""
        return next((f"signature {name!r}" for name, nodes in self._signature_nodes.items() if node in nodes), "")

    @cached_property
    def _signature_nodes(self) -> dict[str, set[str]]:
        return {
            name: self._ancestors(
                [_node_of(tensor) for info in signature.outputs.values() for tensor in _tensors(info)]
            )
            for name, signature in sorted(self.proto.signature_def.items())
        }

    # --- Where a value comes from ---

    def origins(self, body: Body, tensor: str, steps: int = _ORIGINS) -> frozenset[str]:
        """Follow a value back to what it is.

        Args:
            body: in which it is used.
            tensor: as an input of a node names it.
            steps: how far it is followed.

        Returns:
            Any of "asset" (the path of an asset of the model), "saver" (the path that the saver is given),
            "constant", "given" (by whoever calls the model), "other" (computed, or not followed); and, for a handle,
            "variable NAME". None where nothing is ever assigned.
        """
        name = _node_of(tensor)
        if tensor.startswith("^") or not steps or (body.name, name) in self._following:
            return frozenset({"other"} if not steps else ())
        self._following.add((body.name, name))
        try:
            if name in body.nodes:
                return self._origins_of_node(body, body.nodes[name], steps - 1)
            if name in body.arguments:
                return self._origins_of_argument(body, body.arguments.index(name), steps - 1)
            return frozenset({"other"})
        finally:
            self._following.discard((body.name, name))

    def _origins_of_node(self, body: Body, node: Any, steps: int) -> frozenset[str]:
        main = not body.name
        if node.op in self.functions:  # which may have the name of an operation
            return frozenset({"other"})
        if main and node.name == _node_of(self.proto.saver_def.filename_tensor_name) and not self._is_asset(node):
            return frozenset({"saver"})
        if main and node.op in ("Placeholder", "Const") and self._is_asset(node):
            # The value of a constant counts where nobody puts the path of the asset in its place.
            return frozenset({"asset"} if node.op == "Placeholder" or node.name not in self._unfed else {"constant"})
        if node.op == "Const":
            return frozenset({"constant"})
        if node.op == "Placeholder":
            return frozenset({"given"})
        if node.op in _SAME and node.input:
            return self.origins(body, node.input[0], steps)
        if node.op == "VarHandleOp":
            return frozenset({f"variable {text_of(node, 'shared_name') or node.name}"})
        if node.op == "ReadVariableOp" and node.input:
            return self._origins_of_variable(self.origins(body, node.input[0], steps), steps)
        return frozenset({"other"})

    def _origins_of_variable(self, handles: frozenset[str], steps: int) -> frozenset[str]:
        """Return where the values of a variable come from: of all that are assigned to it, wherever that is."""
        if not all(handle.startswith("variable ") for handle in handles):
            return frozenset({"other"})
        found: set[str] = set()
        for body in self.bodies():
            for node in body.nodes.values():
                if node.op != "AssignVariableOp" or node.attr["dtype"].type != _STRING or len(node.input) < 2:
                    continue
                to = self.origins(body, node.input[0], steps)
                if to & handles or not all(handle.startswith("variable ") for handle in to):
                    found |= self.origins(body, node.input[1], steps)
        return frozenset(found)

    def _origins_of_argument(self, body: Body, position: int, steps: int) -> frozenset[str]:
        found: set[str] = set()
        for call in self.calls[body.name]:
            inputs = [name for name in call.node.input if not name.startswith("^")][call.skipped :]
            if call.straight and position < len(inputs) == len(body.arguments):
                found |= self.origins(call.body, inputs[position], steps)
            else:
                found.add("other")
        held = self.proto.object_graph_def.concrete_functions
        if body.name in held:
            bound = held[body.name].bound_inputs
            place = position - (len(body.arguments) - len(bound))
            found.add(self._origin_of_object(bound[place]) if place >= 0 else "given")
        return frozenset(found)

    def _origin_of_object(self, number: int) -> str:
        nodes = self.proto.object_graph_def.nodes
        kind = nodes[number].WhichOneof("kind") if 0 <= number < len(nodes) else None
        return {"asset": "asset", "constant": "constant"}.get(kind or "", "other")

    def _is_asset(self, node: Any) -> bool:
        return any(_node_of(each.tensor_info.name) == node.name for each in self.assets)

    @cached_property
    def _unfed(self) -> set[str]:
        """Nodes that run for a signature, or to make a variable: the initialization alone is given paths of assets."""
        made = [name for each in self.proto.collection_def.values() for name in _variables_of(each)]
        return set().union(*self._signature_nodes.values(), self._ancestors([_node_of(name) for name in made]))


_STRING = 7  # tensorflow.DataType.DT_STRING


def called(node: Any) -> Iterator[str]:
    """Give the names of functions that the attributes of a node hold, those inside others too."""
    waiting = list(node.attr.values())
    while waiting:
        value = waiting.pop()
        kind = value.WhichOneof("value")
        functions = [value.func] if kind == "func" else list(value.list.func) if kind == "list" else []
        for function in functions:
            yield function.name
            waiting += list(function.attr.values())


def text_of(node: Any, attribute: str) -> str:
    """Return an attribute of a node that is a string; empty where it is left to its default."""
    value: str = node.attr[attribute].s.decode(errors="replace") if attribute in node.attr else ""
    return value


def _node_of(tensor: str) -> str:
    """Return the node, or the argument, that a tensor's name begins with."""
    return tensor.removeprefix("^").split(":")[0]


def _tensors(info: Any) -> list[str]:
    kind = info.WhichOneof("encoding")
    if kind == "coo_sparse":
        sparse = info.coo_sparse
        return [sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name]
    if kind == "composite_tensor":
        return [name for each in info.composite_tensor.components for name in _tensors(each)]
    return [info.name]


def _variables_of(collection: Any) -> list[str]:
    """Return the nodes that the records of variables in a collection name: TensorFlow 1 runs their initializers."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework.variable_pb2 import VariableDef

    names = []
    for data in collection.bytes_list.value:
        try:
            record = VariableDef.FromString(data)
        except DecodeError:
            continue
        names += [record.variable_name, record.initializer_name, record.initial_value_name, record.snapshot_name]
    return names
