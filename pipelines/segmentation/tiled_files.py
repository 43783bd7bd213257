"""The class map of an image too large for memory, written band by band; an interrupted run resumes."""

from __future__ import annotations

import io
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.core import extras
from pipelines.core.errors import ConfigError, DataError
from pipelines.images.masks import colours
from pipelines.intake.archive import Archive, ArchiveLimits
from pipelines.intake.documents import parse_json
from pipelines.intake.limits import LIMITS
from pipelines.intake.regular_file import is_there, read_bounded

if TYPE_CHECKING:
    from pipelines.segmentation.tiled import Mosaic

__all__ = ["open_mask", "write_mask"]

_BLOCK = 512
_TAG = "cnnapp"
"""Of the file, in GDAL's metadata: JSON of the run's identity and of how many pixels each class has."""
_DAMAGED = (ValueError, EOFError, KeyError, RecursionError, MemoryError, DataError)
_RECORD_BYTES = 2**24
_BAND = ArchiveLimits(total=2**40, free=2**40)
"""Of bands, which were written here: one class over a wide image shrinks without measure."""


def write_mask(
    mosaic: Mosaic, path: Path, identity: dict[str, Any], advance: Callable[[int], Any] = lambda count: None
) -> np.ndarray:
    """Answer for an image piece by piece, and write the class map as a tiled TIFF with a palette.

    Every finished row of pieces is kept in a hidden folder beside the file, so that the same call goes on where one
    before was stopped. The file itself appears when it is complete; where it is there already, of the same run, nothing
    is done.

    Args:
        mosaic: what answers.
        path: of the TIFF.
        identity: plain values that tell this run from others.
        advance: called with how many pieces were done.

    Returns:
        int64 of shape (classes,): how many pixels each class has.

    Raises:
        DataError: if it cannot be written, a part of the image cannot be read, or what is left of a run before is
            damaged.
        ConfigError: if what is left of a run before is another run's, or rasterio is not installed.
    """
    extras.need("a mask that is written piece by piece", "geo", "rasterio")
    parts = path.with_name(f".{path.name}.parts")
    identity = json.loads(json.dumps(identity))
    try:
        counts = _finished(path, identity)
        if counts is not None:
            advance(mosaic.pieces)
        else:
            counts = _write(mosaic, path, parts, identity, advance)
        # Of another run, which was stopped before it wrote over this file, they stay.
        if parts.exists() and _record(parts) == identity:
            shutil.rmtree(parts)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None
    return counts


def _write(
    mosaic: Mosaic, path: Path, parts: Path, identity: dict[str, Any], advance: Callable[[int], Any]
) -> np.ndarray:
    done = _begin(parts, identity)
    advance(done * len(mosaic.columns))
    if done < len(mosaic.rows):
        for number, band in enumerate(mosaic.bands(done, lambda: advance(1)), start=done):
            buffer = io.BytesIO()
            np.savez_compressed(buffer, class_map=band.class_map)
            _put(_part(parts, number), buffer.getbuffer())
    return _join(path, parts, mosaic, identity)


def _finished(path: Path, identity: dict[str, Any]) -> np.ndarray | None:
    """Return the counts of a file that this run wrote before, or nothing."""
    from rasterio.errors import RasterioError

    if not path.exists():
        return None
    try:
        with _opened(path) as file:
            record = json.loads(file.tags()[_TAG])
            return np.array(record["pixels"], np.int64) if record["identity"] == identity else None
    except (*_DAMAGED, TypeError, RasterioError):  # whatever it is: it is written over
        return None


def _begin(parts: Path, identity: dict[str, Any]) -> int:
    """Return how many bands are there already."""
    parts.mkdir(parents=True, exist_ok=True)
    before = _record(parts)
    if before is None:
        _put(_record_path(parts), json.dumps(identity).encode())
    elif before != identity:
        raise ConfigError(
            f"{parts}: is left over from a run with another image, model or tile; remove the folder, or repeat that run"
        )
    done = 0
    while _part(parts, done).exists():
        _read(parts, done)  # now, not when all others are made
        done += 1
    return done


def _record_path(parts: Path) -> Path:
    return parts / "run.json"


def _record(parts: Path) -> Any:
    """Return the identity of the run that a folder is left of; nothing where it has none."""
    path = _record_path(parts)
    try:
        if not is_there(path):
            if _part(parts, 0).exists():
                raise _damaged(parts, path, "is missing") from None
            return None
        return parse_json(read_bounded(path, _RECORD_BYTES), path.name)
    except _DAMAGED as error:
        raise _damaged(parts, path, error) from None


def _part(parts: Path, number: int) -> Path:
    return parts / f"band-{number:05d}.npz"


def _read(parts: Path, number: int) -> np.ndarray:
    path = _part(parts, number)
    try:
        archive = Archive(read_bounded(path, LIMITS.image_bytes), path.name, _BAND)
        entry = {entry.name: entry for entry in archive.entries}["class_map.npy"]
        class_map: np.ndarray = np.load(io.BytesIO(archive.read(entry)), allow_pickle=False)
        return class_map
    except _DAMAGED as error:
        raise _damaged(parts, path, error) from None


def _damaged(parts: Path, path: Path, reason: object) -> DataError:
    return DataError(f"{path}: is damaged ({reason}); remove the folder {parts} to start again")


def _put(path: Path, content: bytes | memoryview) -> None:
    """Write a file; at every moment it is whole, or not there."""
    beside = path.with_name("unfinished")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def _join(path: Path, parts: Path, mosaic: Mosaic, identity: dict[str, Any]) -> np.ndarray:
    from rasterio.windows import Window

    height, width = mosaic.rows[-1].kept[1], mosaic.columns[-1].kept[1]
    totals = np.zeros(256, np.int64)
    unfinished = parts / "joined.tif"
    with _created(unfinished, height, width) as file:
        first = 0
        for number in range(len(mosaic.rows)):
            class_map = _read(parts, number)
            file.write(class_map, 1, window=Window(0, first, width, len(class_map)))
            totals += np.bincount(class_map.ravel(), minlength=256)
            first += len(class_map)
        counts = totals[: len(mosaic.names)]
        file.update_tags(**{_TAG: json.dumps({"identity": identity, "pixels": counts.tolist()})})
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    return counts


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
def _opened(path: Path) -> Iterator[Any]:
    extras.need(str(path), "geo", "rasterio")
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings(), rasterio.Env(GDAL_PAM_ENABLED="NO"):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            yield file


@contextmanager
def open_mask(path: Path) -> Iterator[Callable[[int, int], np.ndarray]]:
    """Open a class map that :func:`write_mask` wrote.

    Args:
        path: of the file.

    Yields:
        From (first row, end) to uint8 of shape (rows, width), class ids.
    """
    from rasterio.windows import Window

    with _opened(path) as file:

        def rows(first: int, end: int) -> np.ndarray:
            pixels: np.ndarray = file.read(1, window=Window(0, first, file.width, end - first))
            return pixels

        yield rows
