"""A file of a mask: what is written in its pixels, before anything says which classes that stands for.

A grey or a palette image holds an index in each pixel (of a palette the indices count, not its colours); any other
holds a colour.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from pipelines.core.errors import DataError
from pipelines.images import image_io
from pipelines.images.image_header import Header, read_header

__all__ = ["Pixels", "colour_code", "decode", "fit", "turn"]

_LOSSY = ("JPEG", "MPO")
_INDICES = ("L", "P", "LA", "PA", "I")
_COLOURS = ("RGB", "RGBA")


@dataclass(frozen=True, eq=False)
class Pixels:
    """What is written in the pixels of a mask.

    Args:
        values: integers of shape (height, width): indices, or the :func:`colour_code` of each pixel.
        coloured: which of the two.
        upright: whether they are known to lie as the image is shown, and not as it is stored.
    """

    values: np.ndarray
    coloured: bool = False
    upright: bool = False


def colour_code(red: int, green: int, blue: int) -> int:
    """Write a colour as one number.

    Example:
        >>> hex(colour_code(128, 0, 255))
        '0x8000ff'
    """
    return red << 16 | green << 8 | blue


def decode(data: bytes, name: str) -> Pixels:
    """Decode the file of a mask; if it has an EXIF orientation of its own, that is applied.

    Args:
        data: an encoded image, such as a PNG, without lossy compression.
        name: how messages call it.

    Returns:
        Indices as uint8 or int32, or colours as int32.

    Raises:
        DataError: if it is no image, or none that can hold a mask.

    Example:
        >>> from pipelines.images.masks import to_png
        >>> decode(to_png(np.array([[0, 1, 255]], np.uint8)), "mask.png").values.tolist()
        [[0, 1, 255]]
    """
    if not data:
        raise DataError(f"{name}: the file is empty")
    image = image_io.open_stored(data, name)
    if image.format in _LOSSY:
        raise DataError(f"{name}: is a JPEG, whose lossy compression changes the values of a mask; save masks as PNG")
    pixels = _pixels(image, data, name)
    # Pillow turns a TIFF as it decodes it.
    orientation = 1 if image.format == "TIFF" else read_header(data, name).orientation
    if orientation == 1:
        return pixels
    return replace(pixels, values=turn(pixels.values, orientation), upright=True)


def _pixels(image: Image.Image, data: bytes, name: str) -> Pixels:
    values = np.asarray(image)
    if image.mode == "1":
        return Pixels(values.astype(np.uint8))
    if image.mode in _INDICES or image.mode.startswith("I;16"):
        values = values if values.ndim == 2 else values[..., 0]
        values = values if values.dtype == np.uint8 else values.astype(np.int32)
        return Pixels(values // _widening(image, data))
    if image.mode in _COLOURS:
        red, green, blue = (values[..., channel].astype(np.int32) for channel in range(3))
        return Pixels(red << 16 | green << 8 | blue, coloured=True)
    raise DataError(f"{name}: is an image of mode {image.mode}; expected a grey, palette or RGB mask, saved as PNG")


def _widening(image: Image.Image, data: bytes) -> int:
    """Say what Pillow multiplies the grey values of 2 and 4 bits with, to spread them over 0 to 255."""
    if image.format == "PNG" and image.mode == "L":
        return {2: 85, 4: 17}.get(data[24], 1)  # The depth in the first chunk, whose place is fixed.
    return 1


def turn(values: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an array of shape (height, width) as an EXIF orientation of 1 to 8 says.

    Example:
        >>> turn(np.array([[1, 2], [3, 4]]), 6).tolist()
        [[3, 1], [4, 2]]
    """
    turned = {
        1: values,
        2: values[:, ::-1],
        3: values[::-1, ::-1],
        4: values[::-1],
        5: values.T,
        6: values[::-1].T,
        7: values[::-1, ::-1].T,
        8: values.T[::-1],
    }[orientation]
    return np.ascontiguousarray(turned)


def fit(pixels: Pixels, header: Header, mask: str, image: str) -> Pixels:
    """Bring a mask to lie as its image is shown.

    A mask of the size that the image is stored in is taken to lie as it is stored, and turned with it.

    Args:
        pixels: of the mask.
        header: of the image.
        mask, image: how messages call them.

    Returns:
        Pixels of the size of the upright image.

    Raises:
        DataError: naming both sizes, if they differ.
    """
    shape = pixels.values.shape
    if shape == header.upright and (pixels.upright or shape != header.size):
        return pixels
    if shape == header.size:
        return replace(pixels, values=turn(pixels.values, header.orientation))
    (height, width), (shown_height, shown_width) = shape, header.upright
    raise DataError(
        f"{mask}: is {width} x {height} pixels (width x height), but its image {image} is "
        f"{shown_width} x {shown_height}; save the mask in the size of the image"
    )
