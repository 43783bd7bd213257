"""A saved model in another format: described, compared with the original, and only then given its name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.artifacts.model_card import ModelCard
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ModelError
from pipelines.export.parity import Agreement, Answer, agreement, tolerance
from pipelines.storage import durable, leftovers

__all__ = ["ExportedFile", "describe", "publish"]


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written.

    Args:
        path: where it is.
        weights: what its weights are stored as: float32, float16 or int8.
        size: in bytes.
        before: bytes of the saved model's graph and weights.
        agreement: how far its answers lie from the saved model's.
    """

    path: Path
    weights: str
    size: int
    before: int
    agreement: Agreement


def describe(card: ModelCard, weights: str, found: Agreement | None) -> dict[str, Any]:
    """Return what a file says of itself.

    Args:
        card: of the saved model.
        weights: what they are stored as.
        found: how far its answers lie from the saved model's.

    Returns:
        Plain values by name.
    """
    return {
        "name": card.name,
        "version": str(card.version),
        "task": card.task,
        "description": card.description,
        "classes": card.classes,
        "input": card.input,
        "weights": weights,
        "saved_model_sha256": card.files["saved_model.pb"],
        "largest_difference": found.to_json() if found else {},
    }


def publish(
    served: ServedModel,
    path: Path,
    weights: str,
    finish: Callable[[Agreement | None], bytes],
    opened: Callable[[bytes], Answer],
) -> ExportedFile:
    """Write a file, if it gives the saved model's answers; else nothing is left of it.

    Args:
        served: the saved model.
        path: where the file shall be; one that is there is replaced.
        weights: what they are stored as: float32, float16 or int8.
        finish: gives the file's content, with what is known of its agreement written into it.
        opened: makes content answer.

    Returns:
        What was written.

    Raises:
        ModelError: if it gives other answers, or cannot be written.
    """
    found = _proven(served, opened(finish(None)), weights)
    data = finish(found)
    part = leftovers.beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        leftovers.remove_leftovers(path.parent, path.name)
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _proven(served, opened(part.read_bytes()), weights)
        durable.replace(part, path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    kept = [served.directory / "saved_model.pb", *(served.directory / "variables").iterdir()]
    return ExportedFile(path, weights, len(data), sum(file.stat().st_size for file in kept), found)


def _proven(served: ServedModel, answer: Answer, weights: str) -> Agreement:
    limit = tolerance(served, weights)
    found = agreement(served, answer, limit.score)
    if not found.within(limit):
        raise ModelError(
            f"{served.directory}: the conversion with weights in {weights} differs from the saved model: {found}; "
            f"expected at most {limit}. Nothing was written"
        )
    return found
