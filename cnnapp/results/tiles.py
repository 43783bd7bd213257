"""A large image that is answered in tiles: what an answer is made from, then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.artifacts.served_model import ServedModel
    from pipelines.images.windowed_reader import Raster

__all__ = ["Advance", "Tiles"]

Advance = Callable[[int, int], object]
"""Called with how many tiles of an image are done, and how many there are."""


@dataclass(frozen=True)
class Tiles:
    """An image of any size, and who answers for it in tiles.

    Args:
        served: the saved model.
        raster: the image, read by windows.
        name: how the answer calls it.
        side: of the tiles, in pixels of the image.
        blend: whether overlapping tiles fade into each other, where the network sees the whole image.
        advance: called behind each tile.
        options: optional inputs of the model that were given; those of its card otherwise.
        fingerprint: what tells the image from others.
    """

    served: ServedModel
    raster: Raster
    name: str
    side: int
    blend: bool = False
    advance: Advance = lambda done, count: None
    options: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: tuple[str | int, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the model's classes."""
        return tuple(self.served.card.classes)

    def counting(self, count: int) -> Callable[..., None]:
        """Return what is called behind each tile, or with how many were done at once.

        Args:
            count: how many tiles there are.
        """
        done = 0

        def step(more: int = 1) -> None:
            nonlocal done
            done += more
            self.advance(done, count)

        return step
