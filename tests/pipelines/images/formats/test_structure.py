"""Files whose decoding would take work without measure are refused before they are decoded, or made harmless."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from drawings import draw_shape
from hostile_files import within
from pipelines.core.errors import DataError, ImageTooLargeError
from pipelines.images import image_io, preprocessing
from pipelines.images.formats import portable_maps
from pipelines.images.formats.structure import chunks, refuse_unbounded, without_notes
from pipelines.images.windowed_reader import open_raster

PICTURE = draw_shape("cross", 5, (16, 21))


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def many_scans(count: int) -> bytes:
    """Write a progressive JPEG that repeats one of its scans, of a few bytes, again and again."""
    data = encode(PICTURE, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + data[-2:]


def with_chunks(*parts: tuple[bytes, bytes]) -> bytes:
    """Write a PNG with chunks before its pixels."""
    data = encode(PICTURE, "PNG")
    at = data.index(b"IDAT") - 4
    made = [
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    ]
    return data[:at] + b"".join(made) + data[at:]


def tiff(entries: list[tuple[int, int, int, int]]) -> bytes:
    """Write a TIFF of nothing but a directory: (tag, type, count, value) each."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)


GREY = [(256, 3, 1, 16), (257, 3, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
TILED = [*GREY, (322, 4, 1, 2**16), (323, 4, 1, 2**16), (324, 4, 1, 8), (325, 4, 1, 4)]
WAVELETS = b"\xffO\xffQ" + struct.pack(">HH8IH", 41, 0, 4096, 4096, 0, 0, 16, 16, 0, 0, 1) + bytes(20)

HOSTILE = {
    "JPEG of many scans": (many_scans(200), "has more than 100 scans, the most that are decoded"),
    "JPEG of fill bytes": (b"\xff\xd8" + b"\xff" * 300_000 + b"\xd9", "has more than 262,144 segments"),
    "JPEG of segments": (b"\xff\xd8" + b"\xff\xfe\0\2" * 300_000, "has more than 262,144 segments"),
    "PNG of chunks": (with_chunks(*[(b"IDAT", b"")] * 270_000), "has more than 262,144 chunks"),
    "TIFF of strips": (tiff([*GREY, (273, 4, 2**20, 8)]), "has more than 131,072 strips or tiles"),
    "TIFF of a huge tile": (tiff(TILED), "has tiles of 65,536 x 65,536 pixels"),
    "JPEG 2000 of tiles": (WAVELETS, "has more than 4,096 tiles"),
    "BMP of runs": (
        b"BM" + bytes(28) + b"\1" + bytes(2**25),
        "at most 33,554,432 bytes .* of a run-length encoded BMP",
    ),
    "JPEG of EXIF": (
        b"\xff\xd8" + (b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)) * 70,
        "has more than 4,194,304 bytes of EXIF",
    ),
    "GIF of blocks": (b"GIF89a" + bytes(7) + b"!\xfe" + b"\1x" * 2_200_000, "has more than 2,097,152 blocks"),
    "PPM of comments": (b"P5 #" + b"x" * 2**20, "has a header of more than 65,536 bytes"),
    "PPM of spaces": (b"P6" + b" " * 2**20, "has a header of more than 65,536 bytes"),
    "JPEG 2000 of boxes": (
        b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x08free" * 2000,
        "has more than 1,000 boxes",
    ),
    "ICO": (b"\0\0\1\0" + bytes(2**25), "bytes .* of an ICO are read"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_work_without_measure_is_refused_at_once(kind: str):
    data, said = HOSTILE[kind]
    with within(10):
        for refuse in (image_io.read, image_io.open_rgb, lambda given: image_io.open_stored(given, "a")):
            with pytest.raises(DataError, match=said):
                refuse(data)


@pytest.mark.parametrize("kind", ["JPEG of many scans", "TIFF of a huge tile"])
def test_nor_is_it_read_in_tiles(kind: str):
    data, said = HOSTILE[kind]
    with pytest.raises(DataError, match=said), open_raster(data, "a"):
        pass


def test_as_many_scans_as_encoders_write_are_decoded():
    assert image_io.read(many_scans(60)) == many_scans(60)
    refuse_unbounded(encode(PICTURE, "JPEG", progressive=True, restart_marker_blocks=1), "a")


def test_texts_of_a_png_that_unpack_to_gigabytes_are_left_out():
    """TensorFlow's decoder unpacks each to 8 MB, and keeps a thousand of them."""
    text = b"k\0\0" + zlib.compress(bytes(8_000_000), 9)
    data = with_chunks(*[(b"zTXt", text)] * 20, (b"iCCP", text))
    tidy = image_io.read(data)
    assert [kind for kind, _, _ in chunks(tidy)] == [b"IHDR", b"IDAT", b"IEND"]
    assert np.array_equal(preprocessing.decode(tf.constant(tidy)).numpy(), np.asarray(PICTURE))
    # A single one that only some readers mind is left out as well.
    once = with_chunks((b"zTXt", text))
    assert np.array_equal(preprocessing.decode(tf.constant(image_io.read(once))).numpy(), np.asarray(PICTURE))


def test_a_png_of_usual_texts_passes_untouched_and_a_damaged_one_is_left_out():
    data = with_chunks((b"tEXt", b"Software\0cnnapp"))
    assert without_notes(data) is data
    spoilt = data.replace(b"cnnapp", b"cnnapq")
    assert len(without_notes(spoilt)) < len(spoilt)
    assert np.array_equal(preprocessing.decode(tf.constant(image_io.read(spoilt))).numpy(), np.asarray(PICTURE))


def test_a_png_whose_pixels_have_a_wrong_checksum_is_damaged_for_all():
    data = bytearray(encode(PICTURE, "PNG"))
    data[data.index(b"IEND") - 6] ^= 1
    for refuse in (image_io.read, image_io.open_rgb):
        with pytest.raises(DataError, match="the image is damaged: the checksum of its IDAT is wrong"):
            refuse(bytes(data))


def test_comments_of_a_gif_are_left_out():
    data = encode(PICTURE.quantize(8), "GIF")
    at = 13 + 3 * 2 ** (data[10] % 8 + 1)
    comments = b"!\xfe" + (b"\xff" + b"x" * 255) * 40_000 + b"\0"
    with within(20):
        tidy = image_io.read(data[:at] + comments + data[at:])
    assert tidy == image_io.read(data)
    assert np.array_equal(np.asarray(image_io.open_rgb(tidy)), np.asarray(image_io.open_rgb(data)))


@pytest.mark.parametrize(("kind", "format"), [("JPEG2000", "JPEG2000"), ("text", "PPM"), ("runs", "BMP")])
def test_formats_that_are_slow_have_a_smaller_limit(kind: str, format: str):
    side = 4100
    if kind == "text":
        data = b"P2 %d %d 255 " % (side, side)
    elif kind == "runs":
        header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 0, 0, 0, 2, 0) + bytes(8)
        data = b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(header)) + header + bytes(100)
    else:
        data = encode(PICTURE, kind)
        at = data.index(b"\xffO\xffQ")
        data = data[: at + 8] + struct.pack(">6I", side, side, 0, 0, side, side) + data[at + 32 :]
        box = data.index(b"ihdr")
        data = data[: box + 4] + struct.pack(">II", side, side) + data[box + 12 :]
    said = f"4100 x 4100 pixels; at most 16,777,216 of {format} are decoded, which takes long; save it as PNG or TIFF"
    with within(10), pytest.raises(ImageTooLargeError, match=re.escape(said)):
        image_io.read(data)


def test_more_bytes_than_are_read_of_an_image_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path):
    from pipelines.intake.limits import Limits

    monkeypatch.setattr(image_io, "LIMITS", Limits(image_bytes=100))
    (tmp_path / "a.png").write_bytes(encode(PICTURE, "PNG"))
    for source in (tmp_path / "a.png", encode(PICTURE, "PNG")):
        with pytest.raises(DataError, match=r"has [\d,]+ bytes; at most 100 bytes of an image are read"):
            image_io.read(source)


