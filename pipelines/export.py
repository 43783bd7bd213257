"""Write a saved model: under a temporary name, proven by loading it back, then renamed to the next version."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pipelines import images
from pipelines.artifact import (
    CARD,
    GOLDEN,
    GOLDEN_TOLERANCE,
    LABELS,
    WARMUP,
    Golden,
    ModelCard,
    ServedModel,
    as_numpy,
    file_hashes,
    versions,
)
from pipelines.errors import ModelError
from pipelines.images import ImageSpec

__all__ = ["ServingModule", "export", "software"]

_WARMUP_BATCHES = (1, 8, 32)
_FINGERPRINTED = ("cnnapp", "tensorflow", "keras", "numpy", "pillow")

Decode = Callable[[tf.Tensor], dict[str, tf.Tensor]]


class ServingModule(tf.Module):
    """A network with everything around it: from encoded bytes to named answers, in one graph.

    Args:
        model: from float32 images (batch, height, width, channels), 0 to 255, to the outputs that ``decode`` takes.
        spec: what the network sees.
        decode: the task's last step, from outputs to named tensors.
        labels: a file with the names of the classes, one a line.
    """

    def __init__(self, model: keras.Model, spec: ImageSpec, decode: Decode, labels: Path) -> None:
        super().__init__(name="cnnapp")
        self._spec, self._decode = spec, decode
        # Held by a function and not as an attribute: TensorFlow would find the weights there too, and save them twice.
        self._network = lambda pixels: model(pixels, training=False)
        self.weights = [variable.value for variable in model.weights]
        self.labels = tf.saved_model.Asset(str(labels))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answer for encoded images of any sizes."""
        return self._answer(images.prepare_batch(image_bytes, self._spec))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve_pixels(self, images_: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answer for decoded RGB images of one size."""
        return self._answer(images.prepare(images_, self._spec))

    def _answer(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.ensure_shape(pixels, [None, *self._spec.shape])
        # TensorFlow's convolution gives a wrong shape for a batch of nothing; it is answered as one image, then cut.
        count = tf.shape(pixels)[0]
        pixels = tf.pad(pixels, [[0, tf.cast(tf.equal(count, 0), tf.int32)], [0, 0], [0, 0], [0, 0]])
        answer = self._decode(self._network(tf.cast(pixels, tf.float32)))
        return {name: tensor[:count] for name, tensor in answer.items()}


def software() -> dict[str, str]:
    """Return the versions of Python and of the packages that make the answer."""
    from importlib.metadata import version

    return {"python": platform.python_version()} | {name: version(name) for name in _FINGERPRINTED}


def export(
    model: keras.Model,
    spec: ImageSpec,
    decode: Decode,
    classes: Sequence[str],
    golden: Sequence[bytes],
    card: dict[str, Any],
    root: Path,
    measure: Callable[[ServedModel], dict[str, Any]],
) -> ServedModel:
    """Write the next version of a saved model.

    It becomes visible under its number in one step, complete and checked; an existing version is never touched.

    Args:
        model: as of :class:`ServingModule`.
        spec: what the network sees.
        decode: the task's last step.
        classes: names, in the order of the scores.
        golden: encoded images whose answers are kept with the model.
        card: the fields of the card that the task knows; ``name`` among them.
        root: the folder of all saved models.
        measure: from the model as it was written and loaded back to the figures for the card.

    Returns:
        The model, loaded from its final place.

    Raises:
        ModelError: if what was written does not give the network's own answers, or cannot be written.
    """
    home = root / card["name"]
    try:
        home.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=home))
    except OSError as error:
        raise ModelError(f"{home}: cannot be written to: {error.strerror}") from None
    try:
        _write(building, model, spec, decode, classes, golden)
        complete = card | {"classes": list(classes), "input": spec.to_json(), "software": software()}
        complete |= {"created": datetime.now(UTC).isoformat(timespec="seconds"), "parameters": model.count_params()}
        # Measured on what was written, not on what was in memory.
        _write_card(building, ModelCard(**complete, version=0, metrics={}, files=file_hashes(building)))
        served = ServedModel(building)
        _prove(served, model, spec, decode, list(golden))
        complete["metrics"] = measure(served)
        building.chmod(0o755)
        final = _publish(building, home, complete)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return ServedModel(final)


def _write(
    building: Path,
    model: keras.Model,
    spec: ImageSpec,
    decode: Decode,
    classes: Sequence[str],
    golden: Sequence[bytes],
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        labels = Path(scratch) / LABELS
        labels.write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
        module = ServingModule(model, spec, decode, labels)
        signatures = {"serving_default": module.serve_bytes, "pixels": module.serve_pixels}
        tf.saved_model.save(module, str(building), signatures=signatures)
    outputs = as_numpy(module.serve_bytes(tf.constant(list(golden), tf.string)))
    names = [f"input-{number}{_extension(data)}" for number, data in enumerate(golden)]
    Golden(names, list(golden), outputs).write(building / GOLDEN)
    _write_warmup(building / WARMUP, card_name=building.parent.name, inputs=list(golden))


def _extension(data: bytes) -> str:
    known = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"BM": ".bmp"}
    return next((extension for magic, extension in known.items() if data.startswith(magic)), ".bin")


def _write_warmup(path: Path, card_name: str, inputs: list[bytes]) -> None:
    """Write the requests that TensorFlow Serving replays before it takes the model into service."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for size in _WARMUP_BATCHES:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = card_name
            request.model_spec.signature_name = "serving_default"
            batch = [inputs[number % len(inputs)] for number in range(size)]
            request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(batch, tf.string))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())


def _prove(served: ServedModel, model: keras.Model, spec: ImageSpec, decode: Decode, golden: list[bytes]) -> None:
    """Compare the loaded model with the network itself, layer by layer code run without any graph."""
    pixels = tf.stack([images.prepare(images.decode(tf.constant(data)), spec) for data in golden])
    expected = as_numpy(decode(model(tf.cast(pixels, tf.float32), training=False)))
    difference = Golden([], [], expected).difference(served(golden))
    if not difference <= GOLDEN_TOLERANCE:
        raise ModelError(
            f"the exported model differs from the network by {difference:.2g} on the golden examples "
            f"(at most {GOLDEN_TOLERANCE:g} was expected); nothing was written"
        )


def _write_card(directory: Path, card: ModelCard) -> None:
    (directory / CARD).write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _publish(building: Path, home: Path, card: dict[str, Any]) -> Path:
    """Rename to the next free number; another process that takes it first only moves us on by one."""
    version = max(versions(home), default=0) + 1
    while True:
        _write_card(building, ModelCard(**card, version=version, files=file_hashes(building)))
        final = home / str(version)
        try:
            # A rename onto an existing directory that is not empty fails, on every system.
            os.rename(building, final)
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
