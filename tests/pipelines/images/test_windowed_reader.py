"""Images read by windows have the pixels that they have when they are decoded whole."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from rasterio.errors import NotGeoreferencedWarning

from pipelines.core.errors import DataError
from pipelines.images import image_io, preprocessing, windowed_reader
from pipelines.images.windowed_reader import is_too_large, open_raster, reduced
from profiles import examples


def picture() -> Image.Image:
    dice = np.random.default_rng(0)
    rough = Image.fromarray(dice.integers(0, 255, (20, 29, 3)).astype(np.uint8))
    return rough.resize((203, 141), Image.Resampling.BICUBIC)


def oriented(orientation: int) -> dict[str, Any]:
    tags = ImageFileDirectory_v2()
    tags[274] = orientation
    return {"tiffinfo": tags}


def translucent(mode: str) -> Image.Image:
    image = picture().convert("RGBA")
    image.putalpha(picture().convert("L"))
    return image.convert(mode)


KINDS = {
    "RGB": (picture(), {}),
    "RGB, LZW": (picture(), {"compression": "tiff_lzw"}),
    "RGB, deflate": (picture(), {"compression": "tiff_deflate"}),
    "RGB, JPEG": (picture(), {"compression": "jpeg"}),
    "grey": (picture().convert("L"), {}),
    "black and white": (picture().convert("1"), {}),
    "palette": (picture().convert("P"), {}),
    "RGBA": (translucent("RGBA"), {}),
    "grey with alpha": (translucent("LA"), {}),
    "16 bits": (Image.fromarray(np.asarray(picture().convert("L")).astype(np.uint16) * 257), {}),
    "32 bits": (picture().convert("I"), {}),
    "floats": (picture().convert("F"), {}),
    "CMYK": (picture().convert("CMYK"), {}),
    "YCbCr": (picture().convert("YCbCr"), {}),
    "Lab": (picture().convert("LAB"), {}),
    **{f"orientation {number}": (picture(), oriented(number)) for number in range(1, 9)},
}


def encoded(image: Image.Image, kind: str = "TIFF", **arguments: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **arguments)
    return buffer.getvalue()


def whole(data: bytes) -> np.ndarray:
    return preprocessing.decode(tf.constant(image_io.read(data))).numpy()


def only_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be decoded whole."""

    def refuse(*_: Any) -> None:
        raise AssertionError("was decoded whole")

    monkeypatch.setattr(windowed_reader, "_whole", refuse)


def check(source: bytes | Path, expected: np.ndarray) -> None:
    with open_raster(source) as raster:
        assert (raster.height, raster.width) == expected.shape[:2]
        np.testing.assert_array_equal(raster.read((0, raster.height), (0, raster.width)), expected)
        np.testing.assert_array_equal(raster.read((13, 77), (5, 99)), expected[13:77, 5:99])
        np.testing.assert_array_equal(raster.read((20, 70), (90, 130)), expected[20:70, 90:130])
        np.testing.assert_array_equal(raster.read((0, 20), (0, 130)), expected[:20, :130])  # and back again


