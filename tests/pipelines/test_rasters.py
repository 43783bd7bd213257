"""Images read by windows have the pixels that they have when they are decoded whole."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from pipelines import images, intake
from pipelines.errors import DataError
from pipelines.rasters import open_raster, reduced


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
    return images.decode(tf.constant(intake.read(data))).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_of_a_tiff_has_the_pixels_of_the_whole(kind: str, tmp_path: Path):
    image, arguments = KINDS[kind]
    data = encoded(image, **arguments)
    (tmp_path / "image.tif").write_bytes(data)
    expected = whole(data)
    for source in (data, tmp_path / "image.tif"):
        with open_raster(source) as raster:
            assert (raster.height, raster.width) == expected.shape[:2]
            np.testing.assert_array_equal(raster.read((0, raster.height), (0, raster.width)), expected)
            np.testing.assert_array_equal(raster.read((13, 77), (5, 99)), expected[13:77, 5:99])


@given(
    rows=st.tuples(st.integers(0, 140), st.integers(1, 141)),
    columns=st.tuples(st.integers(0, 140), st.integers(1, 141)),
)
@settings(deadline=None, max_examples=40)
def test_any_window_of_a_turned_image(rows, columns):
    (top, bottom), (left, right) = sorted(rows), sorted(columns)
    bottom, right = max(bottom, top + 1), max(right, left + 1)
    data = encoded(picture(), **oriented(6))
    with open_raster(data) as raster:
        assert (raster.height, raster.width) == (203, 141)
        np.testing.assert_array_equal(raster.read((top, bottom), (left, right)), whole(data)[top:bottom, left:right])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_what_is_too_large_to_be_decoded_is_read_by_windows(kind: str, monkeypatch: pytest.MonkeyPatch):
    data = encoded(picture(), kind)
    expected = whole(data)
    monkeypatch.setattr(intake, "MAX_PIXELS", 1000)
    with open_raster(data) as raster:
        np.testing.assert_array_equal(raster.read((100, 141), (3, 200)), expected[100:141, 3:200])
        np.testing.assert_array_equal(raster.read((0, 20), (0, 203)), expected[:20])  # and back again


def test_a_turned_photograph_that_is_too_large_is_upright(monkeypatch: pytest.MonkeyPatch):
    tags = Image.Exif()
    tags[274] = 8
    data = encoded(picture(), "JPEG", exif=tags)
    expected = whole(data)
    monkeypatch.setattr(intake, "MAX_PIXELS", 1000)
    with open_raster(data) as raster:
        np.testing.assert_array_equal(raster.read((50, 120), (20, 90)), expected[50:120, 20:90])


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
    monkeypatch.setattr(intake, "MAX_PIXELS", 1000)
    floats = encoded(picture().convert("F"))
    with pytest.raises(DataError, match="203 x 141 pixels with samples of float32"), open_raster(floats, "floats.tif"):
        pass


@given(side=st.integers(1, 300))
@settings(deadline=None, max_examples=20)
def test_a_small_version_takes_every_nth_pixel(side: int):
    pixels = np.asarray(picture())
    with open_raster(pixels) as raster:
        found = reduced(raster, side)
    step = -(-203 // side)
    np.testing.assert_array_equal(found, pixels[::step, ::step])
    assert max(found.shape) <= max(side, 3)
