"""The size and the EXIF orientation of an image, from its header."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipelines.core.errors import DataError

__all__ = ["Header", "read_header", "upright_size"]

_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_READ_BY_GRAPH = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB")


@dataclass(frozen=True)
class Header:
    """What the header of an image says of its shape.

    Args:
        size: (height, width) as it is stored.
        orientation: of EXIF, 1 to 8; 1 where there is none.
    """

    size: tuple[int, int]
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Return (height, width) as it is shown."""
        height, width = self.size
        return (width, height) if self.orientation in _SIDEWAYS else (height, width)


def read_header(image: bytes | Path, name: str) -> Header:
    """Read the header of an image from encoded bytes or from its file.

    The orientation is the one that :func:`pipelines.images.image_io.read` and the graph apply to it.

    Raises:
        DataError: if it is no image.
    """
    try:
        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
            width, height = opened.size
            exif = Image.Exif()
            if opened.format in _READ_BY_GRAPH:
                with contextlib.suppress(Exception):  # As in the graph: an orientation that cannot be read is none.
                    exif.load(opened.info.get("exif", b""))
            else:
                exif = opened.getexif()
            written = exif.get(_ORIENTATION)
            orientation = written if isinstance(written, int) and 1 <= written <= 8 else 1
            if opened.format == "TIFF" and orientation in _SIDEWAYS:  # Pillow says the size that it will have.
                width, height = height, width
    except Exception:  # Pillow's parsers raise whatever a malformed header leads them to.
        raise DataError(f"{name}: is not an image whose size can be read") from None
    return Header((height, width), orientation)


def upright_size(image: bytes, name: str) -> tuple[int, int]:
    """Read (height, width) of the upright image from the header of encoded bytes; ``DataError`` if there is none."""
    return read_header(image, name).upright
