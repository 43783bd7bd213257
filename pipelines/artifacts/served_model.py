"""What a saved model is: a directory that TensorFlow Serving serves, with a card that says what it is and proves it.

::

    saved_models/<name>/<version>/
      saved_model.pb  variables/  fingerprint.pb
      assets/labels.txt
      assets.extra/tf_serving_warmup_requests
      model_card.json     what it is, how it was made and measured, SHA-256 of every other file
      golden/             inputs, and the outputs that they must give

This module reads one, and writes its card; :mod:`pipelines.artifacts.writer` writes the rest. Reading imports TensorFlow only
when the model is run.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.errors import ModelError
from pipelines.core.tensorflow_import import import_tensorflow

__all__ = [
    "CARD",
    "GOLDEN",
    "GOLDEN_TOLERANCE",
    "LABELS",
    "WARMUP",
    "Golden",
    "ModelCard",
    "ServedModel",
    "as_numpy",
    "check_files",
    "file_hashes",
    "read_card",
    "read_golden",
    "versions",
    "write_card",
]

CARD = "model_card.json"
LABELS = "labels.txt"
GOLDEN = "golden"
WARMUP = "assets.extra/tf_serving_warmup_requests"
_LARGE = 10_000
_TIES = 1e-4
GOLDEN_TOLERANCE = 1e-5
"""How far a score may lie from the golden one: processors of another make add up in another order."""


class ModelCard(BaseModel):
    """What a saved model says of itself."""

    model_config = ConfigDict(extra="forbid")

    format: int = Field(1, description="Version of this record's form.")
    task: str = Field(description="classification, detection or segmentation.")
    name: str
    version: int
    created: str = Field(description="Time of the export, ISO 8601, UTC.")
    description: str = Field(description="In words: what it tells apart, in what kind of images.")
    classes: list[str] = Field(description="Names, in the order of the scores.")
    input: dict[str, Any] = Field(description="What the network is shown; as pipelines.images.preprocessing.ImageSpec.")
    metrics: dict[str, Any] = Field(description="Figures by split. Test images were used once, after every choice.")
    training: dict[str, Any] = Field(description="The configuration, with what was chosen from the data filled in.")
    history: dict[str, Any] = Field(description="How training went.")
    data: dict[str, Any] = Field(description="Source, sizes of the splits, fingerprint.")
    software: dict[str, str] = Field(description="Versions it was made with.")
    parameters: int = Field(description="Trainable and fixed numbers of the network.")
    standardisation: dict[str, float] = Field(
        default_factory=dict, description="Mean and standard deviation of the training pixels, 0 to 255, of its input."
    )
    evidence: str = Field("", description="What the signature explain gives: for example Grad-CAM, and of which layer.")
    files: dict[str, str] = Field(description="SHA-256 of every other file, by path inside the directory.")


def file_hashes(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a saved model but its card, by path inside the directory."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and path != directory / CARD)
    return {path.relative_to(directory).as_posix(): _sha256(path) for path in paths}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(directory: Path) -> list[int]:
    """Return the numbers of the versions under ``saved_models/<name>``, ascending."""
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.is_dir() and path.name.isdecimal())


def read_card(directory: Path) -> ModelCard:
    """Read the card of a saved model.

    Raises:
        ModelError: if there is no card, or it is not one of ours.
    """
    path = directory / CARD
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{directory}: holds no {CARD}; it is not a saved model of this application") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole file"
        raise ModelError(f"{path}: is damaged or of another version: {field}: {first['msg']}") from None


def write_card(directory: Path, card: ModelCard) -> None:
    """Write the card of a saved model; whoever reads it meanwhile finds the old one or the new one, whole.

    Args:
        directory: of the saved model.
        card: what it says of itself.

    Raises:
        ModelError: if it cannot be written.
    """
    path, building = directory / CARD, directory / f".{CARD}.{os.getpid()}"
    try:
        building.write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
        os.replace(building, path)
    except OSError as error:
        building.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot be written: {error.strerror}") from None


def check_files(directory: Path, card: ModelCard) -> list[str]:
    """Compare the files of a saved model with the hashes on its card.

    Args:
        directory: of the saved model.
        card: its card.

    Returns:
        One line for each file that is missing or differs; none where all are as they were written.
    """
    problems = []
    for name, expected in card.files.items():
        path = directory / name
        if not path.is_file():
            problems.append(f"{name}: is missing")
        elif _sha256(path) != expected:
            problems.append(f"{name}: differs from what was exported")
    return problems


class Golden:
    """Inputs of a saved model, and the outputs that they must give.

    Args:
        names: file names of the inputs, inside ``golden/``.
        inputs: their bytes.
        outputs: the outputs of one call with all inputs, by name.
    """

    def __init__(self, names: list[str], inputs: list[bytes], outputs: dict[str, np.ndarray]) -> None:
        self.names, self.inputs, self.outputs = names, inputs, outputs

    def difference(self, outputs: dict[str, np.ndarray]) -> float:
        """Return the largest difference of any number from the golden one; infinite where anything else differs.

        Of numbers above 1 it is the difference as a share of them.

        Args:
            outputs: what the model gives for the inputs, in one call.
        """
        largest = 0.0
        for name, expected in self.outputs.items():
            found = outputs.get(name)
            if found is None or found.shape != expected.shape:
                return float("inf")
            if np.issubdtype(expected.dtype, np.floating):
                # Scores are at most 1; of pixels, in which boxes are given, it is the share that tells.
                scale = np.maximum(np.abs(expected), 1.0)
                largest = max(largest, float((np.abs(found - expected) / scale).max(initial=0.0)))
            elif not np.array_equal(found, expected) and not _nearly_the_same_map(found, expected):
                return float("inf")
        return largest

    def write(self, directory: Path) -> None:
        """Write the inputs as files and the outputs as JSON, every number exactly; large arrays as files of NumPy's."""
        directory.mkdir()
        for name, data in zip(self.names, self.inputs, strict=True):
            (directory / name).write_bytes(data)
        outputs: dict[str, dict[str, Any]] = {}
        for name, values in self.outputs.items():
            kind = "string" if values.dtype == object else str(values.dtype)
            if values.size > _LARGE and kind != "string":
                np.save(directory / f"{name}.npy", values, allow_pickle=False)
                outputs[name] = {"dtype": kind, "file": f"{name}.npy"}
            else:
                outputs[name] = {"dtype": kind, "values": values.tolist()}
        record = {"signature": "serving_default", "inputs": self.names, "outputs": outputs}
        (directory / "expected.json").write_text(json.dumps(record, indent=1) + "\n")


