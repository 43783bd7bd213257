"""A saved model as one ONNX file, for ONNX Runtime and whatever else reads the format."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.artifacts.served_model import ServedModel
from pipelines.core import extras
from pipelines.core.errors import ModelError
from pipelines.export.exported_file import ExportedFile, describe, publish
from pipelines.export.parity import Agreement, Answer

__all__ = ["OPSET", "open_onnx", "write_onnx"]

OPSET = 17
"""Version of the set of operations: what ONNX Runtime has read since 1.12 (2022)."""

_MISSING = re.compile(r"Tensorflow op \[(?P<name>.*): (?P<kind>\w+)\] is not supported")


def write_onnx(served: ServedModel, path: Path) -> ExportedFile:
    """Write the signature ``pixels`` of a saved model as ONNX, once it is shown to give the same answers.

    Inputs and outputs have the names, kinds and shapes of the signature; a batch may have any number of images of any
    size. What the model is stands in the file's metadata: name, version, task, classes, input, SHA-256 of the graph it
    was made from, and how far its answers lie from that one's.

    Args:
        served: the saved model.
        path: of the file.

    Returns:
        What was written.

    Raises:
        ConfigError: if the packages for ONNX are not installed.
        ModelError: if the model has operations that ONNX lacks, gives other answers, or cannot be written.

    Example:
        >>> served = ServedModel(Path("saved_models/digits/1"))
        >>> write_onnx(served, Path(scratch) / "digits.onnx").agreement.score < 1e-5
        True
    """
    extras.need("--format onnx", "onnx")
    proto = _convert(served)

    def finish(found: Agreement | None) -> bytes:
        import onnx

        texts = describe(served.card, "float32", found)
        plain = {key: value if isinstance(value, str) else json.dumps(value) for key, value in texts.items()}
        onnx.helper.set_model_props(proto, plain)
        return bytes(proto.SerializeToString())

    return publish(served, path, "float32", finish, open_onnx)


def open_onnx(data: bytes) -> Answer:
    """Make the content of an ONNX file answer, by ONNX Runtime.

    Args:
        data: of the file.

    Returns:
        From named inputs to named outputs.

    Raises:
        ModelError: if ONNX Runtime does not read it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no parent of their own
        raise ModelError(f"ONNX Runtime does not read the conversion: {str(error).splitlines()[0]}") from None
    names = [output.name for output in session.get_outputs()]

    def answer(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            return dict(zip(names, session.run(None, inputs), strict=True))
        except Exception as error:
            raise ModelError(f"ONNX Runtime cannot run the conversion: {str(error).splitlines()[0]}") from None

    return answer


def _convert(served: ServedModel) -> Any:
    import tf2onnx

    from pipelines.export.portable_graph import portable

    found = portable(served.signature("pixels"))
    with _listening() as said:
        proto, _ = tf2onnx.convert.from_graph_def(
            found.graph,
            name=served.card.name,
            input_names=list(found.feeds.values()),
            output_names=list(found.fetches.values()),
            tensors_to_rename={tensor: name for name, tensor in (found.feeds | found.fetches).items()},
            opset=OPSET,
        )
    missing = sorted({match["kind"] for line in said if (match := _MISSING.search(line))})
    if missing:
        raise ModelError(f"{served.directory}: ONNX does not support: {', '.join(missing)}; nothing was written")
    proto.producer_name, proto.producer_version = "cnnapp", served.card.software.get("cnnapp", "")
    proto.model_version, proto.doc_string = served.card.version, served.card.description
    return proto


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Keep what the converter says from the user, and give it: it goes on where it finds no counterpart."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    listener = Listener()
    loggers = [logging.getLogger("tf2onnx"), logging.getLogger("tensorflow")]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [listener], False
    try:
        yield said
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
