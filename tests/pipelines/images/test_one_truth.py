"""The pixels that a network is given are those that people are shown, of every format and mode."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from drawings import draw_shape
from pipelines.core.errors import DataError
from pipelines.images import image_io, preprocessing
from pipelines.images.formats.orientation import HEADER_BYTES, find_orientation

PICTURE = draw_shape("disc", 4, (19, 27))
SHARE = Image.linear_gradient("L").resize(PICTURE.size)


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def seen(data: bytes) -> np.ndarray:
    """Give the pixels of the network, which must be those of the page."""
    given = preprocessing.decode(tf.constant(image_io.read(data))).numpy()
    shown = np.asarray(image_io.open_rgb(data))
    assert np.array_equal(given, shown)
    return shown


def over_white(picture: Image.Image) -> np.ndarray:
    rgba = np.asarray(picture.convert("RGBA")).astype(np.float64)
    share = rgba[..., 3:] / 255
    return rgba[..., :3] * share + 255 * (1 - share)


def rgba() -> Image.Image:
    picture = PICTURE.copy()
    picture.putalpha(SHARE)
    return picture


def deep(mode: str) -> Image.Image:
    values = np.asarray(PICTURE.convert("L")).astype(np.int64) * 257
    if mode == "F":
        return Image.fromarray((values / 257).astype(np.float32))
    return Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.int32))


MODES = {
    "1": lambda: PICTURE.convert("1"),
    "L": lambda: PICTURE.convert("L"),
    "LA": lambda: rgba().convert("LA"),
    "P": lambda: PICTURE.quantize(17),
    "P, 3 colours": lambda: PICTURE.quantize(3),
    "RGB": lambda: PICTURE,
    "RGBA": rgba,
    "CMYK": lambda: PICTURE.convert("CMYK"),
    "YCbCr": lambda: PICTURE.convert("YCbCr"),
    "I;16": lambda: deep("I;16"),
    "I": lambda: deep("I"),
    "F": lambda: deep("F"),
}
KINDS = ("PNG", "JPEG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "TGA", "JPEG2000", "ICO", "MPO")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_every_format_is_seen_as_it_is_shown(mode: str, kind: str):
    picture = MODES[mode]()
    try:
        data = encode(picture, kind, **({"lossless": True} if kind == "WEBP" else {}))
    except (OSError, ValueError, KeyError):
        return  # This format has no such mode.
    pixels = seen(data)
    if kind != "ICO":  # whose sides are those of icons
        assert pixels.shape == (*PICTURE.size[::-1], 3)
    if mode in ("L", "P", "RGB", "RGBA", "1") and kind in ("PNG", "BMP", "WEBP", "TIFF", "TGA"):
        stored = Image.open(io.BytesIO(data))
        assert np.abs(pixels - over_white(stored)).max() <= 1


# === PNG ===


def png(depth: int, colour: int, rows: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """Write a PNG of packed rows, with chunks before its pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    width = rows.shape[1] * 8 // depth // channels
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_of_every_depth(depth: int):
    rows = np.random.default_rng(depth).integers(0, 256, (8, 8), np.uint8)
    rows[:, :2] = rows[0, 0]
    bits = np.unpackbits(rows, axis=1).reshape(8, -1, depth)
    values = (bits * 2 ** np.arange(depth)[::-1]).sum(axis=-1)
    data = png(depth, 0, rows, (b"tRNS", struct.pack(">H", int(values[0, 0]))))
    levels = values >> 8 if depth == 16 else values * (255 // (2**depth - 1))
    expected = np.where(values == values[0, 0], 255, levels)
    assert np.array_equal(seen(data), np.repeat(expected[..., None], 3, -1))
    # On its own the graph sees the same: this is what clients of the bare model get.
    assert np.array_equal(preprocessing.decode(tf.constant(data)).numpy(), seen(data))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("beyond", [0, 1])
def test_a_transparent_colour_is_compared_in_its_own_depth(depth: int, beyond: int):
    """Two colours of 16 bits that look the same are not; of 8 bits what is stated above them does not count."""
    step = depth // 8
    rows = np.random.default_rng(1).integers(0, 256, (6, 5 * 3 * step), np.uint8)
    rows[1] = rows[0]
    rows[1, step - 1] ^= beyond
    colour = [int.from_bytes(rows[0, at * step : (at + 1) * step].tobytes(), "big") for at in range(3)]
    stated = [value | (beyond << 8 if depth == 8 else 0) for value in colour]
    data = png(depth, 2, rows, (b"tRNS", struct.pack(">3H", *stated)))
    pixels = seen(data)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert (pixels[1, 0].tolist() == [255, 255, 255]) == (not beyond)
    assert np.array_equal(preprocessing.decode(tf.constant(data)).numpy(), pixels)


@pytest.mark.parametrize("shares", [b"\0", b"\xff\0\x80", bytes(range(0, 256, 51))])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_palette_with_transparent_entries(depth: int, shares: bytes):
    colours = np.random.default_rng(2).integers(0, 256, (2**depth, 3), np.uint8).tobytes()
    rows = np.random.default_rng(3).integers(0, 256, (8, 8), np.uint8)
    seen(png(depth, 3, rows, (b"PLTE", colours), (b"tRNS", shares[: 2**depth])))


@pytest.mark.parametrize(
    ("colour", "chunk"), [(6, bytes(6)), (2, bytes(2)), (0, bytes(6)), (0, b""), (4, bytes(2)), (2, bytes(600))]
)
def test_a_transparent_colour_that_no_reader_may_use(colour: int, chunk: bytes):
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    rows = np.random.default_rng(4).integers(0, 256, (6, 4 * channels), np.uint8)
    seen(png(8, colour, rows, (b"tRNS", chunk)))


def test_an_animated_png_is_its_first_frame():
    frames = [PICTURE, draw_shape("cross", 1, (19, 27))]
    data = encode(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=False, blend=1)
    assert np.array_equal(seen(data), np.asarray(frames[0]))
    assert len(image_io.read(data)) < len(data)


# === GIF ===


def gif(
    screen: tuple[int, int],
    frame: tuple[int, int, int, int],
    flags: int = 0xF0,
    control: bytes = b"",
    local: bool = False,
    background: int = 0,
    interlaced: bool = False,
) -> bytes:
    """Write a GIF of two colours and a frame somewhere on its screen: its pixels alternate."""
    table = bytes([200, 0, 0, 0, 0, 200])
    left, top, width, height = frame
    count = width * height
    # Codes of 3 bits, with a clear code so often that they never grow.
    codes = [code for at in range(count) for code in ((4, at % 2) if at % 2 == 0 else (at % 2,))] + [5]
    bits = "".join(format(code, "03b")[::-1] for code in codes)
    packed = bytes(int(bits[at : at + 8][::-1].ljust(0) or "0", 2) for at in range(0, len(bits), 8))
    blocks = b"".join(bytes([len(packed[at : at + 255])]) + packed[at : at + 255] for at in range(0, len(packed), 255))
    descriptor = b"," + struct.pack("<4HB", left, top, width, height, (0x80 if local else 0) | (interlaced << 6))
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, flags, background, 0) + (table if flags & 0x80 else b"")
    return head + control + descriptor + (table[::-1] if local else b"") + b"\2" + blocks + b"\0;"


