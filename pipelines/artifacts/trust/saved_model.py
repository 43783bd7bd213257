"""A saved model, looked through before TensorFlow loads it: what its operations reach, and where its files are."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.artifacts.trust.finding import Finding
from pipelines.artifacts.trust.operations import reach_of
from pipelines.artifacts.trust.saved_graph import LARGEST, Body, MetaGraph, called, read_meta_graphs, text_of
from pipelines.core.errors import ModelError

__all__ = ["find_in_saved_model", "refuse_irregular_files"]

_GRAPH = "saved_model.pb"
_OTHER_GRAPHS = ("saved_model.pbtxt", "saved_model.cpb")
_STREAMS = ("", "stdout", "stderr", "log(info)", "log(warning)", "log(error)")
_SAVE = ("MergeV2Checkpoints", "Save", "SaveSlices", "SaveV2")
_RESTORE = ("Restore", "RestoreSlice", "RestoreV2")
_TABLES = {"InitializeTableFromTextFile": 1, "InitializeTableFromTextFileV2": 1}
_CACHES = {"CacheDataset": 1, "CacheDatasetV2": 1}
_PROTOS = ("DecodeProtoV2", "EncodeProto")


def find_in_saved_model(directory: Path) -> list[Finding]:
    """Look through a saved model. Nothing of it is run, and no variable is read.

    Every node of every graph and function is looked at, whether or not it is reached from a signature: TensorFlow
    Serving, Python and the loading itself each run other parts.

    Args:
        directory: of the saved model.

    Returns:
        What it would reach outside of itself, in order; none for a model that only computes.

    Raises:
        ModelError: if its graph is damaged or missing, or a file of it is a device or a pipe, which would not end.

    Example:
        >>> find_in_saved_model(Path("saved_models/digits/1"))
        []
    """
    findings = refuse_irregular_files(directory)
    if not (directory / _GRAPH).is_file():
        others = [name for name in _OTHER_GRAPHS if (directory / name).exists()]
        kept = f"holds {others[0]}, which is not looked through, but " if others else "holds "
        raise ModelError(f"{directory}: {kept}no {_GRAPH}; TensorFlow cannot load it")
    if (size := (directory / _GRAPH).stat().st_size) > LARGEST:
        does = f"has {size:,} bytes, more than the {LARGEST:,} that are looked through"
        return [*findings, Finding(_GRAPH, does, "the folder of the model")]
    for graph in read_meta_graphs(directory / _GRAPH):
        findings += _in_graph(graph)
        findings += _in_assets(graph)
    # What a signature runs is said first.
    return sorted(set(findings), key=lambda each: (not each.where.startswith("signature"), each))


def refuse_irregular_files(directory: Path) -> list[Finding]:
    """Find links out of the folder of a model, and refuse what is no file.

    Args:
        directory: of the model. It may be a link itself.

    Returns:
        A finding for each link that leads out of the folder.

    Raises:
        ModelError: for a device, a pipe or a socket, which nothing should read from.
    """
    home = directory.resolve()
    findings = []
    for folder, folders, names in os.walk(home):
        for name in (*folders, *names):
            path = Path(folder) / name
            where = path.relative_to(home).as_posix()
            try:
                mode = path.stat().st_mode
            except OSError:
                continue  # whoever reads it says what is wrong
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise ModelError(f"{directory}: {where} is no regular file; get the model again")
            if path.is_symlink() and not path.resolve().is_relative_to(home):
                findings.append(Finding(where, f"is a link to {path.resolve()}", "the folder of the model"))
    return findings


def _in_assets(graph: MetaGraph) -> Iterator[Finding]:
    """Find assets that are not in the folder of assets: TensorFlow joins whatever name is written."""
    for asset in (record.filename for record in graph.assets):
        parts = asset.replace("\\", "/").split("/")
        if ".." in parts or asset.startswith("/") or "://" in asset:
            yield Finding(f"asset {asset!r}", "is a path out of the folder of the model", "the list of assets")


def _in_graph(graph: MetaGraph) -> Iterator[Finding]:
    for words in graph.duplicates():
        yield Finding("a name", "stands for two things, of which TensorFlow chooses one", words)
    for body in graph.bodies():
        for node in body.nodes.values():
            for operation in (node.op, *called(node)):
                if operation in graph.functions or not operation:
                    continue
                does = _reach(graph, body, node, operation)
                if does is not None:
                    yield Finding(operation, does, _where(graph, body, node))


def _where(graph: MetaGraph, body: Body, node: Any) -> str:
    signature = graph.reached_from(body.name) if body.name else graph.signature_of(node.name)
    place = f"node {node.name!r} of {body.words}"
    return f"{signature}, {place}" if signature else place


def _reach(graph: MetaGraph, body: Body, node: Any, operation: str) -> str | None:
    """Return what a node does; None for one that computes, and for one that has its arguments from the model itself."""
    if operation != node.op:  # which is named in an attribute, to be called
        return reach_of(operation)
    allowed = _ALLOWED.get(operation)
    return None if allowed is not None and allowed(graph, body, node) else reach_of(operation)


def _prints_to_a_stream(graph: MetaGraph, body: Body, node: Any) -> bool:
    return text_of(node, "output_stream") in _STREAMS


def _has_its_own_types(graph: MetaGraph, body: Body, node: Any) -> bool:
    source = text_of(node, "descriptor_source")
    return source in ("", "local://") or source.startswith("bytes://")


def _has_no_vocabulary(graph: MetaGraph, body: Body, node: Any) -> bool:
    return not text_of(node, "vocab_file")


def _is_saved(graph: MetaGraph, body: Body, node: Any) -> bool:
    """Return whether a node runs only when variables are saved, which loading and answering do not."""
    return graph.roles_of(body, node) == {"save"}


def _is_restored(graph: MetaGraph, body: Body, node: Any) -> bool:
    """Return whether a node runs only when variables are restored, from the path that the loader gives."""
    return graph.roles_of(body, node) == {"restore"} and _origins(graph, body, node, 0) == {"saver"}


def _reads_an_asset(graph: MetaGraph, body: Body, node: Any) -> bool:
    return _origins(graph, body, node, _TABLES[node.op]) == {"asset"}


def _caches_in_memory(graph: MetaGraph, body: Body, node: Any) -> bool:
    """Return whether a cache has the empty constant as its path."""
    position = _CACHES[node.op]
    source = body.nodes.get(node.input[position].split(":")[0]) if position < len(node.input) else None
    return source is not None and source.op == "Const" and list(source.attr["value"].tensor.string_val) == [b""]


def _origins(graph: MetaGraph, body: Body, node: Any, position: int) -> frozenset[str]:
    return graph.origins(body, node.input[position]) if position < len(node.input) else frozenset()


_ALLOWED = {
    "PrintV2": _prints_to_a_stream,
    "FixedUnigramCandidateSampler": _has_no_vocabulary,
    **dict.fromkeys(_PROTOS, _has_its_own_types),
    **dict.fromkeys(_SAVE, _is_saved),
    **dict.fromkeys(_RESTORE, _is_restored),
    **dict.fromkeys(_TABLES, _reads_an_asset),
    **dict.fromkeys(_CACHES, _caches_in_memory),
}
"""Operations that are allowed with some arguments, and whether a node has these."""
