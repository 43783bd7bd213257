"""Huge images in pieces: how far around a piece a network looks, so that the joined answer is that of the whole."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from layers import TiledConv2D, receptive_fields
from layers.analysis.model_graph import calls
from pipelines.images.exact_resize import reach

__all__ = ["Halo", "Piece", "halo_of", "pieces", "ramp"]

_SIZES = 64


@dataclass(frozen=True)
class Halo:
    """What a network sees around a piece of an image.

    Args:
        before: rows (and columns) of its pixels above (and left of) a piece that its answer depends on, at most.
        after: likewise below and right.
        multiple: where pieces may begin: at multiples of this.
        blockers: names of layers that see the whole image, so that no piece can be answered exactly alone.
    """

    before: int
    after: int
    multiple: int
    blockers: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Halo:
        """Return what :meth:`to_json` gave."""
        kept = {field.name: record[field.name] for field in fields(cls)}
        return cls(**kept | {"blockers": tuple(kept["blockers"])})


@dataclass(frozen=True)
class Piece:
    """A piece along one axis, each part of it as (first, end).

    Args:
        kept: what of the answer is kept, in pixels of the image.
        window: what the network is given for that, in pixels of the scaled image; its end may be the image's.
        read: what of the image is read for that, in pixels of the image.
    """

    kept: tuple[int, int]
    window: tuple[int, int]
    read: tuple[int, int]


def halo_of(model: Any, multiple: int) -> Halo:
    """Return what a network sees around a piece, from its receptive field and its strides.

    To the field comes a position of the output on either side, since scores are read between positions.

    Args:
        model: from images of any size that is a multiple of ``multiple`` to maps.
        multiple: of the strides; where the network's kernels alternate, pieces begin at multiples of their period too.

    Returns:
        The halo; with layers that see the whole image it is of those alone that do not.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 5, padding="same")])
        >>> halo_of(model, 1)
        Halo(before=3, after=3, multiple=1, blockers=())
    """
    # Of this size, which all strides divide, strided layers pad as they do for any other such size.
    sizes = (_SIZES * multiple,) * 2
    before = after = 0
    blockers: list[str] = []
    blind: set[int] = set()
    aligned = multiple
    jumps: dict[int, int] = {}
    for call, field in zip(calls(model, input_sizes=sizes), receptive_fields(model, input_sizes=sizes), strict=True):
        if isinstance(call.operation, TiledConv2D):
            jump = jumps.get(call.inputs[0], 1)
            stride = max(call.operation.strides)
            aligned = math.lcm(aligned, *(jump * stride * period for period in call.operation.tile_shape))
        if field.axes is None:
            if not blind.intersection(call.inputs):
                blockers.append(field.name)
            blind.update(call.outputs)
            continue
        for axis in field.axes:
            stride = math.ceil(axis.jump)
            jumps.update(dict.fromkeys(call.outputs, stride))
            before = max(before, math.ceil(-axis.start) + stride)
            after = max(after, math.ceil(axis.start + axis.size) - 1 - (stride - 1) + stride)
    return Halo(_up(before, aligned), _up(after, aligned), aligned, tuple(blockers))


def pieces(size: int, scaled: int, side: int, halo: Halo, overlap: int = 0) -> list[Piece]:
    """Cut an axis into pieces.

    Args:
        size: of the image, in pixels.
        scaled: of the scaled image that the network sees.
        side: of the pieces, in pixels of the image; where the network sees the image itself, rounded up to the halo's
            multiple, so that nothing is computed twice for that.
        halo: of the network.
        overlap: how far kept parts reach over the border to their neighbours', for blending.

    Returns:
        Pieces in order, whose kept parts cover the axis; each reads as far as the halo asks, inside the image.

    Example:
        >>> [piece.read for piece in pieces(100, 100, 40, Halo(8, 8, 8))]
        [(0, 48), (32, 88), (72, 100)]
    """
    side = max(side, 1)
    if size == scaled:
        side = _up(side, halo.multiple)
    scale = scaled / size
    found = []
    firsts = list(range(0, size, side))
    if len(firsts) > 1 and size - firsts[-1] <= 2 * overlap:  # too short a piece to fade into
        firsts.pop()
    for first, end in itertools.pairwise([*firsts, size]):
        kept = max(first - overlap, 0), min(end + overlap, size)
        begin = math.floor(kept[0] * scale) // halo.multiple * halo.multiple
        stop = _up(math.ceil(kept[1] * scale), halo.multiple)
        window = max(begin - halo.before, 0), min(stop + halo.after, scaled)
        around = 0 if size == scaled else reach(scale)
        read = max(math.floor(window[0] / scale) - around, 0), min(math.ceil(window[1] / scale) + around, size)
        found.append(Piece(kept, window, read))
    return found


def ramp(piece: Piece, size: int, overlap: int) -> np.ndarray:
    """Return what share of a blended answer a piece has: those of neighbours add up to one.

    Args:
        piece: one of :func:`pieces` with this overlap.
        size: of the image.
        overlap: half the length over which one piece fades into the next, in pixels; pieces are at least twice as long.

    Returns:
        float32, one share a kept pixel.

    Example:
        >>> ramp(Piece((4, 12), (4, 12), (4, 12)), 12, 2).tolist()
        [0.125, 0.375, 0.625, 0.875, 1.0, 1.0, 1.0, 1.0]
    """
    first, end = piece.kept
    middles = np.arange(first, end) + 0.5
    shares = np.ones(end - first)
    if overlap and first > 0:
        shares = np.minimum(shares, (middles - first) / (2 * overlap))
    if overlap and end < size:
        shares = np.minimum(shares, (end - middles) / (2 * overlap))
    return shares.astype(np.float32)


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
