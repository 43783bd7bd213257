"""Large images, read by windows: TIFF of any size, others of many pixels, without decoding all of them at once."""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from pipelines.core import extras
from pipelines.core.errors import DataError
from pipelines.core.tensorflow_import import import_tensorflow
from pipelines.images import image_io
from pipelines.images.formats.structure import refuse_unbounded
from pipelines.images.image_io import ImageInput
from pipelines.intake.limits import LIMITS
from pipelines.intake.regular_file import open_regular, read_bounded

__all__ = ["Raster", "is_too_large", "open_raster", "reduced"]

_WHOLE = 2**24
"""Up to so many pixels, 48 MiB of RGB, PNG, JPEG and BMP are decoded whole, which is faster."""
_JPEG_WHOLE = 2**29
"""TensorFlow refuses a JPEG of so many pixels, whatever part of it is asked for."""
_CACHE_BYTES = 256 * 2**20
_ORIENTATION, _COMPRESSION, _PHOTOMETRIC, _EXTRA = 274, 259, 262, 338
_JPEG, _YCBCR = 7, 6
_KNOWN_PHOTOMETRIC = (1, 2, 3, _YCBCR)  # black is zero, RGB, palette
_HEADER = 1 << 18
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BY_ROWS = (b"\xff\xd8", b"\x89PNG", b"BM")
_DRIVERS = {
    b"\xff\xd8": "JPEG",
    b"\x89PNG": "PNG",
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"RIFF": "WEBP",
    b"\0\0\0\x0c": "JP2OpenJPEG",
    b"\xffO\xffQ": "JP2OpenJPEG",
    b"P5": "PNM",
    b"P6": "PNM",
} | dict.fromkeys(_TIFF, "GTiff")
"""Of GDAL, by what files begin with. Others read other files than the one they are given, or fetch them."""


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

    TIFF files are read by windows, and so are PNG, JPEG and BMP files of more than 2**24 pixels, and others of more
    than are decoded at once; the rest is decoded whole, by the graph that serves it.

    Args:
        source: as of :func:`pipelines.images.image_io.read`.
        name: how messages call it; by default its path.

    Yields:
        The image.

    Raises:
        ConfigError: if it needs a package that is not installed.
        DataError: if it is no image, or of a kind that cannot be read by windows and too large to be decoded.
    """
    name = name or image_io.name_of(source)
    with contextlib.ExitStack() as stack:
        opened = _by_windows(source, name, stack)
        yield opened if opened is not None else _whole(source, name)


def _whole(source: ImageInput, name: str) -> Raster:
    tf = import_tensorflow()
    from pipelines.images import preprocessing

    if isinstance(source, np.ndarray) and source.dtype == np.uint8 and source.shape[2:] == (3,) and source.size:
        pixels = source
    else:
        data = image_io.read(source, name)
        try:
            pixels = preprocessing.decode(tf.constant(data)).numpy()
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
    driver = next((driver for begin, driver in _DRIVERS.items() if head.startswith(begin)), None)
    if driver is None:
        return None
    _refuse_unbounded(source, name)
    is_tiff = head in _TIFF
    at_once = min(_WHOLE, image_io.MAX_PIXELS) if head.startswith(_BY_ROWS) else image_io.MAX_PIXELS
    count = 0 if is_tiff else _pixels(source)
    if not is_tiff and count <= at_once:
        return None
    if not extras.has("geo", "rasterio") and 0 < _pixels(source) <= image_io.MAX_PIXELS:
        return None  # decoded whole, to the same pixels
    extras.need(f"{name}, which is read by windows,", "geo", "rasterio")
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    # GDAL keeps what it decoded: of its own accord a twentieth of the memory.
    # Where it decodes a PNG in one go, it takes the rows that a damaged one lacks to be black.
    stack.enter_context(
        rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES, GDAL_PAM_ENABLED="NO", GDAL_PNG_WHOLE_IMAGE_OPTIM="NO")
    )
    try:
        if isinstance(source, bytes):
            dataset = stack.enter_context(stack.enter_context(rasterio.MemoryFile(source)).open(driver=driver))
        else:  # What looks like an address of GDAL's is the name of a file all the same.
            dataset = stack.enter_context(rasterio.open(os.path.abspath(source), driver=driver))
    except RasterioIOError as error:
        if count > image_io.MAX_PIXELS:
            raise DataError(f"{name}: is not an image that can be read: {error}") from None
        return None  # what GDAL refuses may still be Pillow's to read
    pixels = dataset.width * dataset.height
    if dataset.driver == "JPEG" and pixels < _JPEG_WHOLE:
        return _jpeg(source, name, dataset.height, dataset.width)
    orientation, reason, near = _tags(source) if is_tiff else (_orientation(source), _bmp(source, name), False)
    reason = reason or _unlike(dataset)
    if (reason or near) and pixels <= image_io.MAX_PIXELS:
        return None
    if reason:
        raise DataError(
            f"{name}: {dataset.width} x {dataset.height} pixels with {reason}; images of more than "
            f"{image_io.MAX_PIXELS:,} pixels must have 8 or 16 bits, be grey, RGB or palette images, and have no "
            "transparent colour"
        )
    return _dataset(dataset, name, orientation)


def _head(path: Path, name: str, count: int = 4) -> bytes:
    with open_regular(path, "image", name) as file:
        try:
            return file.read(count)
        except OSError as error:
            raise DataError(f"{name}: cannot be read: {error.strerror or error}") from None


def _refuse_unbounded(source: str | os.PathLike[str] | bytes, name: str) -> None:
    """Refuse, as where images are decoded whole, what would take work without measure; files are not read for that."""
    if isinstance(source, bytes):
        refuse_unbounded(source, name, by_windows=True)
        return
    with (
        open_regular(source, "image", name) as file,
        contextlib.suppress(ValueError, OSError),  # A file that cannot be mapped is left to its reader.
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        refuse_unbounded(mapped, name, by_windows=True)


def _pixels(source: str | os.PathLike[str] | bytes) -> int:
    """Return how many pixels the header says, 0 where Pillow cannot tell."""
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(stream) as image:
            return image.width * image.height
    except Image.DecompressionBombError:
        return image_io.MAX_PIXELS + 1
    except Exception:  # Pillow's parsers raise whatever a malformed header leads them to.
        return 0


def is_too_large(source: ImageInput) -> bool:
    """Return whether an image has more pixels than are decoded at once, from its header alone.

    Args:
        source: as of :func:`pipelines.images.image_io.read`.
    """
    if isinstance(source, np.ndarray):
        count = int(np.prod(source.shape[:2]))
    elif isinstance(source, Image.Image):
        count = source.width * source.height
    else:
        count = _pixels(source)
    return count > image_io.MAX_PIXELS


def _tags(source: str | os.PathLike[str] | bytes) -> tuple[int, str, bool]:
    """Return the orientation of a TIFF, what in its header speaks against reading it by windows, and whether a window
    has the pixels of the whole only nearly.
    """
    stream: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        # Its class itself: opening by the module would refuse large images.
        with TiffImagePlugin.TiffImageFile(stream) as image:
            tags = image.tag_v2
            orientation = tags.get(_ORIENTATION, 1)
            photometric, extra = tags.get(_PHOTOMETRIC, 1), tags.get(_EXTRA, ())
            if photometric == _YCBCR and tags.get(_COMPRESSION) != _JPEG:
                return 1, "uncompressed YCbCr", False  # which readers turn to RGB differently
    except Exception:  # As above; a layout that Pillow does not read has no answer to be equal to.
        return 1, "", False
    if photometric not in _KNOWN_PHOTOMETRIC:
        return 1, f"photometric interpretation {photometric}", False
    if tuple(extra) not in ((), (2,)):
        return 1, f"extra samples {tuple(extra)}", False
    # GDAL comes with a libjpeg that enlarges colour another way than that of Pillow and TensorFlow.
    return orientation if orientation in range(1, 9) else 1, "", photometric == _YCBCR


def _orientation(source: str | os.PathLike[str] | bytes) -> int:
    tf = import_tensorflow()
    from pipelines.images import preprocessing

    head = source[:_HEADER] if isinstance(source, bytes) else _head(Path(source), str(source), _HEADER)
    return int(preprocessing.exif_orientation(tf.constant(head)))


def _bmp(source: str | os.PathLike[str] | bytes, name: str) -> str:
    """Return what in the header of a BMP speaks against reading it by windows; nothing of other formats."""
    head = source[:54] if isinstance(source, bytes) else _head(Path(source), name, 54)
    if not head.startswith(b"BM"):
        return ""
    header, depth, compression = (
        int.from_bytes(head[first:end], "little") for first, end in ((14, 18), (28, 30), (30, 34))
    )
    if header < 40 or compression or depth not in (1, 4, 8, 24, 32):
        return "samples that are packed or compressed"  # which readers bring to 8 bits differently
    return ""


def _unlike(dataset: Any) -> str:
    """Return why the pixels would not be those of the whole image, or nothing."""
    kinds, kind = set(dataset.dtypes), dataset.colorinterp[0].name
    if kinds not in ({"uint8"}, {"uint16"}):
        return f"samples of {', '.join(sorted(kinds))}"
    if dataset.count not in (1, 2, 3, 4):
        return f"{dataset.count} bands"
    if kind == "palette" and (dataset.count > 1 or "uint16" in kinds):
        return "a palette of an unusual layout"
    bits = _bits(dataset)
    if bits not in (8, 16) and (bits not in (1, 2, 4) or dataset.count > 1):
        return f"samples of {bits} bits"
    if dataset.count in (2, 4) and dataset.colorinterp[-1].name != "alpha":
        return f"a last band that is {dataset.colorinterp[-1].name}"
    # Of a TIFF it is GDAL's own tag, which other readers do not know; a PNG's palette is composited.
    known = dataset.driver == "GTiff" or (dataset.driver == "PNG" and kind == "palette")
    if not known and any(value is not None for value in dataset.nodatavals):
        return "a transparent colour"
    return ""


def _bits(dataset: Any) -> int:
    depth = 16 if "uint16" in dataset.dtypes else 8
    return int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", depth))


def _over_white(values: np.ndarray) -> np.ndarray:
    """Composite the last channel over white, as the whole image is: from uint8 (..., n + 1) to (..., n)."""
    share = values[..., -1:].astype(np.float32) / 255.0
    over = values[..., :-1].astype(np.float32) * share + 255.0 * (1.0 - share)
    composite: np.ndarray = np.rint(over).astype(np.uint8)
    return composite


def _jpeg(source: str | os.PathLike[str] | bytes, name: str, height: int, width: int) -> Raster:
    """Open a JPEG by the decoder that serves whole ones, which reads some rows as it reads them all."""
    tf = import_tensorflow()

    data = tf.constant(source if isinstance(source, bytes) else read_bounded(source, LIMITS.image_bytes, "image", name))
    # Pieces lie side by side, and to reach a row all above it are gone through: those of the last call are kept.
    first, held = 0, np.empty((0, width, 3), np.uint8)

    def stored(top: int, bottom: int, left: int, right: int) -> np.ndarray:
        nonlocal first, held
        if not first <= top <= bottom <= first + len(held):
            crop = [top, 0, bottom - top, width]  # of whole rows: where columns are cut, colour is enlarged otherwise
            try:
                rows = tf.image.decode_and_crop_jpeg(data, crop, channels=3, dct_method="INTEGER_ACCURATE")
            except tf.errors.InvalidArgumentError:
                raise OSError("the image is damaged") from None
            first, held = top, rows.numpy()
        return held[top - first : bottom - first, left:right]

    return _upright(name, height, width, stored, _orientation(source))


def _dataset(dataset: Any, name: str, orientation: int) -> Raster:
    from rasterio.windows import Window

    palette = None
    if dataset.count == 1 and dataset.colorinterp[0].name == "palette":
        table = dataset.colormap(1)
        colours = np.array([table.get(i, (0, 0, 0, 255)) for i in range(256)], np.uint8)
        palette = _over_white(colours) if dataset.driver == "PNG" else colours[:, :3]
    step = 255 // (2 ** min(_bits(dataset), 8) - 1)

    def stored(top: int, bottom: int, left: int, right: int) -> np.ndarray:
        values: np.ndarray = np.moveaxis(dataset.read(window=Window(left, top, right - left, bottom - top)), 0, -1)
        if values.dtype == np.uint16:
            values = (values >> 8).astype(np.uint8)
        if palette is not None:
            return np.asarray(palette[values[..., 0]])
        if values.shape[-1] in (2, 4):
            values = _over_white(values)
        return np.repeat(values * np.uint8(step), 3, axis=-1) if values.shape[-1] == 1 else values

    return _upright(name, dataset.height, dataset.width, stored, orientation)


def _upright(
    name: str, height: int, width: int, stored: Callable[[int, int, int, int], np.ndarray], orientation: int
) -> Raster:
    """Return the image that stands upright when what is stored is turned as its orientation says."""
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
