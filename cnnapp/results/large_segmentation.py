"""The answer of segmentation for an image too large for memory: a file, and what was counted while it was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnapp.results.class_areas import ClassAreas
from cnnapp.results.segmentation import Segmentation
from cnnapp.results.tiles import Tiles
from pipelines.core.errors import DataError
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput
from pipelines.images.windowed_reader import open_raster, reduced
from pipelines.segmentation.tiled_files import open_mask, write_mask

__all__ = ["LargeSegmentation"]

_ROWS = 1024


@dataclass(frozen=True, eq=False)
class LargeSegmentation(ClassAreas):
    """The class of every pixel of one image, in a file.

    Args:
        source: how the image was named: its path, or what it is.
        path: of the mask, a tiled TIFF whose values are class ids.
        height: of the upright image, in pixels.
        width: likewise.
        pixels: how many each class has, int64 of shape (classes,).
        class_names: the names of all classes.
        exact: whether it is the answer for the whole image; else it is blended.
    """

    source: str
    path: Path
    height: int
    width: int
    pixels: np.ndarray
    class_names: tuple[str, ...]
    exact: bool

    @classmethod
    def write(cls, path: Path, tiles: Tiles) -> LargeSegmentation:
        """Write the class of every pixel of an image to a file, in tiles.

        Args:
            path: of the mask. Where it was begun with the same model, image and tiles, it is gone on with.
            tiles: the image and the model.

        Raises:
            ConfigError: if the network cannot be exact in tiles and is not to be blended.
            DataError: if the mask cannot be written.
        """
        from pipelines.segmentation.tiled import Mosaic

        card, raster = tiles.served.card, tiles.raster
        mosaic = Mosaic(tiles.served, raster, tiles.side, tiles.blend)
        identity = {
            "model": [card.name, card.version, card.files],
            "image": [raster.height, raster.width, list(tiles.fingerprint)],
            "tile": [tiles.side, tiles.blend],
        }
        counts = write_mask(mosaic, path, identity, tiles.counting(mosaic.pieces))
        return cls(tiles.name, path, raster.height, raster.width, counts, mosaic.names, mosaic.exact)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the upright image, in pixels."""
        return self.height, self.width

    @property
    def counts(self) -> np.ndarray:
        """How many pixels each class has."""
        return self.pixels

    def to_json(self) -> dict[str, Any]:
        """Return sizes, areas, and where the mask is, as plain values."""
        return super().to_json() | {"mask": str(self.path), "exact": self.exact}

    def mask_rows(self, first: int, end: int) -> np.ndarray:
        """Return some rows of the class map, uint8 of shape (rows, width)."""
        with open_mask(self.path) as rows:
            return rows(first, end)

    def to_coco(self) -> list[dict[str, Any]]:
        """Return a record a class that occurs, as :meth:`Segmentation.to_coco` does, without scores.

        Raises:
            DataError: if the mask is too large to be held in memory.
        """
        if self.height * self.width > image_io.MAX_PIXELS:
            raise DataError(
                f"{self.source}: run lengths are made in memory, and a mask of {self.width} x {self.height} is too "
                f"large for that; its values are in {self.path}"
            )
        class_map = self.mask_rows(0, self.height)
        sure = np.broadcast_to(np.float32(1), class_map.shape).copy()
        records = Segmentation(self.source, class_map, sure, self.class_names).to_coco()
        return [{key: value for key, value in record.items() if key != "score"} for record in records]

    def draw(self, image: ImageInput | None = None, opacity: float = 0.55, side: int = 2048) -> Image.Image:
        """Lay the classes in their colours over a small version of the image.

        Args:
            image: the image; by default it is read again from ``source``.
            opacity: of the colours, 0 to 1.
            side: no side of the drawing is longer, in pixels.

        Returns:
            A picture of mode RGB, with a legend.

        Raises:
            DataError: if the image cannot be read.
        """
        with open_raster(self.source if image is None else image, self.source) as raster:
            small = reduced(raster, side)
        step = -(-max(self.size) // max(small.shape[:2]))
        rows = max(1, _ROWS // step) * step
        with open_mask(self.path) as read:
            bands = [read(top, min(top + rows, self.height))[::step, ::step] for top in range(0, self.height, rows)]
        class_map = np.concatenate(bands)
        sure = np.ones(class_map.shape, np.float32)
        return Segmentation(self.source, class_map, sure, self.class_names).draw(small, opacity, side=0)
