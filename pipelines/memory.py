"""How much memory an answer for an image takes, so that one that would not fit is refused before it is decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import psutil

from layers.graph import calls

__all__ = ["available", "bytes_per_pixel", "needed"]

_SIDE = 256
_WORKSPACE = 1.3  # measured over the maps alone, for the U-Net at 2,048 x 2,048 pixels
_IMAGE, _SCORE = 16, 16


def bytes_per_pixel(model: Any) -> int:
    """Return how many bytes the maps of a network take at most at any one time, for each pixel of its input.

    Each map is kept from where it is made to where it is last read, in float32; a convolution works on a copy of what
    it reads.

    Args:
        model: takes images of 256 x 256 pixels.
    """
    found = calls(model, input_sizes=(_SIDE, _SIDE))
    last = {number: at for at, call in enumerate(found) for number in call.inputs}
    sizes: dict[int, float] = {}
    most = 0.0
    for at, call in enumerate(found):
        shape = call.output_shapes[0]
        own = 4.0 * float(np.prod([side or 1 for side in shape[1:]])) / _SIDE**2
        sizes.update(dict.fromkeys(call.outputs, own / max(1, len(call.outputs))))
        copied = max((sizes[number] for number in call.inputs), default=0.0)
        most = max(most, sum(sizes.values()) + copied)
        sizes = {number: size for number, size in sizes.items() if last.get(number, -1) > at}
    return int(np.ceil(most))


def available() -> int:
    """Return how many bytes of memory this machine has to give."""
    return int(psutil.virtual_memory().available)


def needed(height: int, width: int, scale: float, bytes_each: int, classes: int) -> int:
    """Return how many bytes the answer for an image takes.

    Args:
        height: of the image, in pixels.
        width: likewise.
        scale: what it is scaled by for the network.
        bytes_each: as of :func:`bytes_per_pixel`.
        classes: for each of which there is a score at every pixel; 0 where there is none.
    """
    pixels = height * width
    return int(pixels * (_IMAGE + _SCORE * classes + _WORKSPACE * bytes_each * scale**2))
