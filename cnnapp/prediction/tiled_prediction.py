"""Answers for images too large to be answered for at once."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from cnnapp.results.answer import Answer
from cnnapp.results.large_segmentation import LargeSegmentation
from cnnapp.results.table import answer_type
from cnnapp.results.tiles import Advance, Tiles
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ConfigError
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput
from pipelines.images.windowed_reader import open_raster
from pipelines.intake.regular_file import open_regular

__all__ = ["answer", "write"]

_END = 2**20


def answer(
    served: ServedModel,
    image: ImageInput,
    tile: int,
    blend: bool,
    name: str,
    advance: Advance,
    options: dict[str, float | tuple[float, ...]],
) -> Answer:
    """Answer in memory; see :meth:`cnnapp.Predictor.predict_by_pieces`."""
    card = served.card
    kind = answer_type(card.task)
    if not kind.tiled:
        raise ConfigError(f"tile: {card.name} is for {card.task}, whose answer is for the whole image")
    with open_raster(image, name) as raster:
        return kind.in_tiles(Tiles(served, raster, name, tile, blend, advance, options))


def write(
    served: ServedModel, image: ImageInput, path: Path, tile: int, blend: bool, name: str, advance: Advance
) -> LargeSegmentation:
    """Answer into a file; see :meth:`cnnapp.Predictor.segment_to`."""
    card = served.card
    if not answer_type(card.task).masks:
        raise ConfigError(f"{card.name} is for {card.task}, whose answers have no masks")
    with open_raster(image, name) as raster:
        tiles = Tiles(served, raster, name, tile, blend, advance, fingerprint=_fingerprint(image))
        return LargeSegmentation.write(path, tiles)


def _fingerprint(image: ImageInput) -> tuple[str | int, ...]:
    """Tell an image from others; a large file is not read for that but at both ends."""
    if isinstance(image, (str, os.PathLike)):
        path = Path(image).resolve()
        with open_regular(path, "image") as file:
            found = os.fstat(file.fileno())
            ends = hashlib.sha256(file.read(_END))
            file.seek(max(found.st_size - _END, 0))
            ends.update(file.read(_END))
        return found.st_size, found.st_mtime_ns, hashlib.sha256(os.fsencode(path)).hexdigest(), ends.hexdigest()
    if isinstance(image, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(image).data).hexdigest(), *image.shape
    return (hashlib.sha256(image if isinstance(image, bytes) else image_io.read(image)).hexdigest(),)
