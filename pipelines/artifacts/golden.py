"""Golden examples: inputs, and the outputs that a saved model must give for them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.errors import ModelError
from pipelines.storage import regular_file
from pipelines.storage.names import is_component

__all__ = ["GOLDEN", "GOLDEN_TOLERANCE", "Golden", "read_golden"]

GOLDEN = "golden"
_LARGE = 10_000
_TIES = 1e-4
_LARGEST = 2**30  # bytes of one file; maps of large images have some hundred million
GOLDEN_TOLERANCE = 1e-5
"""How far a score may lie from the golden one: processors of another make add up in another order."""


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
        record = json.loads(_file(folder, "expected.json"))
        names = list(record["inputs"])
        inputs = [_file(folder, name) for name in names]
        outputs = {name: _array(folder, **entry) for name, entry in record["outputs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError, RecursionError) as error:
        raise ModelError(f"{folder}: the golden examples cannot be read: {error or type(error).__name__}") from None
    return Golden(names, inputs, outputs)


def _file(folder: Path, name: str) -> bytes:
    if not isinstance(name, str) or not is_component(name):
        raise ValueError(f"{name!r} is listed, which is no file in this folder")
    try:
        return regular_file.read(folder / name, _LARGEST)
    except regular_file.NotRegularError as error:
        raise ValueError(f"{name} {error.strerror}") from None


def _nearly_the_same_map(found: np.ndarray, expected: np.ndarray) -> bool:
    """Allow another processor another class at a few pixels of a map, where two are equally likely."""
    return expected.dtype == np.uint8 and expected.ndim == 3 and float((found != expected).mean()) <= _TIES


def _array(folder: Path, dtype: str, values: list[Any] | None = None, file: str = "") -> np.ndarray:
    if file:
        stored: np.ndarray = np.load(io.BytesIO(_file(folder, file)), allow_pickle=False)
        return stored.astype(dtype)
    if dtype == "string":
        return np.array(values, dtype=object)
    return np.array(values, dtype=dtype)
