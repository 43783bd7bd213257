"""Take an image in, whatever it is: a path, bytes or an array, to bytes that the graph decodes.

JPEG, PNG and 24-bit BMP pass untouched, and the first frame of a GIF, so that a client of the bare SavedModel that
sends the same file gets the same answer. Everything else that Pillow reads (WebP, TIFF, other BMP, ...) is re-encoded
as PNG, without loss.
"""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pipelines.core.errors import DataError, ImageTooLargeError
from pipelines.images.gif import first_frame

__all__ = [
    "EXTENSIONS",
    "HEADER_BYTES",
    "MAX_PIXELS",
    "ImageInput",
    "encode",
    "name_of",
    "open_rgb",
    "open_stored",
    "read",
    "size_of",
]

ImageInput = str | os.PathLike[str] | bytes | np.ndarray | Image.Image

MAX_PIXELS = 178_956_970
"""The largest image that is decoded whole: 512 MiB of RGB. A larger one is refused before anything is decoded."""

HEADER_BYTES = 1 << 17
"""So many bytes of a file, two segments of a JPEG, are searched for orientation and transparency inside the graph."""

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".gif", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
"""What a folder is searched for. A file given by name is judged by its content alone."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "MPO", "TGA", "JPEG2000", "ICO")
_BY_PIECES = "detection and segmentation process larger images in tiles: --tile 1024 (predict_by_pieces in Python)"
_DECODED = (b"\xff\xd8", b"\x89PNG", b"GIF8")
_MODES_16_BIT = ("I;16", "I;16B", "I;16L", "I;16N")


class _NoImage(DataError):
    """Pillow cannot tell what it is."""


def name_of(source: ImageInput) -> str:
    """Return how messages and tables call an input: its path, or what it is."""
    if isinstance(source, bytes):
        return f"{len(source)} bytes"
    if isinstance(source, np.ndarray):
        return f"array {'x'.join(map(str, source.shape))}"
    if isinstance(source, Image.Image):
        return f"picture {source.height}x{source.width}"
    return os.fspath(source)


def read(source: ImageInput, name: str | None = None) -> bytes:
    """Read one image into bytes that the graph decodes.

    Args:
        source: a path, encoded bytes, a Pillow image, or an array: uint8 of shape (H, W), (H, W, 1), (H, W, 3) or
            (H, W, 4), values 0 to 255.
        name: how error messages call it; by default its path.

    Returns:
        An encoded JPEG, PNG, GIF or BMP.

    Raises:
        DataError: naming the input, and why it is no image.
    """
    if not isinstance(source, (str, os.PathLike, bytes, np.ndarray, Image.Image)):
        raise DataError(
            f"received {type(source).__name__}; expected a path, bytes, a Pillow image or an array of uint8"
        )
    name = name or name_of(source)
    if isinstance(source, np.ndarray):
        return _encode_array(source, name)
    if isinstance(source, Image.Image):
        return encode(source)
    data = source if isinstance(source, bytes) else _read_file(Path(source), name)
    if not data:
        raise DataError(f"{name}: the file is empty")
    return _normalise(data, name)


def _read_file(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{name}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{name}: is a folder, not an image") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror or error}") from None


def _open(data: bytes, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise ImageTooLargeError(
            f"{name}: at most {MAX_PIXELS:,} pixels are decoded at once, and the image has more; {_BY_PIECES}"
        ) from None
    except Exception:  # Pillow's parsers raise whatever a malformed header leads them to.
        raise _NoImage(f"{name}: is not an image that can be read") from None
    if image.width * image.height > MAX_PIXELS:
        raise ImageTooLargeError(
            f"{name}: {image.width} x {image.height} pixels; at most {MAX_PIXELS:,} are decoded at once; {_BY_PIECES}"
        )
    return image


def _normalise(data: bytes, name: str) -> bytes:
    if data.startswith(_DECODED):
        # What these hold is TensorFlow's to judge, which reads some files that Pillow does not; their size is not.
        with contextlib.suppress(_NoImage):
            image = _open(data, name)
            if image.format == "PNG" and _says_more_than_the_graph_reads(data):
                return encode(_load(image, name))
        return first_frame(data) if data.startswith(b"GIF8") else data
    image = _open(data, name)
    # A BMP header says its depth at byte 28; TensorFlow misreads palettes and refuses 16 and 32 bits.
    if image.format == "BMP" and int.from_bytes(data[28:30], "little") == 24 and image.mode == "RGB":
        return data
    return encode(_load(image, name))


def _says_more_than_the_graph_reads(png: bytes) -> bool:
    """Return whether orientation or transparency may be behind what the graph reads of a header, or behind the pixels.

    A chunk's name may be found where there is no such chunk: then the same pixels are encoded anew.
    """
    pixels = png.find(b"IDAT")
    return pixels > HEADER_BYTES - 64 or png.find(b"eXIf", pixels) > 0


def _load(image: Image.Image, name: str) -> Image.Image:
    try:
        image.load()
        return ImageOps.exif_transpose(image)
    except Exception as error:  # As in opening: a damaged body may raise anything.
        raise DataError(f"{name}: the image is damaged: {error}") from None


def size_of(data: bytes, name: str) -> tuple[int, int]:
    """Return height and width of an encoded image, as stored, from its header alone; (0, 0) where Pillow reads none.

    Args:
        data: as :func:`read` gives it.
        name: how error messages call it.
    """
    try:
        image = _open(data, name)
    except _NoImage:
        return 0, 0
    return image.height, image.width


def open_stored(data: bytes, name: str) -> Image.Image:
    """Open and decode an image as it is stored: in its own mode, and not turned upright.

    Args:
        data: an encoded image of any format that Pillow reads.
        name: how error messages call it.

    Returns:
        A loaded Pillow image.

    Raises:
        DataError: naming the input, and why it is no image.
    """
    image = _open(data, name)
    try:
        image.load()
    except Exception as error:  # As in opening: a damaged body may raise anything.
        raise DataError(f"{name}: the image is damaged: {error}") from None
    return image


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Keep the high byte of 16-bit samples, as TensorFlow's own PNG decoder does."""
    if image.mode in _MODES_16_BIT:
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        values = np.asarray(image, dtype=np.float64)
        top = 65535 if values.max(initial=0) > 255 else 255
        return Image.fromarray((np.clip(values, 0, top) // (257 if top > 255 else 1)).astype(np.uint8))
    return image


def encode(image: Image.Image) -> bytes:
    """Encode a Pillow image of any mode as an 8-bit PNG; transparency is kept, for the graph to composite.

    Args:
        image: any Pillow image.

    Returns:
        The bytes of a PNG, mode L, RGB or RGBA.
    """
    image = _to_8_bits(image)
    if image.mode not in ("L", "RGB", "RGBA"):
        transparent = image.has_transparency_data
        image = image.convert("RGBA" if transparent else "L" if image.mode == "1" else "RGB")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _encode_array(array: np.ndarray, name: str) -> bytes:
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if array.dtype != np.uint8 or not (grey or (array.ndim == 3 and array.shape[2] in (3, 4))) or array.size == 0:
        raise DataError(
            f"{name}: received {array.dtype} of shape {array.shape}; expected uint8 of shape (height, width), "
            "(height, width, 3) or (height, width, 4), values 0 to 255"
        )
    return encode(Image.fromarray(array[..., 0] if grey and array.ndim == 3 else array))


def open_rgb(source: ImageInput, max_side: int | None = None, name: str | None = None) -> Image.Image:
    """Open an image for people to look at: upright, RGB, transparency over white.

    Args:
        source: as for :func:`read`.
        max_side: if given, the image is scaled down until no side is longer, in pixels.
        name: as for :func:`read`.

    Returns:
        A Pillow image of mode RGB.

    Raises:
        DataError: if it is no image.
    """
    name = name or name_of(source)
    image = _load(_open(read(source, name), name), name)
    image = _to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    if max_side is not None:
        image.thumbnail((max_side, max_side))
    return image
