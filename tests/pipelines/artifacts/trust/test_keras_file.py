"""Keras files that hold code, name what is none of Keras's layers, or read from elsewhere, are refused by name."""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import layers
from pipelines.artifacts.trust.keras_file import find_in_config, find_in_keras_file
from pipelines.artifacts.trust.policy import admit_keras_file
from pipelines.core.errors import ModelError
from pipelines.models.classifiers import classifier


def words(path: Path) -> list[str]:
    return [str(each) for each in find_in_keras_file(path)]


def small() -> keras.Model:
    inputs = keras.Input((8, 8, 1), name="images")
    x = keras.layers.Conv2D(2, 3, activation="relu", kernel_regularizer="l2")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x + 1.0)))


def edited(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Save a model whose config was changed."""
    small().save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def first_layer(config: dict[str, Any]) -> dict[str, Any]:
    layer: dict[str, Any] = config["config"]["layers"][1]
    return layer


# --- What passes ---


def test_a_plain_model_passes(tmp_path: Path):
    model = small()
    model.compile("adam", "mse", metrics=["mae"])
    model.save(tmp_path / "model.keras")
    assert words(tmp_path / "model.keras") == []


@pytest.mark.filterwarnings("ignore:.*HDF5.*")
def test_a_plain_model_in_hdf5_passes(tmp_path: Path):
    model = small()
    model.compile("adam", "mse")
    model.save(tmp_path / "model.h5")
    assert words(tmp_path / "model.h5") == []


def test_models_of_our_layers_pass(tmp_path: Path):
    classifier("lenet5", (32, 32, 1), 10).save(tmp_path / "lenet.keras")
    assert words(tmp_path / "lenet.keras") == []
    inputs = keras.Input((8, 8, 2))
    x = layers.LpPooling2D(2, 2)(layers.UnsharedConv2D(2, 3)(inputs))
    keras.Model(inputs, x).save(tmp_path / "own.keras")
    assert words(tmp_path / "own.keras") == []


def test_a_text_model_passes(tmp_path: Path):
    inputs = keras.Input((), dtype="string")
    vectors = keras.layers.TextVectorization(output_sequence_length=3, vocabulary=["a", "b"])
    x = keras.layers.Bidirectional(keras.layers.LSTM(2))(keras.layers.Embedding(5, 2)(vectors(inputs)))
    keras.Model(inputs, x).save(tmp_path / "text.keras")
    assert words(tmp_path / "text.keras") == []


@pytest.mark.slow
def test_an_application_passes(tmp_path: Path):
    keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=2).save(
        tmp_path / "m.keras"
    )
    assert words(tmp_path / "m.keras") == []


# --- What is in the config ---


def test_a_lambda_layer_is_refused_by_name(tmp_path: Path):
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2, name="twice")(inputs)).save(tmp_path / "lambda.keras")
    with pytest.raises(ModelError, match=r"Lambda \(runs Python code kept in the file\) in layer 'twice'.*--trust"):
        admit_keras_file(tmp_path / "lambda.keras")
    admit_keras_file(tmp_path / "lambda.keras", trust=True)


@pytest.mark.filterwarnings("ignore:.*HDF5.*")
def test_a_lambda_layer_inside_another_model_in_hdf5_is_refused(tmp_path: Path):
    inputs = keras.Input((2,))
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2, name="twice")])
    keras.Model(inputs, inner(inputs)).save(tmp_path / "lambda.h5")
    assert any(line.startswith("Lambda (runs Python code") for line in words(tmp_path / "lambda.h5"))


OBJECTS: dict[str, tuple[dict[str, Any], str]] = {
    "lambda function": ({"class_name": "__lambda__", "config": {"value": "4wEA"}}, "__lambda__ (is Python code"),
    "other module": (
        {"class_name": "Popen", "config": {"args": "x"}, "module": "subprocess", "registered_name": "Popen"},
        "subprocess.Popen (is neither Keras's own nor registered here)",
    ),
    "unregistered": (
        {"class_name": "Mine", "config": {}, "module": None, "registered_name": "package>Mine"},
        "package>Mine (is neither",
    ),
    "function of Python": (
        {"class_name": "function", "config": "eval", "module": "builtins", "registered_name": "eval"},
        "builtins.eval (is neither",
    ),
    "download": (
        {"class_name": "function", "config": "get_file", "module": "keras.utils", "registered_name": "get_file"},
        "keras.utils.get_file (is neither",
    ),
    "loader": ({"class_name": "function", "config": "load_model", "module": "keras.saving"}, "keras.saving.load_model"),
    "loader among models": (
        {"class_name": "function", "config": "load_model", "module": "keras.models"},
        "keras.models.load_model (is neither",
    ),
    "loader by its name alone": (
        {"class_name": "function", "config": "load_model", "module": "builtins"},
        "builtins.load_model (is neither",
    ),
    "deserializer": (
        {"class_name": "function", "config": "deserialize", "module": "keras.activations"},
        "keras.activations.deserialize (is neither",
    ),
    "application": (
        {"class_name": "function", "config": "MobileNetV2", "module": "keras.applications"},
        "keras.applications.MobileNetV2 (is neither",
    ),
    "our name for a loader": (
        {"class_name": "get_file", "config": {}, "module": "keras.utils", "registered_name": "cnnapp>Subsampling2D0"},
        "keras.utils.get_file",
    ),
    "saved model": (
        {"class_name": "TFSMLayer", "config": {"filepath": "/x", "name": "t"}, "module": "keras.layers"},
        "TFSMLayer (loads and runs a saved model",
    ),
    "pickle": (
        {"class_name": "TorchModuleWrapper", "config": {"module": "gASV"}, "module": "keras.src.utils.torch_utils"},
        "TorchModuleWrapper (unpickles",
    ),
    "no name": ({"class_name": ["a"], "config": {}}, "is no name of a class"),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_of_another_kind_is_refused_wherever_it_is_nested(kind: str, tmp_path: Path):
    value, refusal = OBJECTS[kind]

    def change(config: dict[str, Any]) -> None:
        first_layer(config)["config"]["kernel_initializer"]["config"]["deep"] = [{"deeper": value}]

    found = words(edited(tmp_path / "model.keras", change))
    assert len(found) == 1
    assert refusal in found[0]


def test_an_object_of_the_compile_config_is_looked_at(tmp_path: Path):
    def change(config: dict[str, Any]) -> None:
        config["compile_config"] = {"loss": OBJECTS["other module"][0]}

    assert "subprocess.Popen" in words(edited(tmp_path / "model.keras", change))[0]


def test_a_vocabulary_that_is_a_path_is_refused():
    lookup = keras.layers.StringLookup(vocabulary=["a"])
    config = keras.saving.serialize_keras_object(lookup)
    assert find_in_config(config) == []
    config["config"]["vocabulary"] = "/etc/passwd"
    assert "vocabulary='/etc/passwd' (reads a file)" in str(find_in_config(config)[0])


def test_what_is_registered_here_passes():
    @keras.saving.register_keras_serializable(package="test_keras_file")
    class Registered(keras.layers.Layer):
        pass

    assert find_in_config(keras.saving.serialize_keras_object(Registered())) == []


# --- What is in the weights ---


def with_weights(path: Path, make: Callable[[h5py.File], None]) -> Path:
    """Save a model whose weights were changed."""
    small().save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = io.BytesIO(members["model.weights.h5"])
    with h5py.File(data, "a") as file:
        make(file)
    members["model.weights.h5"] = data.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def link(file: h5py.File) -> None:
    file["layers/more"] = h5py.ExternalLink("/etc/passwd", "/")


def external(file: h5py.File) -> None:
    file.create_dataset("layers/more", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "data", (4,))
    file.create_virtual_dataset("layers/more", layout)


def bomb(file: h5py.File) -> None:
    file.create_dataset("layers/more", (2**31,), "f8", chunks=(2**20,), compression="gzip")


@pytest.mark.parametrize(
    ("make", "refusal"),
    [
        (link, "/layers/more (is a link into another file, /etc/passwd) in model.weights.h5"),
        (external, "/layers/more (its values are in another file, /etc/passwd)"),
        (virtual, "/layers/more (its values are in other files, /etc/other.h5)"),
        (bomb, "/layers/more (is said to have 17,179,869,184 bytes, of which the file holds 0)"),
    ],
)
def test_weights_that_are_elsewhere_or_nowhere_are_refused(make, refusal: str, tmp_path: Path):
    found = words(with_weights(tmp_path / "model.keras", make))
    assert len(found) == 1
    assert refusal in found[0]


def test_a_circle_of_links_ends(tmp_path: Path):
    def make(file: h5py.File) -> None:
        file["layers/again"] = file["layers"]
        file["soft"] = h5py.SoftLink("/soft")

    assert words(with_weights(tmp_path / "model.keras", make)) == []


# --- What the file is ---


def test_members_that_blow_up_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipelines.artifacts.trust.keras_file._SMALL", 2**20)
    path = tmp_path / "bomb.keras"
    small().save(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("assets/zeros", "w") as member:
        member.write(bytes(2**22))
    assert words(path)[0].startswith("assets/zeros (is said to have 4,194,304 bytes, packed into")


def test_a_member_that_would_leave_its_folder_is_refused(tmp_path: Path):
    path = tmp_path / "slip.keras"
    small().save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/../../x", "x")
    assert words(path) == ["assets/../../x (would be unpacked outside of the folder meant for it) in the file"]


def test_a_long_config_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small().save(tmp_path / "model.keras")
    monkeypatch.setattr("pipelines.artifacts.trust.keras_file._MOST_CONFIG", 100)
    with pytest.raises(ModelError, match=r"config.json has [\d,]+ bytes; at most 100 are read"):
        find_in_keras_file(tmp_path / "model.keras")


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[1,", "\x00"])
def test_a_config_that_is_none_is_refused(text: str, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", text)
    with pytest.raises(ModelError, match=r"model\.keras: "):
        find_in_keras_file(tmp_path / "model.keras")


@pytest.mark.parametrize("data", [b"", b"nothing", b"PK\x05\x06" + bytes(18), b"\x89HDF\r\n\x1a\n" + bytes(50)])
def test_bytes_that_are_no_keras_file_are_refused(data: bytes, tmp_path: Path):
    (tmp_path / "model.keras").write_bytes(data)
    with pytest.raises(ModelError, match=r"model\.keras: "):
        find_in_keras_file(tmp_path / "model.keras")


def test_damaged_files_are_refused(tmp_path: Path):
    small().save(tmp_path / "model.keras")
    data = bytearray((tmp_path / "model.keras").read_bytes())
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), 20):
            damaged[place] = random.integers(256)
        (tmp_path / "damaged.keras").write_bytes(damaged[: random.integers(len(data) // 2, len(data))])
        # Some are not so damaged that they cannot be read.
        with contextlib.suppress(ModelError):
            find_in_keras_file(tmp_path / "damaged.keras")


def test_what_is_no_file_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        find_in_keras_file(tmp_path / "none.keras")
    os.mkfifo(tmp_path / "pipe.keras")
    with pytest.raises(ModelError, match="is no regular file"):
        find_in_keras_file(tmp_path / "pipe.keras")
