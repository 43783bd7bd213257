"""A saved model that is loaded and warm: requests in, outputs or refusals out. No network."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnapp.service import batches, option_ranges, protocol, signatures
from cnnapp.service.limits import Limits
from cnnapp.service.protocol import Refusal, Request
from pipelines.artifacts import memory
from pipelines.core.errors import DataError, ImageTooLargeError
from pipelines.core.tensorflow_errors import first_line, undecodable
from pipelines.images import image_io

__all__ = ["LoadedModel"]

_IMAGES = "image_bytes"
"""The input, of any signature, that is encoded images."""
_SMALLER = "this service takes; send it smaller, or in parts"


class LoadedModel:
    """A saved model that is loaded and warm.

    Args:
        directory: of the saved model.
        limits: of the service.
    """

    def __init__(self, directory: Path, limits: Limits) -> None:
        from pipelines.artifacts.served_model import ServedModel

        self._limits = limits
        self._served = ServedModel(directory)
        self.card = self._served.card
        self.signatures = signatures.read_signatures(directory)
        self._warm_up()

    def _warm_up(self) -> None:
        """Replay the requests that TensorFlow Serving would, for every size of batch in use."""
        import tensorflow as tf
        from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

        from pipelines.artifacts.model_card import WARMUP

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
        request = protocol.read_request(body, self.signatures, self._limits.images)
        option_ranges.check(request.inputs, len(self.card.classes))
        for name, values in request.inputs.items():
            if values.ndim == 4:  # images that are decoded
                self._check_size(values.shape[1:3], name, request)
        if _IMAGES not in request.inputs:
            return request
        given = request.inputs[_IMAGES]
        images = np.empty(given.shape, dtype=object)
        for index, data in np.ndenumerate(given):
            # What is wrong with one of several is said of that one.
            images[index] = self._image(data, _place(index), request)
        return Request(request.signature, request.inputs | {_IMAGES: images}, request.row)

    def _image(self, data: bytes, name: str, request: Request) -> bytes:
        try:
            self._check_size(image_io.size_of(data, name), name, request)
            return image_io.read(data, name)
        except ImageTooLargeError as error:
            text = str(error)
            if text.endswith(image_io.BY_PIECES):  # which a service does not do
                text = f"{text.removesuffix(image_io.BY_PIECES)}more pixels than the {self._most:,} that {_SMALLER}"
            raise Refusal(400, text, reason="pixels") from None
        except DataError as error:
            raise Refusal(400, str(error)) from None

    @property
    def _most(self) -> int:
        return min(self._limits.pixels, image_io.MAX_PIXELS)

    def _check_size(self, size: tuple[int, ...], name: str, request: Request) -> None:
        """Refuse an image that is too large, or whose answer would not fit into memory."""
        height, width = size
        if height * width > self._most:
            large = f"{name}: {width} x {height} pixels, more than the {self._most:,} that {_SMALLER}"
            raise Refusal(400, large, reason="pixels")
        what, needed = f"{name}: {width} x {height} pixels", self._needed((height, width), request)
        problem = memory.too_much(what, needed, "send it smaller, or in parts")
        if problem is not None:
            raise Refusal(400, problem, reason="memory")

    def _needed(self, size: tuple[int, int], request: Request) -> int:
        return memory.needed_by(self.card, size, request.inputs)

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
        sizes = [image_io.size_of(data, _IMAGES) for data in request.inputs[_IMAGES].ravel()] or [(0, 0)]
        return max(height for height, _ in sizes), max(width for _, width in sizes)

    def _call(self, requests: list[Request]) -> list[tuple[dict[str, np.ndarray], int] | Refusal]:
        import tensorflow as tf

        signature, counts = requests[0].signature, [batches.count(request) for request in requests]
        try:
            outputs = self._run(signature.name, batches.join(requests))
        except tf.errors.OpError as error:
            # It does not say which request is at fault; one at a time, it does, and the others have their answers.
            if len(requests) > 1:
                return [self._call([request])[0] for request in requests]
            return [_refusal(requests[0], error)]
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


def _refusal(request: Request, error: Any) -> Refusal:
    """Say why TensorFlow has no answer to a request; only where an image cannot be decoded it is the image."""
    import tensorflow as tf

    from pipelines.images import preprocessing as images

    if isinstance(error, tf.errors.ResourceExhaustedError):
        return Refusal(429, "there is not enough memory to answer this request", reason="memory")
    for index, data in np.ndenumerate(request.inputs.get(_IMAGES, np.zeros(0, object))):
        try:
            images.decode(tf.constant(data))
        except tf.errors.OpError as found:
            return Refusal(400, f"{_place(index)}: {undecodable(found)}")
    if isinstance(error, (tf.errors.InvalidArgumentError, tf.errors.AbortedError, tf.errors.UnimplementedError)):
        given = ", ".join(f"{name} of shape {list(request.inputs[name].shape)}" for name in request.signature.required)
        return Refusal(400, f"{request.signature.name} has no answer for {given}: {first_line(error)}")
    traceback.print_exception(error)
    return Refusal(500, "the model failed; the log of the service says why")


def _place(index: tuple[int, ...]) -> str:
    """Return how an image of a request is called."""
    return _IMAGES + "".join(f"[{number}]" for number in index)
