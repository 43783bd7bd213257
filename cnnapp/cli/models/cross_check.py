"""The ways to an answer of a saved model: each gives the same named outputs, or one of them is wrong."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from pipelines.artifacts.golden import GOLDEN_TOLERANCE, read_golden
from pipelines.artifacts.served_model import ServedModel
from pipelines.core import extras
from pipelines.core.errors import ConfigError, ModelError

__all__ = [
    "WAYS",
    "Replay",
    "by_python",
    "by_saved_model_cli",
    "by_service",
    "by_tensorflow_alone",
    "by_the_page",
    "replay",
]

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

_PAGE = """
import pathlib, sys
import numpy as np
from streamlit.testing.v1 import AppTest
app, model, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
page = AppTest.from_file(app, default_timeout=300)
page.query_params["model"] = model
page.run()
page.file_uploader[0].set_value(
    [(path.name, path.read_bytes(), "image/png") for path in sorted(folder.glob("*.png"))]).run()
wrong = [*page.exception, *page.error]
if wrong:
    sys.exit(f"the page says: {wrong[0].value}")
from cnnapp.prediction.output_parsing import from_answers
found = {one.name: one.answer for one in page.session_state["answers"]}
outputs = from_answers([found[name] for name in sorted(found)])
np.savez(folder / "answer.npz", **{name: value.astype(str) if value.dtype == object else value
                                   for name, value in outputs.items()})
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
        return _saved(folder / "answer.npz")


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


def by_service(served: ServedModel, images: Sequence[bytes]) -> Outputs:
    """Answer by ``cnnapp serve``, started for that on a port that is free, over HTTP; as :func:`by_python`.

    Raises:
        ConfigError: if what serving needs is not installed.
        ModelError: if the service does not start.
    """
    extras.need("the service", "ray")
    from cnnapp.prediction.remote_predictor import connect

    with _service(served) as url:
        return connect(url, f"{served.card.name}/{served.card.version}").outputs(images)


@contextlib.contextmanager
def _service(served: ServedModel) -> Iterator[str]:
    """Serve a model, and stop it again; give the URL."""
    command = [sys.executable, "-m", "cnnapp", "serve", str(served.directory.resolve()), "--port", "0"]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=_environment(ours=True))
        try:
            until = time.monotonic() + _LONGEST
            while "try it" not in (text := _read(said)):
                if process.poll() is not None or time.monotonic() > until:
                    raise ModelError(f"{served.directory}: the service does not start: {_last_line(text)}")
                time.sleep(0.1)
            yield text.split("listening on ")[1].split()[0]
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def by_the_page(served: ServedModel, images: Sequence[bytes]) -> Outputs:
    """Answer by the page, run without a browser in a fresh process, given the images as uploads; as :func:`by_python`.

    Raises:
        ConfigError: if what the page needs is not installed.
        ModelError: if it fails, with the last line it said.
    """
    extras.need("the page", "ui", "streamlit")
    # The page imports this package, not the other way round; here it is only a script to run.
    spec = importlib.util.find_spec("ui")
    assert spec is not None
    assert spec.origin is not None
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        card = served.card
        (folder / "models" / card.name).mkdir(parents=True)
        (folder / "models" / card.name / str(card.version)).symlink_to(served.directory.resolve())
        for number, data in enumerate(images):
            (folder / f"{number:06d}.png").write_bytes(data)
        arguments = [str(Path(spec.origin).parent / "app.py"), f"{card.name}/{card.version}", scratch]
        _run(["-c", _PAGE, *arguments], folder, served, CNNAPP_SAVED_MODELS=str(folder / "models"))
        return _saved(folder / "answer.npz")


def _saved(path: Path) -> Outputs:
    with np.load(path) as found:
        return {name: value.astype(object) if value.dtype.kind == "U" else value for name, value in found.items()}


def _run(arguments: list[str], folder: Path, served: ServedModel, **variables: str) -> None:
    """Run Python in a folder where nothing of the project is found by its being there."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=_environment(ours=bool(variables)) | variables,
        capture_output=True,
        text=True,
        timeout=_LONGEST,
        check=False,
    )
    if done.returncode:
        raise ModelError(f"{served.directory}: another process cannot answer with it: {_last_line(done.stderr)}")


def _environment(ours: bool) -> dict[str, str]:
    """Return the variables for another process, which finds what this one finds, plug-ins too, or need not."""
    found = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if ours:
        # Made absolute: the other one stands in another folder.
        found["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(os.path.abspath(path) for path in sys.path))
    return found


def _last_line(text: str) -> str:
    return next(reversed(text.strip().splitlines()), "it said nothing")


WAYS: dict[str, Callable[[ServedModel, Sequence[bytes]], Outputs]] = {
    "Python": by_python,
    "TensorFlow alone, in a fresh process": by_tensorflow_alone,
    "saved_model_cli": by_saved_model_cli,
    "the page": by_the_page,
    "the service, over HTTP": by_service,
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