def control(transparent: int | None, disposal: int = 0) -> bytes:
    return b"!\xf9\4" + bytes([disposal << 2 | (transparent is not None), 0, 0, transparent or 0]) + b"\0"


@pytest.mark.parametrize("transparent", [None, 0, 1, 200])
@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
@pytest.mark.parametrize("frame", [(0, 0, 8, 6), (2, 1, 4, 3), (0, 0, 4, 6)])
def test_a_frame_that_is_transparent_or_smaller_than_its_screen(
    frame: tuple[int, int, int, int], disposal: int, transparent: int | None
):
    pixels = seen(gif((8, 6), frame, control=control(transparent, disposal)))
    left, top, width, height = frame
    covered = np.zeros((6, 8), bool)
    covered[top : top + height, left : left + width] = True
    assert (pixels[~covered] == 255).all()
    colours = [[200, 0, 0], [0, 0, 200]]
    if transparent in (0, 1):
        colours[transparent] = [255, 255, 255]
    assert pixels[top, left].tolist() == colours[0]
    assert pixels[top, left + 1].tolist() == colours[1]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("background", [0, 1, 255])
@pytest.mark.parametrize(("flags", "local"), [(0xF0, False), (0xF0, True), (0x70, True), (0x70, False)])
def test_tables_of_colours_background_and_rows_in_another_order(
    flags: int, local: bool, background: int, interlaced: bool
):
    pixels = seen(gif((8, 6), (0, 0, 8, 6), flags, local=local, background=background, interlaced=interlaced))
    if local:
        assert pixels[0, 0].tolist() == [200, 0, 0]
    seen(gif((8, 6), (1, 1, 3, 3), flags, local=local, background=background, interlaced=interlaced))


