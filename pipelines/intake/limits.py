"""How much is taken in at once: the one record that command line, page, service, training and checks share."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LIMITS", "Limits", "size_in_words"]


@dataclass(frozen=True)
class Limits:
    """The limits of whatever a user gives.

    Args:
        pixels: of an image that is decoded whole: 512 MiB of RGB.
        slow_pixels: the same of formats whose decoders are slow: JPEG 2000, PPM as text, run-length encoded BMP.
        image_bytes: of the file of an image that is decoded whole, or of a mask.
        text_image_bytes: the same of PPM as text.
        packed_image_bytes: the same of run-length encoded BMP and of ICO.
        scans: of a JPEG; each goes over all pixels, however few bytes it has.
        scanned_pixels: of all scans of a JPEG together.
        header_parts: segments of a JPEG, or chunks of a PNG, that the graph walks over one by one.
        parts: segments of a JPEG, or chunks of a PNG.
        blocks: of the first frame of a GIF and what is before it.
        exif_bytes: in all segments of a JPEG; readers join them one by one.
        head_bytes: of the header of a PBM, PGM or PPM, with its comments.
        boxes: of a JPEG 2000 before its pixels.
        notes_bytes: of texts and colour profiles in a PNG, which may be compressed a thousandfold.
        strips: strips or tiles of a TIFF that is decoded whole.
        tile_bytes: of one decoded tile of a TIFF.
        wavelet_tiles: tiles of a JPEG 2000.
        json_bytes: of an annotation file in JSON.
        xml_bytes: of an annotation file in XML.
        text_bytes: of an annotation file of text, or a list of images.
        table_bytes: of a list of classes.
        yaml_bytes: of a YAML file, which is parsed in Python, a megabyte in some seconds.
        archive_entries: files in a zip, whatever they are.
        archive_images: images in a zip, or handed in together.
        archive_total: bytes of all files of a zip together, unpacked.
        archive_ratio: of the unpacked bytes of a zip to its own, from `archive_free` on; images hardly shrink.
        archive_free: bytes up to which the ratio does not matter.

    Example:
        >>> LIMITS.slow_pixels
        16777216
    """

    pixels: int = 178_956_970
    slow_pixels: int = 2**24
    image_bytes: int = 2**30
    text_image_bytes: int = 2**28
    packed_image_bytes: int = 2**25
    scans: int = 100
    scanned_pixels: int = 2**31
    header_parts: int = 1000
    parts: int = 2**18
    blocks: int = 2**21
    exif_bytes: int = 2**22
    head_bytes: int = 2**16
    boxes: int = 1000
    notes_bytes: int = 2**14
    strips: int = 2**17
    tile_bytes: int = 2**28
    wavelet_tiles: int = 2**12
    json_bytes: int = 2**31
    xml_bytes: int = 2**22
    text_bytes: int = 2**24
    table_bytes: int = 2**20
    yaml_bytes: int = 2**20
    archive_entries: int = 20_000
    archive_images: int = 1000
    archive_total: int = 2**30
    archive_ratio: int = 200
    archive_free: int = 2**26


LIMITS = Limits()


def size_in_words(count: int) -> str:
    """Write a number of bytes as people do.

    Example:
        >>> size_in_words(2**30), size_in_words(500)
        ('1,024 MiB', '500 bytes')
    """
    return f"{count / 2**20:,.0f} MiB" if count >= 2**20 else f"{count:,} bytes"