AS_A_WHOLE = {"32 bits", "floats", "CMYK", "YCbCr", "Lab"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_of_a_tiff_has_the_pixels_of_the_whole(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    image, arguments = KINDS[kind]
    data = encoded(image, **arguments)
    (tmp_path / "image.tif").write_bytes(data)
    expected = whole(data)
    if kind not in AS_A_WHOLE:
        only_windows(monkeypatch)
    for source in (data, tmp_path / "image.tif"):
        check(source, expected)


def tiff(values: np.ndarray, palette: bool = False, **options: Any) -> bytes:
    """A TIFF as only GDAL writes it, from values of shape (bands, height, width)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.MemoryFile() as memory:
            size = {"count": values.shape[0], "height": values.shape[1], "width": values.shape[2]}
            with memory.open(driver="GTiff", dtype="uint8", **size, **options) as file:
                if palette:
                    file.write_colormap(1, {i: (i * 9, 250 - i * 7, i * 5, 255) for i in range(16)})
                file.write(values)
            return bytes(memory.read())


def levels(bits: int) -> np.ndarray:
    return np.asarray(picture().convert("L")) >> (8 - bits)


FEW_BITS = {
    **{f"{bits} bits, grey": lambda bits=bits: tiff(levels(bits)[None], nbits=bits) for bits in (1, 2, 4)},
    **{f"{bits} bits, palette": lambda bits=bits: tiff(levels(bits)[None], True, nbits=bits) for bits in (2, 4)},
    "nothing where it is 3": lambda: tiff(levels(4)[None], nodata=3),
    "nothing where the palette says 3": lambda: tiff(levels(4)[None], True, nodata=3),
    "JPEG in RGB": lambda: tiff(np.moveaxis(np.asarray(picture()), -1, 0), compress="jpeg", photometric="rgb"),
}


@pytest.mark.parametrize("kind", FEW_BITS)
def test_a_window_of_a_tiff_of_gdal_has_the_pixels_of_the_whole(kind: str, monkeypatch: pytest.MonkeyPatch):
    data = FEW_BITS[kind]()
    expected = whole(data)
    assert len(np.unique(expected)) > 1
    only_windows(monkeypatch)
    check(data, expected)


def test_a_tiff_of_another_colour_space_is_decoded_whole_where_it_can_be(monkeypatch: pytest.MonkeyPatch):
    data = tiff(np.moveaxis(np.asarray(picture()), -1, 0), compress="jpeg", photometric="ycbcr")
    expected = whole(data)
    check(data, expected)
    monkeypatch.setattr(image_io, "MAX_PIXELS", 1000)
    with open_raster(data) as raster:
        difference = np.abs(raster.read((0, 141), (0, 203)).astype(int) - expected)
    assert difference.mean() < 5  # of enlarged colour


@given(
    rows=st.tuples(st.integers(0, 140), st.integers(1, 141)),
    columns=st.tuples(st.integers(0, 140), st.integers(1, 141)),
)
@settings(deadline=None, max_examples=examples(40))
def test_any_window_of_a_turned_image(rows, columns):
    (top, bottom), (left, right) = sorted(rows), sorted(columns)
    bottom, right = max(bottom, top + 1), max(right, left + 1)
    data = encoded(picture(), **oriented(6))
    with open_raster(data) as raster:
        assert (raster.height, raster.width) == (203, 141)
        np.testing.assert_array_equal(raster.read((top, bottom), (left, right)), whole(data)[top:bottom, left:right])


def png(values: np.ndarray, bits: int, colour: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of a bit depth and a colour type, with chunks before its pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = values.shape[:2]
    rows = values.astype(f">u{max(bits // 8, 1)}").reshape(height, -1).view(np.uint8)
    if bits < 8:
        single = (rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1
        rows = np.packbits(single.reshape(height, -1).astype(np.uint8), axis=1)
    lines = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def turned(kind: str, orientation: int) -> bytes:
    tags = Image.Exif()
    tags[274] = orientation
    return encoded(picture(), kind, exif=tags)


def from_the_top(data: bytes) -> bytes:
    """A BMP whose first row is stored first: its height is negative. Its rows are the other way round, then."""
    return data[:22] + struct.pack("<i", -struct.unpack("<i", data[22:26])[0]) + data[26:]


GREY = np.asarray(picture().convert("L"))
WINDOWED = {
    "PNG": encoded(picture(), "PNG"),
    "PNG, grey": encoded(picture().convert("L"), "PNG"),
    "PNG, RGBA": encoded(translucent("RGBA"), "PNG"),
    "PNG, grey with alpha": encoded(translucent("LA"), "PNG"),
    "PNG, 16 bits": png(GREY.astype(np.uint16) * 257, 16, 0),
    "PNG, turned": turned("PNG", 6),
    **{f"PNG, {bits} bits": png(levels(bits), bits, 0) for bits in (1, 2, 4)},
    "PNG, palette": encoded(picture().quantize(256), "PNG"),
    "PNG, palette of 4 bits": encoded(picture().quantize(16), "PNG"),
    "PNG, palette with a transparent colour": encoded(picture().quantize(256), "PNG", transparency=3),
    "PNG, translucent palette": encoded(picture().quantize(256), "PNG", transparency=bytes(range(256))),
    "JPEG": encoded(picture(), "JPEG"),
    "JPEG, grey": encoded(picture().convert("L"), "JPEG"),
    "JPEG, CMYK": encoded(picture().convert("CMYK"), "JPEG"),
    "JPEG, progressive": encoded(picture(), "JPEG", progressive=True),
    "JPEG, colour as fine": encoded(picture(), "JPEG", subsampling=0),
    **{f"JPEG, turned {number}": turned("JPEG", number) for number in (3, 5, 8)},
    "BMP": encoded(picture(), "BMP"),
    "BMP, grey": encoded(picture().convert("L"), "BMP"),
    "BMP, palette": encoded(picture().quantize(256), "BMP"),
    "BMP, black and white": encoded(picture().convert("1"), "BMP"),
    "BMP, 32 bits": encoded(translucent("RGBA"), "BMP"),
    "BMP, from the top": from_the_top(encoded(picture(), "BMP")),
}
REFUSED = {
    "grey": encoded(picture().convert("L"), "PNG", transparency=int(GREY[5, 5])),
    "RGB": encoded(picture(), "PNG", transparency=tuple(np.asarray(picture())[5, 5].tolist())),
    "2 bits": png(levels(2), 2, 0, (b"tRNS", struct.pack(">H", 1))),
    "16 bits": png(GREY.astype(np.uint16) * 257, 16, 0, (b"tRNS", struct.pack(">H", 257 * int(GREY[5, 5])))),
}


@pytest.mark.parametrize("limit", ["what is decoded at once", "what is decoded whole"])
@pytest.mark.parametrize("kind", WINDOWED)
def test_a_window_of_a_large_image_has_the_pixels_of_the_whole(
    kind: str, limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = WINDOWED[kind]
    expected = whole(data)
    (tmp_path / "image").write_bytes(data)
    only_windows(monkeypatch)
    if limit == "what is decoded at once":
        monkeypatch.setattr(image_io, "MAX_PIXELS", 1000)
    else:
        monkeypatch.setattr(windowed_reader, "_WHOLE", 1000)
    for source in (data, tmp_path / "image"):
        check(source, expected)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_transparent_colour_is_composited_or_refused(kind: str, monkeypatch: pytest.MonkeyPatch):
    data = REFUSED[kind]
    expected = whole(data)
    assert (expected[5, 5] == 255).all() or kind == "2 bits"
    monkeypatch.setattr(windowed_reader, "_WHOLE", 1000)
    check(data, expected)
    monkeypatch.setattr(image_io, "MAX_PIXELS", 1000)
    with pytest.raises(DataError, match="with a transparent colour"), open_raster(data):
        pass


def test_a_packed_bitmap_is_decoded_whole_or_refused(monkeypatch: pytest.MonkeyPatch):
    data = encoded(picture(), "BMP")
    data = data[:28] + struct.pack("<H", 16) + data[30:]
    monkeypatch.setattr(windowed_reader, "_WHOLE", 1000)
    check(data, whole(data))
    monkeypatch.setattr(image_io, "MAX_PIXELS", 1000)
    with pytest.raises(DataError, match="packed or compressed"), open_raster(data):
        pass


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_what_a_cut_file_lacks_is_not_made_up(kind: str, monkeypatch: pytest.MonkeyPatch):
    data = encoded(picture(), kind)
    monkeypatch.setattr(windowed_reader, "_WHOLE", 1000)
    with open_raster(data[: len(data) // 2], "cut") as raster:
        for rows in ((0, 141), (100, 141)) if kind != "BMP" else ((0, 141), (0, 20)):  # whose last row is first
            with pytest.raises(DataError, match=rf"cut: rows {rows[0]} to {rows[1]}, columns 0 to 203"):
                raster.read(rows, (0, 203))


def test_an_array_is_read_as_it_is(monkeypatch: pytest.MonkeyPatch):
    pixels = np.asarray(picture())
    monkeypatch.setattr(image_io, "read", None)
    with open_raster(pixels) as raster:
        assert raster.name == "array 141x203x3"
        np.testing.assert_array_equal(raster.read((3, 9), (5, 99)), pixels[3:9, 5:99])


def test_too_large_is_told_from_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "image.png").write_bytes(WINDOWED["PNG"][:100])
    sources = [np.asarray(picture()), GREY, picture(), WINDOWED["JPEG"], tmp_path / "image.png"]
    assert not any(map(is_too_large, [*sources, b"no image"]))
    monkeypatch.setattr(image_io, "MAX_PIXELS", 1000)
    assert all(map(is_too_large, sources))


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DataError, match=r"nothing\.tif: there is no such file"), open_raster(tmp_path / "nothing.tif"):
        pass
    (tmp_path / "text.tif").write_text("no image")
    with pytest.raises(DataError, match=r"text\.tif: is not an image"), open_raster(tmp_path / "text.tif"):
        pass
    cut = tmp_path / "cut.tif"
    cut.write_bytes(encoded(picture(), compression="tiff_lzw")[:20000])
    with pytest.raises(DataError, match=r"cut\.tif"), open_raster(cut) as raster:
        raster.read((0, raster.height), (0, raster.width))
    monkeypatch.setattr(image_io, "MAX_PIXELS", 1000)
    floats = encoded(picture().convert("F"))
    with pytest.raises(DataError, match="203 x 141 pixels with samples of float32"), open_raster(floats, "floats.tif"):
        pass


@given(side=st.integers(1, 3000))
@settings(deadline=None, max_examples=examples(20))
def test_a_small_version_takes_every_nth_pixel(side: int):
    pixels = np.random.default_rng(side).integers(0, 255, (2500, 31, 3)).astype(np.uint8)  # read in several bands
    with open_raster(pixels) as raster:
        found = reduced(raster, side)
    step = -(-2500 // side)
    np.testing.assert_array_equal(found, pixels[::step, ::step])
    assert max(found.shape) <= max(side, 3)