def test_pictures_and_arrays_have_the_same_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(image_io, "MAX_PIXELS", 100)
    for source in (PICTURE, np.asarray(PICTURE), encode(PICTURE, "PNG")):
        with pytest.raises(ImageTooLargeError, match="21 x 16 pixels; at most 100 are decoded at once"):
            image_io.read(source)


# === Portable maps ===

MAPS = [
    b"P1 3 2 1 0 1 0 1 0",
    b"P1 3 2\n101010",
    b"P1 # c\n3 2 # d\n1 0#e\n1 0 1 0",
    b"P2 3 2 3 0 1 2 3 0 1",
    b"P2 3 2 255 0 1 2 255 0 1",
    b"P2 3 2 1000 0 1 999 1000 500 1",
    b"P2 3 2 65535 0 1 999 65535 500 1",
    b"P3 1 2 100 0 50 100\n# c\n1 2 3",
    b"P5 3 2 100 " + bytes([0, 1, 50, 99, 100, 200]),
    b"P5 3 2 1000 " + bytes([0, 1, 0, 200, 3, 232, 9, 9, 2, 2, 1, 1]),
    b"P6 1 2 15 " + bytes([0, 1, 15, 3, 7, 8]),
    b"P6 1 2 65535 " + bytes(range(12)),
]


@pytest.mark.parametrize("data", MAPS, ids=lambda data: data[:12])
def test_portable_maps_have_the_pixels_that_pillow_gives(data: bytes):
    image = Image.open(io.BytesIO(data))
    if portable_maps.is_slow(image):
        found = portable_maps.decode(image, data)
        slow = Image.open(io.BytesIO(data))
        assert found.mode == slow.mode
        assert np.array_equal(np.asarray(found), np.asarray(slow))
    image_io.read(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"P2 3 2 3 0 1", "smaller|samples"),
        (b"P2 3 2 3 ", "ends after 0 of 6 samples"),
        (b"P2 3 2 3 0 1 2 3 4 1", "holds 4, which is more than 3"),
        (b"P2 3 2 3 0 1 2 x 0 1", "something else than numbers"),
        (b"P1 3 2 1 0 2 0 1 0", "something else than 0 and 1"),
        (b"P5 3 2 100 abc", "ends after 3 of 6 samples"),
        (b"P2 3 2 3 0 1 2 -1 0 1", "something else than numbers"),
        (b"P2 3 2 3 " + b"9" * 10_000 + b" 1 1 1 1 1", "more than 3|samples"),
    ],
)
def test_a_damaged_map_is_named(data: bytes, said: str):
    with pytest.raises(DataError, match=f"the image is damaged: .*({said})"):
        image_io.read(data)


def test_a_map_of_nothing_but_comments_takes_no_longer():
    """Pillow goes over all that is left for each of them."""
    with within(20), pytest.raises(DataError, match="ends after 0 of 256 samples"):
        image_io.read(b"P2 16 16 255\n" + b"#\n" * 2**20)