def read_golden(directory: Path) -> Golden:
    """Read the golden examples of a saved model.

    Raises:
        ModelError: if they are missing or damaged.
    """
    folder = directory / GOLDEN
    try:
        record = json.loads((folder / "expected.json").read_text())
        inputs = [(folder / name).read_bytes() for name in record["inputs"]]
        outputs = {name: _array(folder, **entry) for name, entry in record["outputs"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: the golden examples cannot be read: {error}") from None
    return Golden(record["inputs"], inputs, outputs)


def _nearly_the_same_map(found: np.ndarray, expected: np.ndarray) -> bool:
    """Allow another processor another class at a few pixels of a map, where two are equally likely."""
    return expected.dtype == np.uint8 and expected.ndim == 3 and float((found != expected).mean()) <= _TIES


def _array(folder: Path, dtype: str, values: list[Any] | None = None, file: str = "") -> np.ndarray:
    if file:
        return np.load(folder / file, allow_pickle=False).astype(dtype)
    if dtype == "string":
        return np.array(values, dtype=object)
    return np.array(values, dtype=dtype)


class ServedModel:
    """A saved model that can be run: the one way to an answer, for tests of an export and for the predictor.

    Args:
        directory: of the saved model.

    Raises:
        ModelError: if a file is missing, altered or damaged, named.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.card = read_card(directory)
        problems = check_files(directory, self.card)
        if problems:
            raise ModelError(f"{directory}: {problems[0]}; get it again, or train it again")
        self._signatures = _load(directory)

    def __call__(self, image_bytes: list[bytes], **options: float | tuple[float, ...]) -> dict[str, np.ndarray]:
        """Answer for a batch of encoded images.

        Args:
            image_bytes: JPEG, PNG, GIF or BMP images of any sizes.
            **options: optional inputs of the signature, such as a detector's thresholds; the card's otherwise.

        Returns:
            The named outputs of ``serving_default``; strings as ``str`` objects.

        Raises:
            tf.errors.InvalidArgumentError: if any of them is not an image.
        """
        import tensorflow as tf

        chosen = self.card.input.get("options", {}) | options
        inputs = {name: tf.constant(value, tf.float32) for name, value in chosen.items()}
        return as_numpy(self.run("serving_default", image_bytes=tf.constant(image_bytes, tf.string), **inputs))

    def run(self, signature: str, **inputs: Any) -> dict[str, Any]:
        """Call a signature by its name, with tensors in and out."""
        return self._signatures[signature](**inputs)

    def has(self, signature: str) -> bool:
        """Return whether there is a signature of a name: those of models of earlier versions are fewer."""
        return signature in self._signatures

    def weights(self) -> list[np.ndarray]:
        """Return the network's weights, in the order of ``keras.Model.weights``."""
        return self._signatures.weights()

    def signature(self, name: str) -> Any:
        """Return a signature by its name, as TensorFlow loaded it."""
        return self._signatures[name]


def _load(directory: Path) -> Any:
    tf = import_tensorflow()

    try:
        # The signatures keep the variables alive only through the object they were loaded with.
        loaded = tf.saved_model.load(str(directory))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ModelError(f"{directory}: TensorFlow cannot load it: {str(error).splitlines()[0]}") from None
    return _Signatures(loaded)


class _Signatures:
    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded

    def __getitem__(self, name: str) -> Any:
        return self._loaded.signatures[name]

    def __contains__(self, name: str) -> bool:
        return name in self._loaded.signatures

    def weights(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self._loaded.weights]


def as_numpy(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Turn the tensors of a signature into arrays, with strings decoded."""
    arrays = {name: value.numpy() for name, value in outputs.items()}
    return {name: _decoded(value) if value.dtype == object else value for name, value in arrays.items()}


def _decoded(values: np.ndarray) -> np.ndarray:
    texts = np.empty(values.shape, dtype=object)
    for index, value in np.ndenumerate(values):
        texts[index] = value.decode()
    return texts
