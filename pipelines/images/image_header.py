"""The size and the EXIF orientation of an image, from its header."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.images import image_io
from pipelines.intake.limits import LIMITS
from pipelines.intake.regular_file import read_bounded

__all__ = ["Header", "read_header", "upright_size"]

_SIDEWAYS = (5, 6, 7, 8)


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
    data = image if isinstance(image, bytes) else read_bounded(image, LIMITS.image_bytes, "image", name)
    opened, orientation = image_io.open_header(data, name)
    width, height = opened.size
    if opened.format == "TIFF" and orientation in _SIDEWAYS:  # Pillow says the size that it will have.
        width, height = height, width
    return Header((height, width), orientation)


def upright_size(image: bytes, name: str) -> tuple[int, int]:
    """Read (height, width) of the upright image from the header of encoded bytes; ``DataError`` if there is none."""
    return read_header(image, name).upright
