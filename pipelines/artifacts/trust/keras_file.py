"""The layers of a `.keras` or `.h5` file, looked through before Keras builds any of them.

Such a file names the classes and functions that are called when it is loaded, with their arguments; a `Lambda` layer
holds code. Keras's own ``safe_mode`` refuses lambda functions, and leaves to the file which of Keras's functions are
called, which files its layers read and how much memory is taken. Here the file is read as what it is, JSON and numbers,
and nothing is built of it.
"""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from layers.core.hdf5 import hdf5_problems
from pipelines.artifacts.trust.finding import Finding
from pipelines.core.errors import ModelError

__all__ = ["find_in_config", "find_in_keras_file"]

_CONFIG = "config.json"
_WEIGHTS = (".h5", ".hdf5", ".npz")
_MOST_CONFIG = 64 * 2**20
_MOST_MEMBERS = 10_000
_SMALL, _EXPANSION = 2**28, 100
"""Members of up to so many bytes are read; larger ones up to so many times of what they take in the file."""

_PLAIN = frozenset({
    "__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__", "__tuple__",
    "CompositeTensor", "TensorShape",
})  # fmt: skip
"""What stands in a config as an object with a class, and is a value."""

_CODE = {
    "__lambda__": "is Python code kept in the file",
    "FlaxLayer": "runs Python code kept in the file",
    "JaxLayer": "runs Python code kept in the file",
    "Lambda": "runs Python code kept in the file",
    "TFSMLayer": "loads and runs a saved model from a path in the file",
    "TorchModuleWrapper": "unpickles a PyTorch module, which runs what it contains",
}
"""Keras's own that run what the file, or another, contains."""

_AREAS = frozenset({
    "activations", "constraints", "dtype_policies", "initializers", "layers", "losses", "metrics", "models", "ops",
    "optimizers", "quantizers", "random", "regularizers",
})  # fmt: skip
"""The parts of Keras whose classes models are made of."""

_FUNCTIONS = ("activations", "constraints", "initializers", "losses", "metrics", "ops", "regularizers")
"""Those whose functions compute. Others load, save and download: keras.models, keras.applications, keras.utils."""
_NO_FUNCTIONS = frozenset({"deserialize", "get", "serialize"})

_PATHS = ("vocabulary", "idf_weights")
"""Arguments of layers that are a list, or the path of a file that is read in its place."""


def find_in_keras_file(path: Path) -> list[Finding]:
    """Look through a `.keras` or `.h5` file. Nothing is built, and what is read of it is limited.

    Args:
        path: of the file, either a zip archive as Keras 3 writes it, or HDF5.

    Returns:
        What it would run or reach, a finding each, in order; none for a file that may be loaded.

    Raises:
        ModelError: if it is none of the two, or damaged.

    Example:
        >>> import tempfile
        >>> import keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.keras")
        ...     find_in_keras_file(Path(folder) / "model.keras")
        []
    """
    try:
        with _open_regular(path) as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    return sorted(set(_in_archive(archive)))
            return sorted(set(_in_hdf5(file, "the file", with_config=True)))
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    except RecursionError:
        raise ModelError(f"{path}: cannot be read: its config is nested too deeply") from None
    # What its readers raise of damaged bytes: zipfile, the decompressors, h5py and JSON, each in its own way.
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"{path}: is no Keras file, or damaged: {reason}") from None


def _open_regular(path: Path) -> IO[bytes]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelError("is no regular file")
        return path.open("rb")
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}") from None


def _in_archive(archive: zipfile.ZipFile) -> Iterator[Finding]:
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise ModelError(f"has {len(members):,} members; at most {_MOST_MEMBERS:,} are looked at")
    yield from _in_members(members, "the file")
    data = _bounded(archive, _CONFIG)
    try:
        config = json.loads(data)
    except ValueError as error:
        raise ModelError(f"{_CONFIG} is damaged: {error}") from None
    yield from find_in_config(config)
    for member in members:
        if member.filename.endswith(_WEIGHTS) and not _bomb(member):
            yield from _in_weights(archive, member)


def _in_members(members: list[zipfile.ZipInfo], where: str) -> Iterator[Finding]:
    for member in members:
        parts = member.filename.replace("\\", "/").split("/")
        if ".." in parts or member.filename.startswith("/") or ":" in parts[0]:
            yield Finding(member.filename, "would be unpacked outside of the folder meant for it", where)
        if _bomb(member):
            yield Finding(
                member.filename,
                f"is said to have {member.file_size:,} bytes, packed into {member.compress_size:,}",
                where,
            )


def _bomb(member: zipfile.ZipInfo) -> bool:
    return member.file_size > max(_SMALL, _EXPANSION * member.compress_size)


