"""A saved model that is loaded and warm: requests in, outputs or refusals out. No network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnapp.outputs import undecodable
from cnnapp.service import batches, protocol, signatures
from cnnapp.service.limits import Limits
from cnnapp.service.protocol import Refusal, Request
from pipelines import intake, memory
from pipelines.errors import DataError

__all__ = ["LoadedModel"]

_IMAGES = "image_bytes"
"""The input, of any signature, that is encoded images."""


class LoadedModel:
    """A saved model that is loaded and warm.

    Args:
        directory: of the saved model.
        limits: of the service.
    """

    def __init__(self, directory: Path, limits: Limits) -> None:
        from pipelines.artifact import ServedModel

        self._limits = limits
        self._served = ServedModel(directory)
        self.card = self._served.card
        self.signatures = signatures.read_signatures(directory)
        self._warm_up()

    def _warm_up(self) -> None:
        """Replay the requests that TensorFlow Serving would, for every size of batch in use."""
        import tensorflow as tf
        from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

        from pipelines.artifact import WARMUP

        path = self._served.directory / WARMUP
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator() if path.is_file() else ():
            request = PredictionLog.FromString(record).predict_log.request
            signature = self.signatures[request.model_spec.signature_name or signatures.DEFAULT]
            given = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            self._run(signature.name, dict(signature.defaults) | given)

    def read(self, body: bytes) -> Request:
        """Read a request, with its images brought to what the graph decodes.

        Raises:
            Refusal: if it is none, or an image is too large or cannot be read.
        """
        request = protocol.read_request(body, self.signatures)
        if _IMAGES not in request.inputs:
            return request
        given = request.inputs[_IMAGES]
        images = np.empty(given.shape, dtype=object)
        for index, data in np.ndenumerate(given):
            # What is wrong with one of several is said of that one.
            images[index] = self._image(data, "".join(f"[{number}]" for number in index), request)
        return Request(request.signature, request.inputs | {_IMAGES: images}, request.row)

    def _image(self, data: bytes, place: str, request: Request) -> bytes:
        name = f"{_IMAGES}{place}"
        try:
            height, width = intake.size_of(data, name)
            if height * width > self._limits.pixels:
                raise Refusal(
                    400, f"{name}: {width} x {height} pixels; this service takes at most {self._limits.pixels:,}"
                )
            needed, free = self._needed((height, width), request), memory.available()
            if needed > memory.SHARE * free:
                raise Refusal(
                    400, f"{name}: {width} x {height} pixels would take {needed / 2**30:.1f} GiB of memory at once, "
                    f"and {free / 2**30:.1f} are free"
                )  # fmt: skip
            return intake.read(data, name)
        except DataError as error:
            raise Refusal(400, str(error)) from None

    def _needed(self, size: tuple[int, int], request: Request) -> int:
        return memory.needed_by(self.card, size, {name: request.inputs[name] for name in request.signature.defaults})

    def answer(self, requests: Sequence[Request]) -> list[tuple[dict[str, np.ndarray], int] | Refusal]:
        """Answer requests of one kind.

        Args:
            requests: that :func:`cnnapp.service.batches.kind` says may be joined; or a single one.

        Returns:
            For each its outputs and how many images were answered with it, or why there are none.
        """
        found: list[tuple[dict[str, np.ndarray], int] | Refusal] = []
        for call in memory.calls(requests, self._largest, lambda size: self._needed(size, requests[0])):
            found += self._call(call)
        return found

    def _largest(self, request: Request) -> tuple[int, int]:
        if _IMAGES not in request.inputs or "bytes_per_pixel" not in self.card.input:
            return 0, 0
        sizes = [intake.size_of(data, _IMAGES) for data in request.inputs[_IMAGES].ravel()] or [(0, 0)]
        return max(height for height, _ in sizes), max(width for _, width in sizes)

    def _call(self, requests: list[Request]) -> list[tuple[dict[str, np.ndarray], int] | Refusal]:
        import tensorflow as tf

        signature, counts = requests[0].signature, [batches.count(request) for request in requests]
        try:
            outputs = self._run(signature.name, batches.join(requests))
        except (tf.errors.InvalidArgumentError, tf.errors.ResourceExhaustedError) as error:
            # Neither says which request is at fault; one at a time, it does, and the others have their answers.
            if len(requests) > 1:
                return [self._call([request])[0] for request in requests]
            if isinstance(error, tf.errors.ResourceExhaustedError):
                return [Refusal(429, "there is not enough memory to answer this request")]
            return [Refusal(400, undecodable(error) if _IMAGES in signature.inputs else _told(error))]
        total = sum(counts)
        return [(own, total) for own in batches.split(outputs, counts, signature)]

    def _run(self, name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        import tensorflow as tf

        signature = self.signatures[name]
        tensors = {
            key: tf.constant(
                value.tolist() if value.dtype == object else value, signature.inputs[key].dtype, value.shape
            )
            for key, value in inputs.items()
        }
        # NumPy's form of a single string is bytes, which is no array.
        return {key: _array(value.numpy()) for key, value in self._served.run(name, **tensors).items()}


def _array(values: Any) -> np.ndarray:
    return np.array(values, object) if isinstance(values, bytes) else np.asarray(values)


def _told(error: Exception) -> str:
    return undecodable(error).removeprefix("the image cannot be decoded: ")
