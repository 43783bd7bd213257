"""The answer for an image too large for memory, written band by band; a run that was stopped goes on."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import ConfigError, DataError
from pipelines.masks import colours
from pipelines.mosaic import Mosaic

__all__ = ["open_mask", "write_mask"]

_BLOCK = 512


def write_mask(
    mosaic: Mosaic, path: Path, identity: dict[str, Any], advance: Callable[[int], Any] = lambda count: None
) -> np.ndarray:
    """Answer for an image piece by piece, and write the class map as a tiled TIFF with a palette.

    Every finished row of pieces is kept in a hidden folder beside the file, so that the same call goes on where one
    before was stopped. The file itself appears when it is complete.

    Args:
        mosaic: what answers.
        path: of the TIFF.
        identity: plain values that tell this run from others.
        advance: called with how many pieces were done.

    Returns:
        int64 of shape (classes,): how many pixels each class has.

    Raises:
        DataError: if it cannot be written, or a part of the image cannot be read.
        ConfigError: if what is left of a run before is another run's.
    """
    parts = path.with_name(f".{path.name}.parts")
    try:
        done = _begin(parts, identity)
        advance(done * len(mosaic.columns))
        for number, band in enumerate(mosaic.bands(done, lambda: advance(1)), start=done):
            beside = parts / "unfinished"
            with beside.open("wb") as file:
                np.savez_compressed(file, class_map=band.class_map)
            os.replace(beside, _part(parts, number))
        counts = _join(path, parts, mosaic)
        shutil.rmtree(parts)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None
    return counts


def _begin(parts: Path, identity: dict[str, Any]) -> int:
    """Return how many bands are there already."""
    record = parts / "run.json"
    parts.mkdir(parents=True, exist_ok=True)
    if not record.exists():
        record.write_text(json.dumps(identity))
    elif json.loads(record.read_text()) != json.loads(json.dumps(identity)):
        raise ConfigError(
            f"{parts}: is left of a run with another image, model or tile; remove the folder, or repeat that run"
        )
    done = 0
    while _part(parts, done).exists():
        done += 1
    return done


def _part(parts: Path, number: int) -> Path:
    return parts / f"band-{number:05d}.npz"


def _join(path: Path, parts: Path, mosaic: Mosaic) -> np.ndarray:
    from rasterio.windows import Window

    height, width = mosaic.rows[-1].kept[1], mosaic.columns[-1].kept[1]
    counts = np.zeros(256, np.int64)
    unfinished = parts / "joined.tif"
    with _created(unfinished, height, width) as file:
        first = 0
        for number in range(len(mosaic.rows)):
            with np.load(_part(parts, number)) as band:
                class_map = band["class_map"]
            file.write(class_map, 1, window=Window(0, first, width, len(class_map)))
            counts += np.bincount(class_map.ravel(), minlength=256)
            first += len(class_map)
    os.replace(unfinished, path)
    return counts[: len(mosaic.names)]


@contextmanager
def _created(path: Path, height: int, width: int) -> Iterator[Any]:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

    with warnings.catch_warnings(), rasterio.Env(GDAL_PAM_ENABLED="NO"):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(
                path, "w", driver="GTiff", height=height, width=width, count=1, dtype="uint8", tiled=True,
                blockxsize=_BLOCK, blockysize=_BLOCK, compress="deflate", photometric="palette", bigtiff="if_safer",
            ) as file:  # fmt: skip
                table = colours(256)
                file.write_colormap(1, {i: (*map(int, table[i]), 255) for i in range(256)})
                yield file
        except RasterioIOError as error:
            raise DataError(f"{path}: cannot be written: {error}") from None


@contextmanager
def open_mask(path: Path) -> Iterator[Callable[[int, int], np.ndarray]]:
    """Open a class map that :func:`write_mask` wrote.

    Args:
        path: of the file.

    Yields:
        From (first row, end) to uint8 of shape (rows, width), class ids.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.windows import Window

    with warnings.catch_warnings(), rasterio.Env(GDAL_PAM_ENABLED="NO"):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as file:

            def rows(first: int, end: int) -> np.ndarray:
                return file.read(1, window=Window(0, first, file.width, end - first))

            yield rows
