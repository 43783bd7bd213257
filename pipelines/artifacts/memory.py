"""How much memory an answer for an image takes, so that one that would not fit is refused before it is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import psutil

if TYPE_CHECKING:
    from pipelines.artifacts.model_card import ModelCard

__all__ = ["SHARE", "available", "bytes_per_pixel", "calls", "needed", "needed_by", "too_much"]

One = TypeVar("One")

SHARE = 0.8
"""Of the memory that is free, how much the answers of one call may take."""

_SIDE = 256
_WORKSPACE = 1.3  # measured over the maps alone, for the U-Net at 2,048 x 2,048 pixels
_IMAGE, _SCORE = 16, 16
_CGROUPS = Path("/sys/fs/cgroup")
_LIMITS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""Of version 2 and of version 1: the limit, what is used, and what of that are files, read but not of late."""


def bytes_per_pixel(model: Any) -> int:
    """Return how many bytes the maps of a network take at most at any one time, for each pixel of its input.

    Each map is kept from where it is made to where it is last read, in float32; a convolution works on a copy of what
    it reads.

    Args:
        model: takes images of 256 x 256 pixels.
    """
    # Here, so that asking how much memory is free imports no Keras.
    from layers.analysis.model_graph import calls

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


def available(cgroups: Path = _CGROUPS) -> int:
    """Return how many bytes of memory this machine has to give, or this container where that is less.

    Args:
        cgroups: where Linux says what a container may take.

    Reference:
        The Linux kernel documentation, "Control Group v2", section "Memory", and "Memory Resource Controller" (v1).
    """
    free = int(psutil.virtual_memory().available)
    for limit, used, statistics, files in _LIMITS:
        most, taken = _number(cgroups / limit), _number(cgroups / used)
        if most is not None and taken is not None:
            # Files that were read stay in memory, and count as used, only until something else needs the place.
            free = min(free, most - taken + min(taken, _statistic(cgroups / statistics, files)))
    return max(0, free)


def _number(path: Path) -> int | None:
    """Return the number in a file; None where there is no such file, or it says that there is no limit."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _statistic(path: Path, name: str) -> int:
    try:
        return next((int(line.split()[1]) for line in path.read_text().splitlines() if line.split()[:1] == [name]), 0)
    except (OSError, ValueError, IndexError):
        return 0


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


def needed_by(card: ModelCard, size: tuple[int, int], options: Mapping[str, Any]) -> int:
    """Return how many bytes a model's answer for an image takes, 0 where its card does not say.

    Args:
        card: of the model. ``input`` says what images are scaled by: by ``scale``, always, where there is an answer at
            every pixel; by the optional input ``scales``, where there is a pyramid; else by nothing.
        size: height and width of the image.
        options: inputs of the model that were given besides the image; ``scale`` of one level, or ``scales``.
    """
    bytes_each = card.input.get("bytes_per_pixel")
    if bytes_each is None:
        return 0
    if "scale" in card.input:
        return needed(*size, float(card.input["scale"]), bytes_each, len(card.classes))
    usual = card.input.get("options", {}).get("scales", 1.0)
    scales = np.atleast_1d(options.get("scale", options.get("scales", usual)))
    return needed(*size, float(scales.max(initial=0.0)), bytes_each, 0)


def too_much(what: str, needed: int, instead: str) -> str | None:
    """Return why something is refused that would take more memory than there is; None where it fits.

    Args:
        what: of what size, such as ``a.png: 6000 x 5000 pixels``.
        needed: bytes.
        instead: what to do.
    """
    free = available()
    if needed <= SHARE * free:
        return None
    return f"{what} needs {needed / 2**30:.1f} GiB of memory; only {free / 2**30:.1f} GiB is free; {instead}"


def calls(
    images: Sequence[One], size: Callable[[One], tuple[int, int]], cost: Callable[..., int]
) -> Iterator[list[One]]:
    """Divide images among calls whose answers fit into memory together; what fits only alone is alone.

    Args:
        images: to be answered.
        size: from one of them to height and width.
        cost: from height and width to the bytes of an answer, as of :func:`needed_by`.

    Yields:
        The images of a call, in order.
    """
    call: list[One] = []
    for image in images:
        together = [*call, image]
        # The answers of a call are as high as its highest image and as wide as its widest.
        sizes = [size(one) for one in together]
        largest = max(height for height, _ in sizes), max(width for _, width in sizes)
        if call and len(together) * cost(largest) > SHARE * available():
            yield call
            together = [image]
        call = together
    if call:
        yield call
