"""Take an image in, whatever it is: a path, bytes or an array, to bytes that the graph decodes.

JPEG, PNG and 24-bit BMP pass untouched, so that a client of the bare SavedModel that sends the same file gets the same
answer. Everything else that Pillow reads (WebP, TIFF, GIF, other BMP, ...) is re-encoded as PNG, without loss; and so
is what TensorFlow reads otherwise than people see it: PNG with a transparent colour, CMYK JPEG. What people are shown
(:func:`open_rgb`) has the pixels that the graph decodes, to the last bit.

Command line, page, service, training and checks all take images in here, within the limits of
:mod:`pipelines.intake.limits`.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from pipelines.core.errors import DataError, ImageTooLargeError
from pipelines.images.formats import portable_maps
from pipelines.images.formats.gif import first_frame
from pipelines.images.formats.orientation import HEADER_BYTES, find_orientation, upright
from pipelines.images.formats.structure import chunks, refuse_unbounded, without_notes
from pipelines.images.formats.transparency import framed, over_white, separated
from pipelines.intake.limits import LIMITS
from pipelines.intake.regular_file import read_bounded, too_many_bytes

__all__ = [
    "BY_PIECES",
    "EXTENSIONS",
    "HEADER_BYTES",
    "MAX_PIXELS",
    "ImageInput",
    "encode",
    "name_of",
    "open_header",
    "open_rgb",
    "open_stored",
    "read",
    "refuse_size",
    "size_of",
]

ImageInput = str | os.PathLike[str] | bytes | np.ndarray | Image.Image

MAX_PIXELS = LIMITS.pixels
"""The largest image that is decoded whole: 512 MiB of RGB. A larger one is refused before anything is decoded."""

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".gif", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
"""What a folder is searched for. A file given by name is judged by its content alone."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "TGA", "JPEG2000", "ICO")
BY_PIECES = "detection and segmentation process larger images in tiles: --tile 1024 (predict_by_pieces in Python)"
_PNG = b"\x89PNG\r\n\x1a\n"
_SEARCHED = ("JPEG", "MPO", "PNG")
_UNTURNED = ("GIF", "BMP", "DIB")
_SLOW = ("JPEG2000",)
_ORIENTATION = 0x0112
_BAND = 2**22  # Pixels that are worked on at once, where that takes several times their memory.
_MODES_16_BIT = ("I;16", "I;16B", "I;16L", "I;16N")

# What Pillow warns of is refused here, or taken.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


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
        An encoded JPEG, PNG or BMP.

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
        refuse_size(source.height, source.width, name)
        return encode(source)
    data = source if isinstance(source, bytes) else read_bounded(Path(source), LIMITS.image_bytes, "image", name)
    if not data:
        raise DataError(f"{name}: the file is empty")
    return _normalise(data, name)


def _tidy(data: bytes, name: str) -> bytes:
    """Leave out what no pixel needs and decoders would unpack all the same; refuse what would take without measure."""
    if len(data) > LIMITS.image_bytes:
        raise ImageTooLargeError(too_many_bytes(name, len(data), LIMITS.image_bytes, "image"))
    refuse_unbounded(data, name)
    if data.startswith(b"GIF8"):
        try:
            return first_frame(data)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
    return without_notes(data) if data.startswith(_PNG) else data


def _opened(data: bytes, name: str) -> tuple[bytes, ImageFile.ImageFile]:
    """Open bytes; return them as they are decoded, and the image, of which nothing is decoded yet."""
    data = _tidy(data, name)
    try:
        return data, _open(data, name)
    except ImageTooLargeError:
        raise
    except DataError:
        bare = without_notes(data, every=True) if data.startswith(_PNG) else data
        if bare == data:
            raise
        return bare, _open(bare, name)


def _open(data: bytes, name: str) -> ImageFile.ImageFile:
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise ImageTooLargeError(
            f"{name}: at most {MAX_PIXELS:,} pixels are decoded at once, and the image has more; {BY_PIECES}"
        ) from None
    except Exception:  # Pillow's parsers raise whatever a malformed header leads them to.
        raise DataError(f"{name}: is not an image that can be read") from None
    refuse_size(image.height, image.width, name)
    if _is_slow(image) and image.width * image.height > LIMITS.slow_pixels:
        raise ImageTooLargeError(
            f"{name}: {image.width} x {image.height} pixels; at most {LIMITS.slow_pixels:,} of {image.format} are "
            "decoded, which takes long; save it as PNG or TIFF"
        )
    return image


def _is_slow(image: ImageFile.ImageFile) -> bool:
    packed = bool(image.tile) and image.tile[0].codec_name == "bmp_rle"
    return image.format in _SLOW or packed or portable_maps.is_text(image)


def refuse_size(height: int, width: int, name: str) -> None:
    """Refuse an image of more pixels than are decoded at once.

    Args:
        height: in pixels.
        width: in pixels.
        name: how the message calls it.

    Raises:
        ImageTooLargeError: if it is.
    """
    if width * height > MAX_PIXELS:
        raise ImageTooLargeError(
            f"{name}: {width} x {height} pixels; at most {MAX_PIXELS:,} are decoded at once; {BY_PIECES}"
        )


def _normalise(data: bytes, name: str) -> bytes:
    data, image = _opened(data, name)
    return data if _is_read_alike(data, image) else encode(_load(image, data, name))


