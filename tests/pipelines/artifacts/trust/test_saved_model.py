"""Saved models that reach outside of themselves are refused by name, before anything of them ran; others pass."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.any_pb2 import Any as Packed

from hostile_models import HOSTILE, disguised, edit_graph, save_function, write_hostile
from pipelines.artifacts.served_model import ServedModel
from pipelines.artifacts.trust import policy, saved_graph
from pipelines.artifacts.trust.finding import Finding, listed
from pipelines.artifacts.trust.policy import admit_saved_model
from pipelines.artifacts.trust.saved_model import find_in_saved_model
from pipelines.core.errors import ConfigError, ModelError
from places import ROOT

DIGITS = ROOT / "saved_models" / "digits" / "1"
SHIPPED = sorted(path.parent for path in (ROOT / "saved_models").glob("*/*/saved_model.pb"))


def words(directory: Path) -> list[str]:
    return [str(each) for each in find_in_saved_model(directory)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "model"


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_reaches_outside_is_refused_by_name_and_nothing_of_it_ran(kind: str, model: Path, tmp_path: Path):
    refusal = write_hostile(model, kind, tmp_path)
    with pytest.raises(ModelError, match="--trust") as refused:
        admit_saved_model(model)
    assert refusal in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "written").exists()


def test_it_is_said_in_which_signature_it_stands(model: Path, tmp_path: Path):
    write_hostile(model, "branch", tmp_path)
    start = "ReadFile (reads files) in signature 'serving_default', node 'cond/ReadFile' of function 'cond_true"
    assert words(model)[0].startswith(start)


@pytest.mark.parametrize("kind", ["write", "print", "save"])
def test_a_saved_model_of_ours_with_another_graph_is_not_loaded(kind: str, model: Path, tmp_path: Path):
    refusal = write_hostile(model, kind, tmp_path)
    disguised(model, DIGITS)
    with pytest.raises(ModelError, match="is refused") as refused:
        ServedModel(model)
    assert refusal in str(refused.value)
    assert not (tmp_path / "written").exists()


def test_a_model_that_is_trusted_is_loaded_after_what_it_runs_is_printed(model: Path, tmp_path, capsys):
    write_hostile(model, "write", tmp_path)
    served = ServedModel(disguised(model, DIGITS), trust=True)
    assert not (tmp_path / "written").exists()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"trusted: {model} runs what it contains:\n  WriteFile (writes files) in signature")
    served.run("serving_default", image_bytes=tf.constant([b""]))
    assert (tmp_path / "written").read_text() == "x"


@pytest.mark.parametrize(("value", "trusted"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_the_environment_trusts_too(value: str, trusted: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(policy.TRUST, value)
    assert policy.is_trusted() is trusted
    assert policy.is_trusted(False) is False
    assert policy.is_trusted(True) is True


def test_a_value_that_says_neither_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(policy.TRUST, "perhaps")
    with pytest.raises(ConfigError, match="CNNAPP_TRUST: received 'perhaps'; expected 1 or 0"):
        policy.is_trusted()


def harmless(model: Path) -> None:
    save_function(model, lambda image_bytes: tf.strings.length(image_bytes))


def test_an_operation_that_this_tensorflow_does_not_know_is_refused(model: Path):
    harmless(model)

    def change(graph: Any) -> None:
        for function in graph.graph_def.library.function:
            for node in function.node_def:
                node.op = "RunShell" if node.op == "StringLength" else node.op

    edit_graph(model, change)
    assert "RunShell (is no operation of this TensorFlow) in" in words(model)[0]


def test_a_function_that_no_signature_reaches_is_looked_at(model: Path, tmp_path: Path):
    harmless(model)

    def change(graph: Any) -> None:
        function = graph.graph_def.library.function.add()
        function.signature.name = "never_called"
        node = function.node_def.add(name="inside", op="ReadFile")
        node.input.append("path")
        function.signature.input_arg.add(name="path", type=7)

    edit_graph(model, change)
    assert words(model) == ["ReadFile (reads files) in node 'inside' of function 'never_called'"]


def test_an_operation_that_an_attribute_names_is_looked_at(model: Path):
    harmless(model)

    def change(graph: Any) -> None:
        node = graph.graph_def.node.add(name="call", op="NoOp")
        node.attr["outer"].list.func.add().attr["inner"].func.name = "EagerPyFunc"

    edit_graph(model, change)
    assert words(model) == ["EagerPyFunc (calls Python) in node 'call' of the graph"]


def test_two_things_of_one_name_are_refused(model: Path):
    harmless(model)

    def change(graph: Any) -> None:
        first = graph.graph_def.library.function[0]
        graph.graph_def.library.function.add().CopyFrom(first)

    edit_graph(model, change)
    assert "stands for two things" in words(model)[0]


def saver_call(graph: Any, name: str) -> Any:
    return next(node for node in graph.graph_def.node if node.name == name.removesuffix(":0"))


def with_a_variable(model: Path) -> None:
    module = tf.Module()
    module.weight = tf.Variable(2.0)
    module.run = tf.function(lambda x: x * module.weight, input_signature=[tf.TensorSpec([], tf.float32)])
    tf.saved_model.save(module, str(model), signatures=module.run.get_concrete_function())


def test_the_saver_may_save_and_restore(model: Path):
    with_a_variable(model)
    assert words(model) == []


def test_a_saver_that_writes_when_it_restores_is_refused(model: Path):
    with_a_variable(model)

    def change(graph: Any) -> None:
        graph.saver_def.restore_op_name = graph.saver_def.save_tensor_name.removesuffix(":0")

    edit_graph(model, change)
    assert any(line.startswith("SaveV2 (writes files)") for line in words(model))


def test_a_saver_that_restores_from_a_path_of_its_own_is_refused(model: Path):
    with_a_variable(model)

    def change(graph: Any) -> None:
        path = graph.graph_def.node.add(name="elsewhere", op="Const")
        path.attr["dtype"].type = 7
        path.attr["value"].tensor.CopyFrom(tf.make_tensor_proto("/etc/passwd"))
        call = saver_call(graph, graph.saver_def.restore_op_name)
        call.input[0] = "elsewhere"

    edit_graph(model, change)
    assert any(line.startswith("RestoreV2 (reads files)") for line in words(model))


def test_a_saver_that_a_signature_runs_is_refused(model: Path):
    with_a_variable(model)

    def change(graph: Any) -> None:
        graph.signature_def["serving_default"].outputs["saved"].name = graph.saver_def.save_tensor_name

    edit_graph(model, change)
    assert any(line.startswith("SaveV2 (writes files) in signature 'serving_default'") for line in words(model))


def vocabulary_table(path: str) -> Any:
    text = tf.lookup.TextFileInitializer(
        path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    return tf.lookup.StaticHashTable(text, -1)


def with_a_vocabulary(model: Path, folder: Path) -> None:
    path = folder / "words.txt"
    path.write_text("cat\ndog\n")
    module = tf.Module()
    module.table = vocabulary_table(str(path))
    module.run = tf.function(lambda x: module.table.lookup(x), input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(model), signatures=module.run.get_concrete_function())


def test_a_table_is_read_from_an_asset(model: Path, tmp_path: Path):
    with_a_vocabulary(model, tmp_path)
    assert words(model) == []


def test_a_table_is_not_read_from_anywhere_else(model: Path):
    def found(image_bytes: tf.Tensor) -> tf.Tensor:
        table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
        filled = tf.raw_ops.InitializeTableFromTextFileV2(
            table_handle=table, filename="/etc/passwd", key_index=-2, value_index=-1
        )
        with tf.control_dependencies([filled]):
            return tf.raw_ops.LookupTableSizeV2(table_handle=table)

    save_function(model, found)
    assert words(model)[0].startswith("InitializeTableFromTextFileV2 (reads files) in")


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "a/../../x", "file:///etc/passwd"])
def test_an_asset_outside_of_the_folder_is_refused(name: str, model: Path, tmp_path: Path):
    with_a_vocabulary(model, tmp_path)

    def change(graph: Any) -> None:
        graph.asset_file_def[0].filename = name

    edit_graph(model, change)
    assert words(model) == [f"asset {name!r} (is a path out of the folder of the model) in the list of assets"]


def test_an_asset_of_tensorflow_1_outside_of_the_folder_is_refused(model: Path, tmp_path: Path):
    with_a_vocabulary(model, tmp_path)

    def change(graph: Any) -> None:
        record = graph.asset_file_def[0]
        record.filename = "../x"
        packed = Packed()
        packed.Pack(record)
        del graph.asset_file_def[:]
        graph.collection_def["saved_model_assets"].any_list.value.append(packed)

    edit_graph(model, change)
    assert "is a path out of the folder" in " ".join(words(model))


def test_a_link_out_of_the_folder_is_refused(model: Path, tmp_path: Path):
    with_a_vocabulary(model, tmp_path)
    asset = next((model / "assets").iterdir())
    asset.unlink()
    asset.symlink_to("/etc/hostname")
    assert words(model) == [f"assets/{asset.name} (is a link to /etc/hostname) in the folder of the model"]


def test_a_folder_that_is_itself_a_link_is_taken(model: Path, tmp_path: Path):
    with_a_variable(model)
    (tmp_path / "link").symlink_to(model)
    assert words(tmp_path / "link") == []


def test_a_pipe_is_refused_whether_it_is_trusted_or_not(model: Path):
    with_a_variable(model)
    os.mkfifo(model / "variables" / "more")
    assert stat.S_ISFIFO((model / "variables" / "more").stat().st_mode)
    with pytest.raises(ModelError, match="variables/more is no regular file"):
        admit_saved_model(model, trust=True)


@pytest.mark.parametrize("data", [b"", b"no graph", b"\x12\xff\xff\xff\xff\x0f", b"\x0a\x02" * 50])
def test_bytes_that_are_no_graph_are_refused(data: bytes, model: Path):
    model.mkdir()
    (model / "saved_model.pb").write_bytes(data)
    with pytest.raises(ModelError, match="TensorFlow cannot load it"):
        find_in_saved_model(model)


@pytest.mark.parametrize("name", ["saved_model.pbtxt", "saved_model.cpb"])
def test_a_graph_in_another_form_is_refused(name: str, model: Path):
    model.mkdir()
    (model / name).write_text("meta_graphs { }")
    with pytest.raises(ModelError, match=f"holds {name}, which is not looked through"):
        find_in_saved_model(model)


def test_a_graph_that_is_too_large_is_not_parsed(model: Path, monkeypatch: pytest.MonkeyPatch):
    with_a_variable(model)
    monkeypatch.setattr("pipelines.artifacts.trust.saved_model.LARGEST", 100)
    assert "more than the 100 that are looked through" in words(model)[0]
    monkeypatch.setattr(saved_graph, "LARGEST", 100)
    with pytest.raises(ModelError, match="more than 100 bytes"):
        saved_graph.read_meta_graphs(model / "saved_model.pb")


def test_findings_are_one_line():
    same = [Finding("ReadFile", "reads files", f"function {number}") for number in range(4)]
    other = [Finding(name, "x", "y") for name in "abcd"]
    assert listed(same) == "ReadFile (reads files) in function 0, and 3 more"
    assert listed([*same, *other]).endswith("b (x) in y, and 5 more")


@pytest.mark.parametrize("directory", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_models_pass(directory: Path):
    assert words(directory) == []


# --- Models of other programs ---


@pytest.mark.slow
def test_a_keras_application_passes(model: Path):
    network = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=3)
    network.export(str(model), verbose=False)
    assert words(model) == []


def test_a_recurrent_model_passes(model: Path):
    inputs = keras.Input((None, 3))
    x = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))(inputs)
    keras.Model(inputs, keras.layers.GRU(2, dropout=0.1)(x)).export(str(model), verbose=False)
    assert words(model) == []


def test_a_text_model_passes(model: Path, tmp_path: Path):
    (tmp_path / "words.txt").write_text("cat\ndog\n")
    inputs = keras.Input((3,), dtype="string")
    x = keras.layers.StringLookup(vocabulary=str(tmp_path / "words.txt"))(inputs)
    keras.Model(inputs, keras.layers.Embedding(5, 2)(x)).export(str(model), verbose=False)
    assert words(model) == []


def test_a_trained_model_with_its_optimizer_passes(model: Path):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
    network.compile("adam", "mse")
    network.fit(np.zeros((4, 4)), np.zeros((4, 3)), verbose=0)
    tf.saved_model.save(network, str(model))
    assert words(model) == []


class Everything(tf.Module):
    """Tables, state, random numbers, control flow, a data set in memory and a printed line."""

    def __init__(self) -> None:
        super().__init__()
        pairs = tf.lookup.KeyValueTensorInitializer(["x"], tf.constant([1], tf.int64))
        self.fixed = tf.lookup.StaticHashTable(pairs, -1)
        self.changing = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
        self.dense = tf.lookup.experimental.DenseHashTable(tf.int64, tf.int64, -1, -1, -2)
        self.random = tf.random.Generator.from_seed(1)
        self.count = tf.Variable(1.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def run(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.print("called")
        tf.debugging.assert_greater(tf.size(x), 0)
        found = self.fixed.lookup(x) + self.changing.lookup(x) + self.dense.lookup(self.fixed.lookup(x))
        total = 0.0
        for _ in tf.range(3):
            total += tf.random.uniform([])
        if total > 1.0:
            self.count.assign_add(1.0)
        length = 0
        for lengths in tf.data.Dataset.from_tensor_slices(x).map(tf.strings.length).shuffle(2).batch(2).cache():
            length += tf.reduce_sum(lengths)
        return {"found": found, "total": total + self.count + self.random.normal([]), "length": length}


def test_an_assigned_path_is_followed_through_its_variable(model: Path, tmp_path: Path):
    """The path of an asset is kept in a variable: what else is assigned to that variable counts as well."""
    with_a_vocabulary(model, tmp_path)

    def change(graph: Any) -> None:
        handle = next(
            node for node in graph.graph_def.node if node.op == "VarHandleOp" and node.attr["dtype"].type == 7
        )
        path = graph.graph_def.node.add(name="elsewhere", op="Const")
        path.attr["value"].tensor.CopyFrom(tf.make_tensor_proto("/etc/passwd"))
        assign = graph.graph_def.node.add(name="again", op="AssignVariableOp", input=[handle.name, "elsewhere"])
        assign.attr["dtype"].type = 7

    edit_graph(model, change)
    assert any(line.startswith("InitializeTableFromTextFileV2 (reads files)") for line in words(model))


def test_a_module_with_tables_and_state_passes(model: Path):
    module = Everything()
    tf.saved_model.save(module, str(model), signatures=module.run.get_concrete_function())
    assert words(model) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_of_tensorflow_1_passes(model: Path, tmp_path: Path):
    (tmp_path / "words.txt").write_text("cat\ndog\n")
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.string, [None], "x")
        table = vocabulary_table(str(tmp_path / "words.txt"))
        rows = [
            tf.gather(v1.get_variable(f"w{number}", [3, 2], use_resource=bool(number)), table.lookup(x) + 1)
            for number in range(2)
        ]
        v1.summary.scalar("sum", tf.reduce_sum(rows[0]))
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(str(model))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": v1.saved_model.predict_signature_def({"x": x}, {"y": rows[0] + rows[1]})},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(),
        )
        builder.save()
    assert words(model) == []
    loaded = tf.saved_model.load(str(model))
    assert loaded.signatures["serving_default"](tf.constant(["dog"]))["y"].shape == (1, 2)