def test_a_frame_that_reaches_out_of_its_screen():
    seen(gif((8, 6), (4, 3, 8, 6)))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_an_animated_gif_or_webp_is_its_first_frame(mode: str):
    frames = [draw_shape("cross", number, (16, 21)) for number in range(3)]
    for frame in frames:
        frame.putalpha(SHARE.resize(frame.size).point(lambda value: 255 if value > 90 else 0))
    frames = [frame.convert(mode) for frame in frames]
    for kind in ("GIF", "WEBP"):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, lossless=True)
        assert np.array_equal(seen(data), seen(encode(frames[0], kind, lossless=True)))


@pytest.mark.parametrize("left_out", [1, 2])
def test_a_gif_without_its_last_bytes(left_out: int):
    data = gif((8, 6), (0, 0, 8, 6))
    assert np.array_equal(seen(data[:-left_out]), seen(data))


def test_every_real_gif_that_can_be_shown(shared_data: Path):
    shown = 0
    for path in sorted((shared_data / "robustness").rglob("*.gif")):
        try:
            image_io.open_rgb(path.read_bytes())
        except DataError:
            continue
        seen(path.read_bytes())
        shown += 1
    assert shown > 20


# === BMP, JPEG, orientation ===


def test_bmp_with_an_older_header_or_with_more_behind_its_pixels():
    data = encode(PICTURE, "BMP")
    assert np.array_equal(seen(data + b"profile"), seen(data))
    pixels = data[54:]
    core = struct.pack("<IHHHH", 12, *PICTURE.size, 1, 24)
    older = b"BM" + struct.pack("<IHHI", 26 + len(pixels), 0, 0, 26) + core + pixels
    # What the newer header has in this place is taken for the depth.
    for spoilt in (older, older[:28] + b"\x18\0" + older[30:]):
        assert np.array_equal(seen(spoilt)[:-1], seen(data)[:-1])


@pytest.mark.parametrize("inverted", [False, True])
def test_cmyk_jpeg_is_seen_in_the_colours_that_are_shown(inverted: bool):
    data = encode(PICTURE.convert("CMYK"), "JPEG", quality=95)
    if inverted:  # as without Adobe's marker
        at = data.index(b"\xff\xee")
        data = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]
    seen(data)


@given(st.integers(0, 9), st.sampled_from(["MM", "II"]), st.data())
@settings(deadline=None)
def test_an_orientation_is_found_where_the_graph_finds_it(value: int, order: str, data: st.DataObject):
    """Also of a header that is damaged anywhere."""
    exif = Image.Exif()
    exif.endian = ">" if order == "MM" else "<"
    exif[0x0112] = value
    exif[0x010F] = "maker"
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF"]))
    encoded = bytearray(encode(PICTURE, kind, exif=exif.tobytes()) if kind != "GIF" else encode(PICTURE, kind))
    for _ in range(data.draw(st.integers(0, 3))):
        encoded[data.draw(st.integers(0, min(200, len(encoded) - 1)))] = data.draw(st.integers(0, 255))
    graph = int(preprocessing.exif_orientation(tf.constant(bytes(encoded))))
    assert find_orientation(bytes(encoded)).orientation == graph


def test_an_orientation_that_only_some_readers_know_turns_nothing():
    """Pillow also looks into XMP."""
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    data = encode(PICTURE, "JPEG")
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp + data[2:]
    assert seen(data).shape == (19, 27, 3)


@pytest.mark.parametrize("filler", [b"\xff" * HEADER_BYTES, b"\xff\xfe\0\2" * 30_000])
def test_a_header_that_the_graph_would_walk_for_long_is_written_anew(filler: bytes):
    data = encode(PICTURE, "JPEG")
    long = data[:2] + filler + data[2:]
    assert find_orientation(long).steps > 1000
    assert image_io.read(long).startswith(b"\x89PNG")
    assert np.array_equal(seen(long), seen(data))


def test_real_files_are_seen_as_they_are_shown(shared_data: Path):
    """A sample of files that were made to be hard to read; tests/reliability reads all."""
    from pipelines.core.errors import DataError

    for path in sorted((shared_data / "robustness").rglob("*"))[::9]:
        if path.is_file():
            try:
                data = image_io.read(path)
                shown = np.asarray(image_io.open_rgb(data))
                given = preprocessing.decode(tf.constant(data)).numpy()
            except (DataError, tf.errors.InvalidArgumentError):
                continue
            assert np.array_equal(given, shown), path.name