def _is_read_alike(data: bytes, image: ImageFile.ImageFile) -> bool:
    """Say whether the graph reads bytes as people see them, and in bounded time."""
    if image.format in ("JPEG", "MPO"):
        return image.mode in ("L", "RGB") and find_orientation(data).steps <= LIMITS.header_parts
    if image.format == "PNG":
        return not _says_more_than_the_graph_reads(data)
    # TensorFlow misreads palettes and the older headers, and refuses 16 and 32 bits.
    fields = ((10, 14), (14, 18), (28, 30), (30, 34))
    pixels, header, depth, compression = (int.from_bytes(data[first:end], "little") for first, end in fields)
    plain = image.format == "BMP" and image.mode == "RGB" and header >= 40 and depth == 24 and not compression
    return plain and len(data) == pixels + image.height * (-(-image.width * 3 // 4) * 4)


def _says_more_than_the_graph_reads(png: bytes) -> bool:
    """Return whether a PNG has a transparent colour, or an orientation behind what the graph reads of a header."""
    pixels = 0
    for kind, start, end in chunks(png):
        pixels = pixels or (start if kind == b"IDAT" else 0)
        if kind == b"tRNS" or (kind == b"eXIf" and (pixels or end > HEADER_BYTES)):
            return True
        if kind == b"IEND":
            break
    return False


def _decoded(image: ImageFile.ImageFile, data: bytes, name: str) -> Image.Image:
    try:
        if portable_maps.is_slow(image):
            return portable_maps.decode(image, data)
        image.load()
    except Exception as error:  # As in opening: a damaged body may raise anything.
        raise DataError(f"{name}: the image is damaged: {' '.join(str(error).split())[:200]}") from None
    return image


def _load(image: ImageFile.ImageFile, data: bytes, name: str) -> Image.Image:
    """Decode an image, upright, with its transparency in a channel of its own."""
    kind, extents = image.format, getattr(image, "dispose_extent", None)
    found = separated(_decoded(image, data, name), data if kind == "PNG" else None)
    if kind == "GIF" and extents is not None:
        found = framed(found, extents)
    return upright(found, _orientation(image, data))


def _orientation(image: ImageFile.ImageFile, data: bytes) -> int:
    """Say how an image is to be turned; of a PNG only once it is decoded, since that may stand behind its pixels."""
    if image.format in _SEARCHED:
        orientation = find_orientation(data).orientation
        behind = image.format == "PNG" and orientation == 1 and any(kind == b"eXIf" for kind, _, _ in chunks(data))
        if not behind:
            return orientation
    elif image.format in _UNTURNED:
        return 1
    try:
        stated = image.getexif().get(_ORIENTATION)
    except Exception:  # An orientation that cannot be read is none.
        return 1
    return stated if isinstance(stated, int) and 1 <= stated <= 8 else 1


def open_header(data: bytes, name: str) -> tuple[ImageFile.ImageFile, int]:
    """Open an image, of which nothing is decoded, and say what EXIF orientation :func:`read` and the graph apply to it.

    Args:
        data: an encoded image of any format that is read.
        name: how messages call it.

    Returns:
        The Pillow image, and 1 to 8.

    Raises:
        DataError: if it is none, or is too large.
    """
    data, image = _opened(data, name)
    return image, _orientation(image, data)


def size_of(data: bytes, name: str) -> tuple[int, int]:
    """Return height and width of an encoded image, as stored, from its header alone; (0, 0) where Pillow reads none.

    Args:
        data: as :func:`read` gives it.
        name: how error messages call it.
    """
    try:
        _, image = _opened(data, name)
    except ImageTooLargeError:
        raise
    except DataError:
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
    data, image = _opened(data, name)
    found = _decoded(image, data, name)
    found.format = image.format
    return found


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Keep the high byte of 16-bit samples, as TensorFlow's own PNG decoder does."""
    if image.mode in _MODES_16_BIT:
        return _by_bands(image, lambda values: values.astype(np.uint16) >> 8)
    if image.mode in ("I", "F"):
        extrema = image.getextrema()
        top = 65535 if float(np.nanmax(extrema)) > 255 else 255
        return _by_bands(image, lambda values: np.clip(values, 0, top) // (257 if top > 255 else 1))
    return image


def _by_bands(image: Image.Image, work: Callable[[np.ndarray], np.ndarray]) -> Image.Image:
    """Work on an image some rows at a time, since what lies between takes several times their memory."""
    found = np.empty((image.height, image.width), np.uint8)
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        values = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        found[top : top + rows] = work(values.astype(np.float64) if image.mode in ("I", "F") else values)
    return Image.fromarray(found)


def encode(image: Image.Image) -> bytes:
    """Encode a Pillow image of any mode as an 8-bit PNG; transparency is kept, for the graph to composite.

    Args:
        image: any Pillow image.

    Returns:
        The bytes of a PNG, mode L, RGB or RGBA.
    """
    image = _to_8_bits(separated(image))
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("L" if image.mode == "1" else "RGB")
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
    refuse_size(array.shape[0], array.shape[1], name)
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
    data = read(source, name)
    image = _to_8_bits(_load(_open(data, name), data, name))
    image = Image.fromarray(over_white(np.asarray(image))) if image.mode == "RGBA" else image.convert("RGB")
    if max_side is not None:
        image.thumbnail((max_side, max_side))
    return image
