"""Answers for images too large to be answered for at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cnnapp.results.detections import Detections, Segmentation
from cnnapp.results.large_segmentation import LargeSegmentation
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ConfigError, DataError
from pipelines.detection.tiled import ScanByPieces
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput
from pipelines.images.windowed_reader import open_raster
from pipelines.segmentation.tiled import Mosaic
from pipelines.segmentation.tiled_files import write_mask

__all__ = ["Advance", "answer", "write"]

_END = 2**20
Advance = Callable[[int, int], object]
"""Called with how many pieces of an image are done, and how many there are."""


def answer(
    served: ServedModel,
    image: ImageInput,
    tile: int,
    blend: bool,
    name: str,
    advance: Advance,
    options: dict[str, float | tuple[float, ...]],
) -> Segmentation | Detections:
    """Answer in memory; see :meth:`cnnapp.Predictor.predict_by_pieces`."""
    card = served.card
    if card.task == "classification":
        raise ConfigError(f"tile: {card.name} is for classification, whose answer is for the whole image")
    with open_raster(image, name) as raster:
        if card.task == "detection":
            chosen = card.input["options"] | options
            scales = chosen["scales"] if isinstance(chosen["scales"], (tuple, list)) else (chosen["scales"],)
            scan = ScanByPieces(served, raster, tile, tuple(scales))
            score, overlap, softness = (
                float(chosen[key]) for key in ("score_threshold", "overlap_threshold", "soft_nms_sigma")
            )
            boxes, scores, class_ids = scan.detect(score, overlap, softness, _counting(scan.pieces, advance))
            return Detections(name, boxes, scores, class_ids, tuple(card.classes))
        mosaic = Mosaic(served, raster, tile, blend)
        if raster.height * raster.width > image_io.MAX_PIXELS:
            raise DataError(
                f"{name}: an answer for {raster.width} x {raster.height} pixels is too large to be held in memory; "
                "have it written to a file: --masks FOLDER (segment_to in Python)"
            )
        found = mosaic.whole(_counting(mosaic.pieces, advance))
        return Segmentation(name, found.class_map, found.confidence, mosaic.names)


def write(
    served: ServedModel, image: ImageInput, path: Path, tile: int, blend: bool, name: str, advance: Advance
) -> LargeSegmentation:
    """Answer into a file; see :meth:`cnnapp.Predictor.segment_to`."""
    card = served.card
    if card.task != "segmentation":
        raise ConfigError(f"{card.name} is for {card.task}; only segmentation gives masks")
    with open_raster(image, name) as raster:
        mosaic = Mosaic(served, raster, tile, blend)
        identity = {
            "model": [card.name, card.version, card.files],
            "image": [raster.height, raster.width, _fingerprint(image)],
            "tile": [tile, blend],
        }
        counts = write_mask(mosaic, path, identity, _counting(mosaic.pieces, advance))
        return LargeSegmentation(name, path, raster.height, raster.width, counts, mosaic.names, mosaic.exact)


def _counting(count: int, advance: Advance) -> Callable[..., None]:
    """Return what is called after each piece, or with how many were done at once."""
    done = 0

    def step(more: int = 1) -> None:
        nonlocal done
        done += more
        advance(done, count)

    return step


def _fingerprint(image: ImageInput) -> list[str | int]:
    """Tell an image from others; a large file is not read for that but at both ends."""
    if isinstance(image, (str, os.PathLike)):
        path = Path(image).resolve()
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            ends = hashlib.sha256(file.read(_END))
            file.seek(max(found.st_size - _END, 0))
            ends.update(file.read(_END))
        return [found.st_size, found.st_mtime_ns, hashlib.sha256(os.fsencode(path)).hexdigest(), ends.hexdigest()]
    if isinstance(image, np.ndarray):
        return [hashlib.sha256(np.ascontiguousarray(image).data).hexdigest(), *image.shape]
    return [hashlib.sha256(image if isinstance(image, bytes) else image_io.read(image)).hexdigest()]
