"""A saved model as one LiteRT (TensorFlow Lite) file, for telephones and small computers."""

from __future__ import annotations

import io
import json
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np

from pipelines.artifacts.model_card import LABELS
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ModelError
from pipelines.core.tensorflow_import import hushed
from pipelines.export.exported_file import ExportedFile, describe, publish
from pipelines.export.parity import Agreement, Answer

__all__ = ["METADATA", "WEIGHTS", "open_litert", "write_litert"]

WEIGHTS = ("float16", "float32", "int8")
"""What weights may be stored as; with int8 the large ones alone, each channel by a scale of its own."""

METADATA = "metadata.json"
"""Name of the file with what the model is, in the ZIP archive at the end of a LiteRT file."""


def write_litert(served: ServedModel, path: Path, weights: str = "float16") -> ExportedFile:
    """Write the signature ``pixels`` of a saved model for LiteRT, once it is shown to give the same answers.

    Inputs and outputs have the names, kinds and shapes of the signature; a batch may have any number of images of any
    size. The file is a ZIP archive as well, with ``labels.txt`` and ``metadata.json``, as is the custom for the format.

    Args:
        served: the saved model.
        path: of the file.
        weights: the type they are stored as, one of :data:`WEIGHTS`; computation is in float32.

    Returns:
        What was written.

    Raises:
        ModelError: if the model has operations that LiteRT lacks, gives other answers, or cannot be written.

    Example:
        >>> served = ServedModel(Path("saved_models/digits/1"))
        >>> write_litert(served, Path(scratch) / "digits.tflite").agreement.classes
        0.0
    """
    model = _convert(served, weights)

    def finish(found: Agreement | None) -> bytes:
        file = io.BytesIO(model)
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr(LABELS, "".join(f"{name}\n" for name in served.card.classes))
            archive.writestr(METADATA, json.dumps(describe(served.card, weights, found), indent=1) + "\n")
        return file.getvalue()

    return publish(served, path, weights, finish, open_litert)


def open_litert(data: bytes) -> Answer:
    """Make the content of a LiteRT file answer.

    Args:
        data: of the file.

    Returns:
        From named inputs to named outputs.

    Raises:
        ModelError: if the interpreter does not read it.
    """
    import tensorflow as tf

    with warnings.catch_warnings(), hushed():
        # It recommends a package of its own, which has the same interpreter.
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated", UserWarning)
        try:
            run = tf.lite.Interpreter(model_content=data).get_signature_runner("pixels")
        except ValueError as error:
            raise ModelError(f"LiteRT does not read the conversion: {str(error).splitlines()[0]}") from None

    def answer(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            with hushed():
                found = run(**inputs)
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"LiteRT cannot run the conversion: {str(error).splitlines()[0]}") from None
        return {name: _decoded(values) for name, values in found.items()}

    return answer


def _decoded(values: np.ndarray) -> np.ndarray:
    if values.dtype != object:
        return values
    return np.array([text.decode() for text in values.ravel()], object).reshape(values.shape)


def _convert(served: ServedModel, weights: str) -> bytes:
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    from pipelines.export.portable_graph import portable

    module = tf.Module()
    module.pixels = portable(served.signature("pixels")).function()
    with tempfile.TemporaryDirectory() as scratch, hushed():
        tf.saved_model.save(module, scratch, signatures={"pixels": module.pixels})
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch, signature_keys=["pixels"])
        if weights != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if weights == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            return bytes(converter.convert())
        except ConverterError as error:
            raise ModelError(f"{served.directory}: LiteRT does not support: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """Return the names of the operations that are in the way, or what else was said first."""
    lines = str(error).splitlines()
    named = [line.partition("TF Select ops: ")[2] for line in lines if "TF Select ops: " in line]
    return named[0] if named else lines[0]
