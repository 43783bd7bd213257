"""Large images, read by windows: TIFF, and whatever is too large to be decoded whole, without decoding all of it."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from pipelines import intake
from pipelines.errors import DataError
from pipelines.intake import ImageInput
from pipelines.quiet import import_tensorflow

__all__ = ["Raster", "open_raster", "reduced"]

_CACHE_BYTES = 256 * 2**20
_ORIENTATION, _COMPRESSION, _PHOTOMETRIC, _EXTRA = 274, 259, 262, 338
_JPEG, _YCBCR = 7, 6
_KNOWN_PHOTOMETRIC = (1, 2, 3, _YCBCR)  # black is zero, RGB, palette
_HEADER = 1 << 18
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class Raster:
    """An upright image that can be read in parts.

    Args:
        name: how messages call it.
        height: rows, in pixels.
        width: columns, in pixels.
        window: from (top, bottom, left, right) to uint8 of shape (rows, columns, 3), RGB, as the whole image would be
            decoded.
    """

    name: str
    height: int
    width: int
    window: Callable[[int, int, int, int], np.ndarray]

    def read(self, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        """Read rows and columns, each as (first, end); uint8 of shape (rows, columns, 3).

        Raises:
            DataError: if that part of the file is damaged.
        """
        try:
            return self.window(*rows, *columns)
        except Exception as error:
            if type(error).__module__.startswith("rasterio") or isinstance(error, OSError):
                raise DataError(
                    f"{self.name}: rows {rows[0]} to {rows[1]}, columns {columns[0]} to {columns[1]} cannot be read: "
                    f"{error}"
                ) from None
            raise


@contextmanager
def open_raster(source: ImageInput, name: str | None = None) -> Iterator[Raster]:
    """Open an image to read it in parts.

    TIFF files are read by windows, and so are others of more pixels than are decoded at once; the rest is decoded
    whole, by the graph that serves it.

    Args:
        source: as of :func:`pipelines.intake.read`.
        name: how messages call it; by default its path.

    Yields:
        The image.

    Raises:
        DataError: if it is no image, or of a kind that cannot be read by windows and too large to be decoded.
    """
    name = name or intake.name_of(source)
    with contextlib.ExitStack() as stack:
        opened = _by_windows(source, name, stack)
        yield opened if opened is not None else _whole(source, name)


def _whole(source: ImageInput, name: str) -> Raster:
    tf = import_tensorflow()
    from pipelines import images

    data = intake.read(source, name)
    try:
        pixels = images.decode(tf.constant(data)).numpy()
    except tf.errors.InvalidArgumentError:
        raise DataError(f"{name}: is not an image that can be decoded") from None
    return Raster(
        name, pixels.shape[0], pixels.shape[1], lambda top, bottom, left, right: pixels[top:bottom, left:right]
    )


def _by_windows(source: ImageInput, name: str, stack: contextlib.ExitStack) -> Raster | None:
    """Open a file with GDAL where that is worth it and gives the same pixels; None where it is not."""
    if not isinstance(source, (str, os.PathLike, bytes)):
        return None
    head = source[:4] if isinstance(source, bytes) else _head(Path(source), name)
    is_tiff = head in _TIFF
    if not is_tiff and _pixels(source) <= intake.MAX_PIXELS:
        return None
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    # GDAL keeps what it decoded: of its own accord a twentieth of the memory.
    stack.enter_context(rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES, GDAL_PAM_ENABLED="NO"))
    try:
        if isinstance(source, bytes):
            dataset = stack.enter_context(stack.enter_context(rasterio.MemoryFile(source)).open())
        else:
            dataset = stack.enter_context(rasterio.open(os.fspath(source)))
    except RasterioIOError as error:
        if not is_tiff:
            raise DataError(f"{name}: is not an image that can be read: {error}") from None
        return None  # what GDAL refuses may still be Pillow's to read
    orientation, reason = _tags(source) if is_tiff else (_orientation(source), "")
    reason = reason or _unlike(dataset)
    if reason and dataset.width * dataset.height <= intake.MAX_PIXELS:
        return None
    if reason:
        raise DataError(
            f"{name}: {dataset.width} x {dataset.height} pixels with {reason}; images of more than "
            f"{intake.MAX_PIXELS:,} pixels are read where they have 8 or 16 bits, in grey, RGB, or a palette"
        )
    return _dataset(dataset, name, orientation)


def _head(path: Path, name: str, count: int = 4) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except FileNotFoundError:
        raise DataError(f"{name}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror or error}") from None


def _pixels(source: str | os.PathLike | bytes) -> int:
    """Return how many pixels the header says, 0 where Pillow cannot tell."""
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(stream) as image:
                return image.width * image.height
    except Image.DecompressionBombError:
        return intake.MAX_PIXELS + 1
    except Exception:  # Pillow's parsers raise whatever a malformed header leads them to.
        return 0


def _tags(source: str | os.PathLike | bytes) -> tuple[int, str]:
    """Return the orientation of a TIFF, and what in its header speaks against reading it by windows."""
    stream: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        # Its class itself: opening by the module would refuse large images.
        with TiffImagePlugin.TiffImageFile(stream) as image:
            tags = image.tag_v2
            orientation = tags.get(_ORIENTATION, 1)
            photometric, extra = tags.get(_PHOTOMETRIC, 1), tags.get(_EXTRA, ())
            if photometric == _YCBCR and tags.get(_COMPRESSION) != _JPEG:
                return 1, "uncompressed YCbCr"  # which readers turn to RGB differently
    except Exception:  # As above; a layout that Pillow does not read has no answer to be equal to.
        return 1, ""
    if photometric not in _KNOWN_PHOTOMETRIC:
        return 1, f"photometric interpretation {photometric}"
    if tuple(extra) not in ((), (2,)):
        return 1, f"extra samples {tuple(extra)}"
    return orientation if orientation in range(1, 9) else 1, ""


def _orientation(source: str | os.PathLike | bytes) -> int:
    tf = import_tensorflow()
    from pipelines import images

    head = source[:_HEADER] if isinstance(source, bytes) else _head(Path(source), str(source), _HEADER)
    return int(images.exif_orientation(tf.constant(head)))


def _unlike(dataset: Any) -> str:
    """Return why the pixels would not be those of the whole image, or nothing."""
    kinds = set(dataset.dtypes)
    if kinds not in ({"uint8"}, {"uint16"}):
        return f"samples of {', '.join(sorted(kinds))}"
    if dataset.count not in (1, 2, 3, 4):
        return f"{dataset.count} bands"
    if int(dataset.tags(ns="IMAGE_STRUCTURE").get("NBITS", 8)) not in (8, 16):
        return "fewer than 8 bits a sample"
    if dataset.count in (2, 4) and dataset.colorinterp[-1].name != "alpha":
        return f"a last band that is {dataset.colorinterp[-1].name}"
    return ""


def _dataset(dataset: Any, name: str, orientation: int) -> Raster:
    from rasterio.windows import Window

    palette = None
    if dataset.count == 1 and dataset.colorinterp[0].name == "palette":
        table = dataset.colormap(1)
        palette = np.array([table.get(i, (0, 0, 0, 255))[:3] for i in range(256)], np.uint8)
    height, width = dataset.height, dataset.width

    def stored(top: int, bottom: int, left: int, right: int) -> np.ndarray:
        values = np.moveaxis(dataset.read(window=Window(left, top, right - left, bottom - top)), 0, -1)
        if values.dtype == np.uint16:
            values = (values >> 8).astype(np.uint8)
        if palette is not None:
            return palette[values[..., 0]]
        if values.shape[-1] in (2, 4):
            share = values[..., -1:].astype(np.float32) / 255.0
            over = values[..., :-1].astype(np.float32) * share + 255.0 * (1.0 - share)
            values = np.rint(over).astype(np.uint8)
        return np.repeat(values, 3, axis=-1) if values.shape[-1] == 1 else values

    if orientation == 1:
        return Raster(name, height, width, stored)
    turned, flipped_columns, flipped_rows = (
        orientation in group for group in ((5, 6, 7, 8), (2, 3, 6, 7), (3, 4, 7, 8))
    )
    rows, columns = (width, height) if turned else (height, width)

    def upright(top: int, bottom: int, left: int, right: int) -> np.ndarray:
        # Undone in the reverse order of what turns the stored image upright: transpose, then the columns, the rows.
        if flipped_rows:
            top, bottom = rows - bottom, rows - top
        if flipped_columns:
            left, right = columns - right, columns - left
        found = stored(left, right, top, bottom) if turned else stored(top, bottom, left, right)
        found = found.swapaxes(0, 1) if turned else found
        found = found[:, ::-1] if flipped_columns else found
        return found[::-1] if flipped_rows else found

    return Raster(name, rows, columns, upright)


def reduced(raster: Raster, side: int) -> np.ndarray:
    """Return a small version of an image: every n-th pixel of every n-th row, so that no side is longer.

    Args:
        raster: the image.
        side: in pixels.

    Returns:
        uint8 of shape (height, width, 3).
    """
    step = max(1, -(-max(raster.height, raster.width) // side))
    rows = 1024 // step * step or step
    parts = []
    for top in range(0, raster.height, rows):
        band = raster.read((top, min(top + rows, raster.height)), (0, raster.width))
        parts.append(band[::step, ::step])
    return np.concatenate(parts)
