"""What TensorFlow says of an image that it cannot decode, in a line for the user."""

from __future__ import annotations

import re

from pipelines.errors import DataError

__all__ = ["undecodable"]


def undecodable(name: str, error: Exception) -> DataError:
    """Return the error to raise for an image that the graph refused.

    Args:
        name: how the image is called.
        error: TensorFlow's.
    """
    return DataError(f"{name}: the image cannot be decoded: {_reason(error)}")


def _reason(error: Exception) -> str:
    """Return the line of TensorFlow's message that speaks of the image."""
    lines = [re.sub(r"\{\{.*?\}\}|\[\[.*|\[Op:.*?\]", "", line).strip() for line in str(error).splitlines()]
    noise = ("Graph execution error", "Detected at node", "<stack traces", "File ")
    telling = [line for line in lines if line and not line.startswith(noise)]
    return telling[0] if telling else "TensorFlow refuses it"
