"""The ways to an answer of a saved model: each gives the same named outputs, or one of them is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.artifact import GOLDEN_TOLERANCE, ServedModel, read_golden
from pipelines.errors import ConfigError, ModelError

__all__ = ["WAYS", "Replay", "by_python", "by_saved_model_cli", "by_tensorflow_alone", "replay"]

Outputs = dict[str, np.ndarray]
_LONGEST = 600.0  # seconds that another process may take

_ALONE = """
import json, pathlib, sys
import numpy as np
for name in ("layers", "pipelines", "cnnapp", "ui", "keras"):
    sys.modules[name] = None  # an import of any of them fails
import tensorflow as tf
folder = pathlib.Path(sys.argv[2])
images = [path.read_bytes() for path in sorted(folder.glob("*.image"))]
options = {path.stem: tf.constant(np.load(path)) for path in folder.glob("*.npy")}
answer = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
found = {name: tensor.numpy() for name, tensor in answer(image_bytes=tf.constant(images), **options).items()}
np.savez(folder / "answer.npz", **{name: np.char.decode(value.astype(bytes)) if value.dtype == object else value
                                   for name, value in found.items()})
"""


@dataclass(frozen=True)
class Replay:
    """The golden examples of a model, answered by one way.

    Args:
        way: its name.
        difference: the largest of a score from what it was at export; None where the way could not be gone.
        reason: why not.
    """

    way: str
    difference: float | None
    reason: str = ""

    def __str__(self) -> str:
        """Return one line."""
        if self.difference is None:
            return f"{self.way}: skipped: {self.reason}"
        return f"{self.way}: largest difference {self.difference:.3g}"


def by_python(served: ServedModel, images: Sequence[bytes]) -> Outputs:
    """Answer in this process, as the predictor does.

    Args:
        served: the model.
        images: encoded, as the graph reads them.

    Returns:
        The named outputs of one call with all images; of strings, objects.
    """
    return served(list(images))


def by_tensorflow_alone(served: ServedModel, images: Sequence[bytes]) -> Outputs:
    """Answer in a fresh process that has TensorFlow and none of this project's code; as :func:`by_python`.

    Raises:
        ModelError: if it fails, with the last line it said.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for number, data in enumerate(images):
            (folder / f"{number:06d}.image").write_bytes(data)
        for option, value in served.card.input.get("options", {}).items():
            np.save(folder / f"{option}.npy", np.array(value, np.float32))
        _run(["-c", _ALONE, str(served.directory.resolve()), scratch], folder, served)
        with np.load(folder / "answer.npz") as found:
            return {name: value.astype(object) if value.dtype.kind == "U" else value for name, value in found.items()}


def by_saved_model_cli(served: ServedModel, images: Sequence[bytes]) -> Outputs:
    """Answer by TensorFlow's own command ``saved_model_cli run``; as :func:`by_python`.

    Raises:
        ModelError: if it fails, with the last line it said.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.save(folder / "image_bytes.npy", np.array(images, object))
        for option, value in served.card.input.get("options", {}).items():
            np.save(folder / f"{option}.npy", np.array(value, np.float32))
        inputs = ";".join(f"{path.stem}={path}" for path in sorted(folder.glob("*.npy")))
        command = ["-c", "from tensorflow.python.tools.saved_model_cli import main; main()", "run"]
        command += ["--dir", str(served.directory.resolve()), "--tag_set", "serve", "--signature_def"]
        command += ["serving_default", "--inputs", inputs, "--outdir", str(folder / "out")]
        _run(command, folder, served)
        found = {path.stem: np.load(path, allow_pickle=True) for path in (folder / "out").iterdir()}
    return {name: _as_text(value) if value.dtype == object else value for name, value in found.items()}


def _as_text(values: np.ndarray) -> np.ndarray:
    texts = np.array([value.decode() for value in values.ravel()], object)
    return texts.reshape(values.shape)


def _run(arguments: list[str], folder: Path, served: ServedModel) -> None:
    """Run Python in a folder where nothing of the project is found by its being there."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=_LONGEST,
        check=False,
    )
    if done.returncode:
        last = next(reversed(done.stderr.strip().splitlines()), "it said nothing")
        raise ModelError(f"{served.directory}: another process cannot answer with it: {last}")


WAYS: dict[str, Callable[[ServedModel, Sequence[bytes]], Outputs]] = {
    "Python": by_python,
    "TensorFlow alone, in a fresh process": by_tensorflow_alone,
    "saved_model_cli": by_saved_model_cli,
}
"""The ways by their names, the quickest first."""


def replay(served: ServedModel) -> Iterator[Replay]:
    """Answer for the golden examples by every way.

    Args:
        served: the model.

    Yields:
        One result a way, as soon as it is there.

    Raises:
        ModelError: if a way gives other answers than at export; or another process cannot answer.
    """
    golden = read_golden(served.directory)
    for way, run in WAYS.items():
        try:
            found = run(served, golden.inputs)
        except ConfigError as error:  # something optional is not installed
            yield Replay(way, None, str(error))
            continue
        difference = golden.difference(found)
        if not difference <= GOLDEN_TOLERANCE:
            raise ModelError(
                f"{served.directory}: by {way} the golden examples give other answers than at export: largest "
                f"difference {difference:.3g}, at most {GOLDEN_TOLERANCE:g} was expected"
            )
        yield Replay(way, difference)
