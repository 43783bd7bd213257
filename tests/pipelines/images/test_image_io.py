"""Taking images in: every format to bytes that the graph decodes, and a reason for what is no image."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from drawings import draw_shape
from pipelines.core.errors import DataError
from pipelines.images import image_io, preprocessing

PICTURE = draw_shape("cross", 5, (16, 21))


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return preprocessing.decode(tf.constant(data)).numpy()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_what_tensorflow_decodes_passes_untouched(kind: str):
    data = encode(PICTURE, kind)
    assert image_io.read(data) == data


def png_with(chunk: bytes, after: bytes, filler: int = 0) -> bytes:
    """A PNG with a chunk before, or behind, its pixels, and with so many bytes of a comment before that."""

    def wrap(content: bytes) -> bytes:
        return (len(content) - 4).to_bytes(4, "big") + content + zlib.crc32(content).to_bytes(4, "big")

    data = encode(PICTURE, "PNG")
    place = data.index(after) - 4
    comment = wrap(b"tEXtcomment\0" + b"." * filler) if filler else b""
    return data[:place] + comment + wrap(chunk) + data[place:]


EXIF_6 = b"eXIfMM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


@pytest.mark.parametrize(("after", "filler"), [(b"IDAT", 0), (b"IDAT", 200_000), (b"IEND", 0), (b"IEND", 200_000)])
def test_a_png_is_turned_wherever_it_says_so(after: bytes, filler: int):
    data = png_with(EXIF_6, after, filler)
    assert np.array_equal(pixels(image_io.read(data)), np.rot90(np.asarray(PICTURE), -1))
    assert (image_io.read(data) == data) == (after == b"IDAT" and not filler)


def test_a_png_is_transparent_wherever_it_says_so():
    ink = bytes(part for value in PICTURE.getpixel((0, 0)) for part in (0, value))
    found = pixels(image_io.read(png_with(b"tRNS" + ink, b"IDAT", 200_000)))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert np.array_equal(found, pixels(image_io.read(png_with(b"tRNS" + ink, b"IDAT"))))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_lossless_webp_keeps_every_pixel(mode: str):
    picture = PICTURE.convert(mode)
    found = pixels(image_io.read(encode(picture, "WEBP", lossless=True)))
    assert np.array_equal(found, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["BMP", "TIFF"])
def test_bmp_and_tiff_of_every_depth(kind: str, mode: str):
    picture = PICTURE.quantize(16) if mode == "P" else PICTURE.convert(mode)
    found = pixels(image_io.read(encode(picture, kind)))
    assert np.array_equal(found, np.asarray(picture.convert("RGB")))


def test_16_bit_tiff_and_png_give_the_same_pixels():
    values = np.random.default_rng(1).integers(0, 65536, (6, 5), np.uint16)
    found = [pixels(image_io.read(encode(Image.fromarray(values), kind))) for kind in ("PNG", "TIFF")]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0][..., 0], values >> 8)


def test_orientation_of_re_encoded_formats_is_applied_once():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(PICTURE, "WEBP", lossless=True, exif=exif.tobytes())
    assert np.array_equal(pixels(image_io.read(data)), np.rot90(np.asarray(PICTURE), -1))


def test_cmyk_jpeg_is_read_in_colour():
    red = Image.new("RGB", (16, 16), "red").convert("CMYK")
    found = pixels(image_io.read(encode(red, "JPEG")))
    assert found[8, 8, 0] > 200
    assert found[8, 8, 1:].max() < 60


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (5, 6, 3), (5, 6, 4)])
def test_arrays_are_taken_as_they_are(shape: tuple[int, ...]):
    array = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
    if shape[-1] == 4:
        array[..., 3] = 255
    found = pixels(image_io.read(array))
    assert np.array_equal(found, np.broadcast_to(array.reshape(5, 6, -1)[..., :3], (5, 6, 3)))


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(3)]
)
def test_other_arrays_are_refused_with_what_was_expected(array: np.ndarray):
    with pytest.raises(DataError, match=r"expected uint8 of shape"):
        image_io.read(array)


def test_a_pillow_image_is_taken():
    assert np.array_equal(pixels(image_io.read(PICTURE)), np.asarray(PICTURE))


def test_bad_files_are_named_with_the_reason(tmp_path: Path):
    cases = {
        "empty.png": (b"", "the file is empty"),
        "text.jpg": (b"hello, I am no image", "is not an image"),
        "cut.webp": (encode(PICTURE, "WEBP")[:40], "image"),
        "cut.tif": (encode(PICTURE, "TIFF")[:60], "image"),
    }
    for name, (data, reason) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=f"{name}.*{reason}"):
            image_io.read(tmp_path / name)
    with pytest.raises(DataError, match=r"missing\.png: there is no such file"):
        image_io.read(tmp_path / "missing.png")
    with pytest.raises(DataError, match="is a folder"):
        image_io.read(tmp_path)
    with pytest.raises(DataError, match="received int"):
        image_io.read(7)  # type: ignore[arg-type]


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(image_io, "MAX_PIXELS", 100)
    with pytest.raises(DataError, match="21 x 16 pixels"):
        image_io.read(encode(PICTURE, "PNG"))


def test_pngsuite_is_read_or_refused(shared_data: Path):
    """Every colour type and depth; file names that begin with x are corrupt."""
    for path in sorted((shared_data / "robustness" / "pngsuite").rglob("*.png")):
        try:
            found = pixels(image_io.read(path))
        except (DataError, tf.errors.InvalidArgumentError):
            assert path.name.startswith("x"), path.name
            continue
        width, height = (int.from_bytes(path.read_bytes()[at : at + 4], "big") for at in (16, 20))
        assert found.shape == (height, width, 3)


def test_pictures_for_people_are_upright_and_small():
    exif = Image.Exif()
    exif[0x0112] = 6
    shown = image_io.open_rgb(encode(PICTURE, "JPEG", exif=exif.tobytes()), max_side=10)
    assert shown.mode == "RGB"
    assert max(shown.size) == 10
    assert shown.height > shown.width
