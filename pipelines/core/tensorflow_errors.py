"""What TensorFlow raises, in words."""

from __future__ import annotations

import re

__all__ = ["first_line", "undecodable"]

_DAMAGED = re.compile(r"uncompress|invalid (png|jpeg|gif|bmp)|truncated|corrupt|premature", re.IGNORECASE)
"""What decoders say of a file that ends early or has other bytes than it should."""


def undecodable(error: Exception) -> str:
    """Say why TensorFlow refuses an image.

    Args:
        error: what it raised.

    Returns:
        A clause: that the file is damaged, or else the line of its message that speaks of the image.
    """
    line = first_line(error)
    reason = "the file is damaged or incomplete" if _DAMAGED.search(line) else line
    return f"the image cannot be decoded: {reason}"


def first_line(error: Exception) -> str:
    """Return the first line of what TensorFlow raised that says what is wrong, without where in the graph.

    Args:
        error: any of its errors.
    """
    lines = [
        re.sub(r"\{\{.*?\}\}|\[\[.*|\[Op:.*?\]|, in file .*", "", line).strip() for line in str(error).splitlines()
    ]
    noise = ("Graph execution error", "Detected at node", "<stack traces", "File ")
    telling = [line for line in lines if line and not line.startswith(noise)]
    return telling[0] if telling else "TensorFlow refuses it"
