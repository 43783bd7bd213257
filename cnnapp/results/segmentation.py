"""The answer of segmentation: the class of every pixel, as areas, overlays, masks and COCO's run lengths."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from PIL import Image

from cnnapp.results.answer import Difference
from cnnapp.results.class_areas import ClassAreas
from cnnapp.results.overlay import enlarged, mixed, with_legend
from cnnapp.results.tiles import Tiles
from pipelines.core.errors import DataError
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput
from pipelines.images.masks import IGNORED, to_png
from pipelines.images.palette import is_background

__all__ = ["PixelDifference", "Segmentation"]

_RUNS = "segmentation"  # what COCO calls the run lengths of a record


@dataclass(frozen=True, eq=False)
class Segmentation(ClassAreas):
    """The class of every pixel of one image.

    Args:
        source: how the image was named: its path, or what it is.
        class_map: uint8 of shape (height, width) of the upright image, class ids.
        confidence: float32 of the same shape, 0 to 1: the probability of that class.
        class_names: the names of all classes.

    Raises:
        ValueError: if the arrays do not fit each other, or a class has no name.

    Example:
        >>> answer = Segmentation(
        ...     "a.png", np.array([[0, 0, 1, 0]], np.uint8), np.ones((1, 4), "float32"), ("road", "car")
        ... )
        >>> print(answer)
        a.png: 4 x 1 pixels: road 75.0 %, car 25.0 %
        >>> answer.areas()
        [('road', 3, 0.75), ('car', 1, 0.25)]
    """

    masks = True

    source: str
    class_map: np.ndarray
    confidence: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the arrays, and keep them from being changed."""
        if self.class_map.ndim != 2 or self.class_map.dtype != np.uint8:
            raise ValueError(
                f"class_map: received {self.class_map.dtype} of shape {self.class_map.shape}; expected uint8 of "
                "shape (height, width)"
            )
        if self.confidence.shape != self.class_map.shape:
            raise ValueError(f"confidence: received shape {self.confidence.shape}; expected {self.class_map.shape}")
        if self.class_map.size and self.class_map.max() >= len(self.class_names):
            raise ValueError(f"class_map: expected indices into the {len(self.class_names)} class names")
        for part in (self.class_map, self.confidence):
            part.setflags(write=False)

    @classmethod
    def from_one(cls, name: str, values: Sequence[np.ndarray], class_names: tuple[str, ...]) -> Self:
        """Return the classes of one image; what fills the maps up to the same size is left out."""
        class_map, confidence, (height, width) = values
        return cls(name, class_map[:height, :width], confidence[:height, :width], class_names)

    @classmethod
    def to_outputs(cls, answers: Sequence[Self], limit: int = 100) -> dict[str, np.ndarray]:
        """Return the maps of all images, filled up to the height of the highest and the width of the widest."""
        sizes = np.array([one.class_map.shape for one in answers], np.int32)
        beyond = [np.stack([[0, 0], sizes.max(axis=0) - size], axis=1) for size in sizes]
        pairs = list(zip(answers, beyond, strict=True))
        return {
            "class_map": np.stack([np.pad(one.class_map, pad, constant_values=IGNORED) for one, pad in pairs]),
            "confidence": np.stack([np.pad(one.confidence, pad) for one, pad in pairs]),
            "sizes": sizes,
        }

    @classmethod
    def highest_class_id(cls, outputs: Mapping[str, np.ndarray]) -> int:
        """Return the highest class of a pixel; what is beyond an image has none."""
        ids = outputs["class_map"].astype(int)
        return int(ids[ids != IGNORED].max(initial=-1))

    @classmethod
    def in_tiles(cls, tiles: Tiles) -> Segmentation:
        """Give every pixel of a large image its class, in tiles.

        Raises:
            DataError: if the answer is too large to be held in memory.
        """
        from pipelines.segmentation.tiled import Mosaic

        raster = tiles.raster
        mosaic = Mosaic(tiles.served, raster, tiles.side, tiles.blend)
        if raster.height * raster.width > image_io.MAX_PIXELS:
            raise DataError(
                f"{tiles.name}: an answer for {raster.width} x {raster.height} pixels is too large to be held in "
                "memory; have it written to a file: --masks FOLDER (segment_to in Python)"
            )
        found = mosaic.whole(tiles.counting(mosaic.pieces))
        return cls(tiles.name, found.class_map, found.confidence, mosaic.names)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the upright image, in pixels."""
        return self.class_map.shape[0], self.class_map.shape[1]

    @property
    def counts(self) -> np.ndarray:
        """How many pixels each class has."""
        return np.bincount(self.class_map.ravel(), minlength=len(self.class_names))

    def to_json(self) -> dict[str, Any]:
        """Return sizes, areas, and a record of COCO's a class, as plain values."""
        return super().to_json() | {"segments": self.to_coco()}

    def to_coco(self) -> list[dict[str, Any]]:
        """Return a record a class that occurs, in COCO's results format for stuff: run lengths, compressed.

        Returns:
            ``image_id`` (the source), ``category_id`` (the class id), ``segmentation`` (``size``, ``counts``) and
            ``score`` (the mean confidence), for every class.
        """
        from pycocotools import mask

        records = []
        for class_id in np.unique(self.class_map).tolist():
            own = self.class_map == class_id
            runs = mask.encode(np.asfortranarray(own.astype(np.uint8)))
            records.append(
                {
                    "image_id": self.source,
                    "category_id": class_id,
                    _RUNS: {"size": list(map(int, runs["size"])), "counts": runs["counts"].decode()},
                    "score": float(self.confidence[own].mean()),
                }
            )
        return records

    def mask_png(self) -> bytes:
        """Return the class map as a palette PNG: the values are the class ids."""
        return to_png(self.class_map)

    def draw(
        self,
        image: ImageInput | None = None,
        opacity: float = 0.55,
        shown: Collection[int] | None = None,
        side: int = 960,
        legend: bool = True,
        largest: int | None = None,
    ) -> Image.Image:
        """Lay the classes in their colours over the image.

        Args:
            image: the image; by default it is read again from ``source``.
            opacity: of the colours, 0 to 1.
            shown: class ids that are coloured; all but class 0 by default where it is called background, else all.
            side: the longer side of the drawing, in pixels, unless the image is larger; tiny images are enlarged by
                whole pixels.
            legend: name the classes that occur below the picture.
            largest: if given, every n-th pixel of every n-th row is drawn, so that no side is longer, in pixels.

        Returns:
            A picture of mode RGB.

        Raises:
            DataError: if the image cannot be read.
        """
        if shown is None:
            shown = range(int(is_background(self.class_names)), len(self.class_names))
        every = self._every(largest)
        picture = image_io.open_rgb(self.source if image is None else image)
        pixels = mixed(np.asarray(picture)[every], self.class_map[every], self.class_names, opacity, shown)
        overlay = enlarged(pixels, side)
        if not legend:
            return overlay
        ids = set(shown)
        return with_legend(
            overlay,
            self.class_names,
            [(name, share) for name, _, share in self.areas() if self.class_names.index(name) in ids],
        )

    def draw_confidence(self, side: int = 480, largest: int | None = None) -> Image.Image:
        """Draw how sure the classes are: dark is unsure, bright is sure.

        Args:
            side: as for :meth:`draw`.
            largest: likewise.

        Returns:
            A picture of mode L.
        """
        return enlarged(np.rint(self.confidence[self._every(largest)] * 255).astype(np.uint8), side)

    def _every(self, largest: int | None) -> tuple[slice, slice]:
        """Return which rows and columns are drawn."""
        step = 1 if largest is None else max(1, -(-max(self.size) // largest))
        return slice(None, None, step), slice(None, None, step)

    def compare(self, other: Self) -> Difference:
        """Say which pixels two networks give other classes.

        Raises:
            DataError: if they are of images of different sizes.
        """
        if self.size != other.size:
            raise DataError(f"{self.source}: the two answers are of {self.size} and {other.size} pixels")
        listed = list(dict.fromkeys([*self.class_names, *other.class_names]))
        maps = [
            np.array([listed.index(name) for name in answer.class_names], np.int64)[answer.class_map]
            for answer in (self, other)
        ]
        differs = maps[0] != maps[1]
        counts = np.bincount((maps[0] * len(listed) + maps[1])[differs], minlength=len(listed) ** 2)
        order = [int(code) for code in np.argsort(-counts, kind="stable") if counts[code]]
        pairs = tuple((listed[code // len(listed)], listed[code % len(listed)], int(counts[code])) for code in order)
        share = float(differs.mean()) if differs.size else 0.0
        return PixelDifference(self.source, share, not differs.any(), self, other, differs, pairs)


@dataclass(frozen=True, eq=False)
class PixelDifference(Difference):
    """The classes of the pixels of one image.

    ``amount`` is the share of pixels that are of another class.

    Args:
        differs: bool of shape (height, width).
        pairs: which class of the first is which of the second: names, pixels, the most first; those alone that differ.
    """

    first: Segmentation
    second: Segmentation
    differs: np.ndarray
    pairs: tuple[tuple[str, str, int], ...]