def _bounded(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        member = archive.getinfo(name)
    except KeyError:
        raise ModelError(f"holds no {name}; it is not a model that Keras 3 saved") from None
    if member.file_size > _MOST_CONFIG:
        raise ModelError(f"{name} has {member.file_size:,} bytes; at most {_MOST_CONFIG:,} are read")
    with archive.open(member) as file:
        return file.read(_MOST_CONFIG)


def _in_weights(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[Finding]:
    with archive.open(member) as file:
        if member.filename.endswith(".npz"):
            with zipfile.ZipFile(file) as inner:
                yield from _in_members(inner.infolist(), member.filename)
        elif member.compress_type == zipfile.ZIP_STORED:
            yield from _in_hdf5(file, member.filename)
        else:
            # Packed, it can be read on only: every step back would unpack it from its start again.
            yield from _in_hdf5(io.BytesIO(file.read()), member.filename)


def _in_hdf5(file: IO[bytes], where: str, with_config: bool = False) -> Iterator[Finding]:
    import h5py

    with closing(h5py.File(file, "r")) as content:
        for problem in hdf5_problems(content):
            place, _, does = problem.partition(": ")
            yield Finding(place, does, where)
        for name in ("model_config", "training_config") if with_config else ():
            if name in content.attrs:
                yield from find_in_config(json.loads(_attribute(content, name)))


def _attribute(content: Any, name: str) -> str | bytes:
    if content.attrs.get_id(name).get_storage_size() > _MOST_CONFIG:
        raise ModelError(f"its {name} has more than {_MOST_CONFIG:,} bytes")
    value: str | bytes = content.attrs[name]
    return value


def find_in_config(config: Any) -> list[Finding]:
    """Look through the config of a Keras model as it was read from JSON.

    Args:
        config: plain values.

    Returns:
        As :func:`find_in_keras_file`.

    Example:
        >>> relu = {"class_name": "Activation", "config": {"name": "a", "activation": "relu"}, "module": "keras.layers"}
        >>> find_in_config(relu)
        []
        >>> print(*find_in_config({"class_name": "Lambda", "config": {"name": "twice"}}))
        Lambda (runs Python code kept in the file) in layer 'twice'
    """
    findings: list[Finding] = []
    waiting: list[tuple[Any, str]] = [(config, "the model")]
    while waiting:
        value, where = waiting.pop()
        if isinstance(value, list):
            waiting += [(each, where) for each in value]
        if not isinstance(value, dict):
            continue
        inner = value.get("config")
        if "class_name" in value:
            where = _place(inner, where)
            if (finding := _of_object(value, where)) is not None:
                findings.append(finding)
        paths = {argument: value[argument] for argument in _PATHS if isinstance(value.get(argument), str)}
        findings += [Finding(f"{argument}={path!r}", "reads a file", where) for argument, path in paths.items()]
        waiting += [(each, where) for each in value.values()]
    return sorted(set(findings))


def _place(inner: Any, where: str) -> str:
    name = inner.get("name") if isinstance(inner, dict) else None
    return f"layer {name!r}" if isinstance(name, str) else where


def _of_object(value: dict[str, Any], where: str) -> Finding | None:
    """Say what is wrong with an object of a config; None where it may be made."""
    name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
    if name == "function":
        name, registered = value.get("config"), registered or value.get("config")
    elif name == "__typespec__":
        name = value.get("spec_name")
    if not isinstance(name, str) or not isinstance(module, (str, type(None))):
        return Finding(repr(name)[:100], "is no name of a class or function", where)
    if name in _PLAIN:
        return None
    if name in _CODE:
        return Finding(name, _CODE[name], where)
    if _is_registered(name) or (
        isinstance(registered, str) and (_is_registered(registered) or _ours(registered, module))
    ):
        return None
    found = _of_keras(name, module)
    if found is None:
        full = f"{module}.{name}" if module else registered if isinstance(registered, str) else name
        return Finding(full, "is neither Keras's own nor registered here", where)
    if found.__name__ in _CODE:  # under another name
        return Finding(name, _CODE[found.__name__], where)
    return None


def _ours(registered: str, module: str | None) -> bool:
    """Return whether an object is one of this project's, which may not be imported yet."""
    return registered.startswith("cnnapp>") and (module or "layers").split(".")[0] not in ("keras", "builtins")


def _is_registered(name: str) -> bool:
    import keras

    return keras.saving.get_registered_object(name) is not None


def _of_keras(name: str, module: str | None) -> Any:
    """Return Keras's own class or function of a name, if models are made of it; None otherwise."""
    import keras

    if module is None or module == "builtins":  # of Keras 2, or a function: the name alone says what is meant
        if name == "Functional":
            return keras.Model
        places = {area: getattr(keras, area) for area in sorted(_AREAS)}
    else:
        parts = [part for part in module.split(".") if part != "src"]
        area = parts[1] if len(parts) > 1 else "models"
        if parts[0] != "keras" or area not in _AREAS:
            return None
        try:
            places = {area: import_module(module)}  # of Keras, which is imported anyway
        except ImportError:
            return None
    return next((found for area, place in places.items() if _is_part(found := getattr(place, name, None), area)), None)


def _is_part(found: Any, area: str) -> bool:
    if isinstance(found, type):
        return hasattr(found, "from_config")
    return callable(found) and area in _FUNCTIONS and getattr(found, "__name__", "") not in _NO_FUNCTIONS
