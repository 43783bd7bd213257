"""Huge images in pieces: how far around a piece a network looks, so that the joined answer is that of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from layers import receptive_fields

__all__ = ["Halo", "Tile", "halo_of", "tiles"]


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


@dataclass(frozen=True)
class Tile:
    """A piece along one axis: what of the answer is kept, and what is read for that, as (first, end)."""

    kept: tuple[int, int]
    read: tuple[int, int]


def halo_of(model: Any, multiple: int) -> Halo:
    """Return what a network sees around a piece, from its receptive field and its strides.

    To the field comes a position of the output on either side, since scores are read between positions.

    Args:
        model: from images of any size that is a multiple of ``multiple`` to maps.
        multiple: see :class:`Halo`.

    Returns:
        The halo; with layers that see the whole image it is of those alone that do not.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 5, padding="same")])
        >>> halo_of(model, 1)
        Halo(before=3, after=3, multiple=1, blockers=())
    """
    before = after = 0
    blockers = []
    blind = False
    for field in receptive_fields(model, input_sizes=(64 * multiple, 64 * multiple)):
        if field.axes is None:
            if not blind:
                blockers.append(field.name)
            blind = True
            continue
        blind = False
        for axis in field.axes:
            stride = axis.jump
            before = max(before, int(-axis.start + stride))
            after = max(after, int(axis.start + axis.size - 1 - (stride - 1) + stride))
    return Halo(_up(before, multiple), _up(after, multiple), multiple, tuple(blockers))


def tiles(size: int, side: int, halo: Halo) -> Iterator[Tile]:
    """Cut an axis into pieces.

    Args:
        size: of the image, in pixels of the network.
        side: of the pieces; rounded up to the halo's multiple.
        halo: of the network.

    Yields:
        Pieces in order, whose kept parts cover the axis once; each reads as far as the halo asks, inside the image.

    Example:
        >>> [tile.read for tile in tiles(100, 40, Halo(8, 8, 8))]
        [(0, 48), (32, 88), (72, 100)]
    """
    side = _up(max(side, 1), halo.multiple)
    for first in range(0, size, side):
        end = min(first + side, size)
        yield Tile((first, end), (max(first - halo.before, 0), min(end + halo.after, size)))


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
