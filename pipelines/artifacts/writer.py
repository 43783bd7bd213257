"""Write a saved model: under a temporary name, proven by loading it back, then renamed to the next version."""

from __future__ import annotations

import contextlib
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.artifacts import manifest
from pipelines.artifacts.golden import GOLDEN, GOLDEN_TOLERANCE, Golden
from pipelines.artifacts.model_card import FORMAT, LABELS, WARMUP, ModelCard, file_hashes, versions, write_card
from pipelines.artifacts.served_model import ServedModel, as_numpy
from pipelines.artifacts.serving_module import ServingModule
from pipelines.core import extras
from pipelines.core.errors import ModelError
from pipelines.core.tensorflow_errors import first_line
from pipelines.storage import durable
from pipelines.storage.leftovers import building_folder, remove_leftovers
from pipelines.storage.names import check_name

__all__ = ["choose_golden", "export", "software"]

_FINGERPRINTED = ("cnnapp", "tensorflow", "keras", "numpy", "pillow")


def software() -> dict[str, str]:
    """Return the versions of Python and of the packages that make the answer."""
    from importlib.metadata import version

    return {"python": platform.python_version()} | {name: version(name) for name in _FINGERPRINTED}


def export(
    serving: Callable[[Path], ServingModule],
    model: keras.Model,
    classes: Sequence[str],
    golden: Sequence[bytes],
    card: dict[str, Any],
    root: Path,
    measure: Callable[[ServedModel], dict[str, Any]],
) -> ServedModel:
    """Write the next version of a saved model.

    It becomes visible under its number in one step, complete, checked and on the disk; an existing version is never
    touched. What a killed process left unfinished under the name is removed.

    Args:
        serving: from the file of labels to what is saved.
        model: the network in it, whose first layer but the input standardises.
        classes: names, in the order of the scores.
        golden: encoded images whose answers are kept with the model.
        card: the fields of the card that the task knows; ``name`` and ``input`` among them.
        root: the folder of all saved models.
        measure: from the model as it was written and loaded back to the figures for the card.

    Returns:
        The model, loaded from its final place.

    Raises:
        ConfigError: if a package that writing needs is not installed, or the name is not one plain component of a path.
        ModelError: if what was written does not give the network's own answers, or cannot be written.
    """
    extras.need("a saved model that is written", "train", "tensorflow-serving-api")
    check_name(card["name"])
    home = root / card["name"]
    try:
        home.mkdir(parents=True, exist_ok=True)
        for folder in (root, home):
            remove_leftovers(folder)
            durable.sync_folder(folder)
        building = building_folder(home / "building")
    except OSError as error:
        raise ModelError(f"{home}: cannot be written to: {error.strerror}") from None
    try:
        with _written(home):
            expected, evidence = _write(building, serving, classes, golden)
        complete = card | {"classes": list(classes), "software": software(), "evidence": evidence}
        complete |= {"parameters": model.count_params(), "standardisation": _standardisation(model)}
        complete |= {"created": datetime.now(UTC).isoformat(timespec="seconds"), "format": FORMAT}
        # Measured on what was written, not on what was in memory.
        write_card(building, ModelCard(**complete, version=0, metrics={}, files=file_hashes(building)))
        manifest.seal(building)
        served = ServedModel(building, exporting=True)
        _prove(served, expected, list(golden))
        complete["metrics"] = measure(served)
        with _written(home):
            building.chmod(0o755)
            final = _publish(building, home, complete)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return ServedModel(final, exporting=True)


@contextlib.contextmanager
def _written(home: Path) -> Iterator[None]:
    """Say in a line what the disk refuses, such as when it is full."""
    try:
        yield
    except OSError as error:
        raise ModelError(f"{home}: cannot be written to: {error.strerror or error}") from None
    except (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError, tf.errors.UnknownError) as error:
        raise ModelError(f"{home}: cannot be written to: {first_line(error)}") from None


def _write(
    building: Path, serving: Callable[[Path], ServingModule], classes: Sequence[str], golden: Sequence[bytes]
) -> tuple[dict[str, np.ndarray], str]:
    """Write all but the card; return what the network itself gives for the golden inputs, run without any graph, and
    what kind of evidence it gives.
    """
    image_bytes = tf.constant(list(golden), tf.string)
    with tempfile.TemporaryDirectory(dir=building) as scratch:  # gone with the rest where the process is killed
        labels = Path(scratch) / LABELS
        labels.write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
        module = serving(labels)
        tf.saved_model.save(module, str(building), signatures=module.signatures())
    outputs = as_numpy(module.serve_bytes(image_bytes))
    names = [f"input-{number}{_extension(data)}" for number, data in enumerate(golden)]
    Golden(names, list(golden), outputs).write(building / GOLDEN)
    _write_warmup(building / WARMUP, building.parent.name, list(golden), module.warmup_batches)
    tf.config.run_functions_eagerly(True)
    try:
        return as_numpy(module.serve_bytes(image_bytes)), module.evidence
    finally:
        tf.config.run_functions_eagerly(False)


def _standardisation(model: keras.Model) -> dict[str, float]:
    layer = model.get_layer("standardise")
    return {"mean": -layer.offset / layer.scale, "deviation": 1.0 / layer.scale}


def _extension(data: bytes) -> str:
    known = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"BM": ".bmp"}
    return next((extension for magic, extension in known.items() if data.startswith(magic)), ".bin")


def _write_warmup(path: Path, card_name: str, inputs: list[bytes], batches: tuple[int, ...]) -> None:
    """Write the requests that TensorFlow Serving replays before it takes the model into service."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for size in batches:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = card_name
            request.model_spec.signature_name = "serving_default"
            batch = [inputs[number % len(inputs)] for number in range(size)]
            request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(batch, tf.string))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())


def _prove(served: ServedModel, expected: dict[str, np.ndarray], golden: list[bytes]) -> None:
    """Compare the loaded model with the network itself."""
    difference = Golden([], [], expected).difference(served(golden))
    if not difference <= GOLDEN_TOLERANCE:
        raise ModelError(
            f"the exported model differs from the network by {difference:.2g} on the golden examples "
            f"(at most {GOLDEN_TOLERANCE:g} was expected); nothing was written"
        )


def _publish(building: Path, home: Path, card: dict[str, Any]) -> Path:
    """Rename to the next free number; another process that takes it first only moves us on by one."""
    version = max(versions(home), default=0) + 1
    while True:
        write_card(building, ModelCard(**card, version=version, files=file_hashes(building)))
        durable.sync_tree(building)
        final = home / str(version)
        try:
            # A rename onto an existing directory that is not empty fails, on every system.
            durable.replace(building, final)
        except OSError:
            if not final.exists():
                raise
            version += 1
        else:
            return final


def choose_golden(examples: Sequence[tuple[int, bytes]], count: int = 10) -> list[bytes]:
    """Choose golden inputs: the first example of each class, at most ``count``.

    Args:
        examples: (label, encoded image).
        count: at most this many.

    Returns:
        Encoded images.
    """
    firsts: dict[int, bytes] = {}
    for label, data in examples:
        firsts.setdefault(label, data)
    return [firsts[label] for label in sorted(firsts)][:count]
