"""Saved models that would do something on the machine that loads them, and models of other programs that would not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from pipelines.artifacts import manifest
from pipelines.artifacts.model_card import file_hashes, read_card, write_card

__all__ = ["HOSTILE", "disguised", "edit_graph", "save_function", "write_hostile"]

Answer = Callable[[Path], tf.Tensor]


def _reads(folder: Path) -> tf.Tensor:
    return tf.io.read_file(str(folder / "secret.txt"))


def _writes(folder: Path) -> tf.Tensor:
    with tf.control_dependencies([tf.io.write_file(str(folder / "written"), "x")]):
        return tf.constant("done")


def _lists(folder: Path) -> tf.Tensor:
    return tf.io.matching_files(str(folder / "*"))


def _python(folder: Path) -> tf.Tensor:
    return tf.py_function(lambda: (folder / "written").write_text("x") and b"", [], tf.string)


def _numpy(folder: Path) -> tf.Tensor:
    return tf.numpy_function(lambda: b"", [], tf.string, stateful=False)


def _prints(folder: Path) -> tf.Tensor:
    tf.print("x", output_stream=f"file://{folder}/written")
    return tf.constant("done")


def _lines(folder: Path) -> tf.Tensor:
    return tf.data.TextLineDataset(str(folder / "secret.txt")).take(1).get_single_element()


def _records(folder: Path) -> tf.Tensor:
    return tf.data.TFRecordDataset(str(folder / "secret.txt")).take(1).get_single_element()


def _caches(folder: Path) -> tf.Tensor:
    return tf.data.Dataset.from_tensors("x").cache(str(folder / "written")).get_single_element()


def _debugs(folder: Path) -> tf.Tensor:
    return tf.raw_ops.DebugIdentity(input=tf.constant("x"), debug_urls=[f"file://{folder}/written"])


def _saves(folder: Path) -> tf.Tensor:
    save = tf.raw_ops.SaveV2(
        prefix=str(folder / "written"), tensor_names=["x"], shape_and_slices=[""], tensors=[tf.constant(1.0)]
    )
    with tf.control_dependencies([save]):
        return tf.constant("done")


def _restores(folder: Path) -> tf.Tensor:
    return tf.raw_ops.RestoreV2(
        prefix=str(folder / "secret.txt"), tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.string]
    )[0]


def _maps(folder: Path) -> tf.Tensor:
    name = str(folder / "secret.txt")
    return tf.as_string(tf.raw_ops.ImmutableConst(dtype=tf.uint8, shape=[1], memory_region_name=name))


def _summarises(folder: Path) -> tf.Tensor:
    writer = tf.raw_ops.SummaryWriter()
    made = tf.raw_ops.CreateSummaryFileWriter(
        writer=writer, logdir=str(folder / "written"), max_queue=1, flush_millis=1, filename_suffix=""
    )
    with tf.control_dependencies([made]):
        return tf.constant("done")


def _aborts(folder: Path) -> tf.Tensor:
    with tf.control_dependencies([tf.raw_ops.Abort(exit_without_error=True)]):
        return tf.constant("done")


def _branches(folder: Path) -> tf.Tensor:
    return tf.cond(tf.random.uniform([]) > 2.0, lambda: tf.io.read_file(str(folder / "secret.txt")), lambda: "no")


def _maps_a_function(folder: Path) -> tf.Tensor:
    values = tf.data.Dataset.from_tensors(str(folder / "secret.txt")).map(tf.io.read_file)
    return values.get_single_element()


HOSTILE: dict[str, tuple[Answer, str]] = {
    "read": (_reads, "ReadFile (reads files)"),
    "write": (_writes, "WriteFile (writes files)"),
    "list": (_lists, "MatchingFiles (reads files)"),
    "python": (_python, "EagerPyFunc (calls Python)"),
    "numpy": (_numpy, "PyFuncStateless (calls Python)"),
    "print": (_prints, "PrintV2 (writes to a file)"),
    "lines": (_lines, "TextLineDataset (reads files)"),
    "records": (_records, "TFRecordDataset (reads files)"),
    "cache": (_caches, "CacheDatasetV2 (keeps data in a file)"),
    "debug": (_debugs, "DebugIdentity (sends what passes to a debugger"),
    "save": (_saves, "SaveV2 (writes files)"),
    "restore": (_restores, "RestoreV2 (reads files)"),
    "map": (_maps, "ImmutableConst (reads files)"),
    "summary": (_summarises, "CreateSummaryFileWriter (writes files)"),
    "abort": (_aborts, "Abort (ends the process)"),
    "branch": (_branches, "ReadFile (reads files)"),
    "function": (_maps_a_function, "ReadFile (reads files)"),
}
"""What a signature does, by its kind, and how it is refused."""


def save_function(directory: Path, function: Callable[[tf.Tensor], Any]) -> None:
    """Save a function of encoded images as the signature of a saved model."""
    module = tf.Module()
    module.run = tf.function(
        lambda image_bytes: {"found": function(image_bytes)}, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, str(directory), signatures={"serving_default": module.run.get_concrete_function()})


def write_hostile(directory: Path, kind: str, folder: Path) -> str:
    """Write a saved model that would do something to a folder; return how it is refused."""
    answer, refusal = HOSTILE[kind]
    (folder / "secret.txt").write_text("secret")
    save_function(directory, lambda image_bytes: answer(folder))
    return refusal


def disguised(directory: Path, like: Path) -> Path:
    """Give a saved model the card, the labels and the golden examples of another, with hashes that fit."""
    for path in like.iterdir():
        target = directory / path.name
        if path.name in ("saved_model.pb", "variables", "fingerprint.pb", "model.sig"):
            continue
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        else:
            shutil.copy(path, target)
    card = read_card(directory)
    write_card(directory, card.model_copy(update={"files": file_hashes(directory)}))
    manifest.seal(directory)
    return directory


def edit_graph(directory: Path, change: Callable[[Any], None]) -> None:
    """Change the graph of a saved model as it is written."""
    path = directory / "saved_model.pb"
    saved = SavedModel.FromString(path.read_bytes())
    for graph in saved.meta_graphs:
        change(graph)
    path.write_bytes(saved.SerializeToString())
