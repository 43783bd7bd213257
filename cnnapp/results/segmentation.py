"""The answer of segmentation: the class of every pixel, as areas, overlays, masks and COCO's run lengths."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from cnnapp.results.class_areas import ClassAreas
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput
from pipelines.images.masks import to_png
from pipelines.images.palette import class_colours, is_background

__all__ = ["Segmentation"]

_ROWS = 256  # that are mixed at a time


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
                    "segmentation": {"size": list(map(int, runs["size"])), "counts": runs["counts"].decode()},
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
        overlay = _enlarged(self._mixed(np.asarray(picture)[every], self.class_map[every], opacity, shown), side)
        return self._with_legend(overlay, shown) if legend else overlay

    def draw_confidence(self, side: int = 480, largest: int | None = None) -> Image.Image:
        """Draw how sure the classes are: dark is unsure, bright is sure.

        Args:
            side: as for :meth:`draw`.
            largest: likewise.

        Returns:
            A picture of mode L.
        """
        return _enlarged(np.rint(self.confidence[self._every(largest)] * 255).astype(np.uint8), side)

    def _every(self, largest: int | None) -> tuple[slice, slice]:
        """Return which rows and columns are drawn."""
        step = 1 if largest is None else max(1, -(-max(self.size) // largest))
        return slice(None, None, step), slice(None, None, step)

    def _mixed(self, pixels: np.ndarray, class_map: np.ndarray, opacity: float, shown: Collection[int]) -> np.ndarray:
        """Lay colours over uint8 pixels (height, width, 3), some rows at a time."""
        table, shares = class_colours(self.class_names).astype(np.float32), np.zeros((256, 1), np.float32)
        shares[list(shown)] = opacity
        mixed = np.empty(pixels.shape, np.uint8)
        for top in range(0, len(pixels), _ROWS):
            rows = slice(top, top + _ROWS)
            share = shares[class_map[rows]]
            mixed[rows] = np.rint(pixels[rows] * (1 - share) + table[class_map[rows]] * share)
        return mixed

    def _with_legend(self, overlay: Image.Image, shown: Collection[int]) -> Image.Image:
        entries = [(name, share) for name, _, share in self.areas() if self.class_names.index(name) in set(shown)]
        table = class_colours(self.class_names)
        pen = ImageDraw.Draw(overlay)
        texts = [f"{name} {share:.1%}" for name, share in entries]
        places, x, y = [], 8, 6
        for text in texts:
            width = 26 + round(pen.textlength(text, font_size=14))
            if x + width > overlay.width and x > 8:
                x, y = 8, y + 22
            places.append((x, y))
            x += width + 14
        canvas = Image.new("RGB", (overlay.width, overlay.height + (y + 26 if entries else 0)), "white")
        canvas.paste(overlay, (0, 0))
        pen = ImageDraw.Draw(canvas)
        for (name, _), text, (left, top) in zip(entries, texts, places, strict=True):
            top += overlay.height
            fill = tuple(table[self.class_names.index(name)].tolist())
            pen.rectangle((left, top, left + 16, top + 16), fill=fill, outline="#222222")
            pen.text((left + 22, top), text, fill="#222222", font_size=14)
        return canvas


def _enlarged(pixels: np.ndarray, side: int) -> Image.Image:
    """Make a picture, enlarged by whole pixels to a side where it is smaller."""
    picture = Image.fromarray(pixels)
    factor = max(1, side // max(picture.size))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
