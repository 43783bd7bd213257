"""The one image path: decoding, orientation, transparency, size."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from drawings import draw_shape
from pipelines.images import preprocessing
from pipelines.images.preprocessing import ImageSpec


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def decode(data: bytes) -> np.ndarray:
    return decode_graph(tf.constant(data)).numpy()


# As in a saved model: in a graph, where every branch of every condition must agree in type.
decode_graph = tf.function(preprocessing.decode, input_signature=[tf.TensorSpec([], tf.string)])
orientation_graph = tf.function(preprocessing.exif_orientation, input_signature=[tf.TensorSpec([], tf.string)])
PICTURE = draw_shape("disc", 3, (18, 26))


def with_exif(orientation: int, byte_order: str, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif.endian = byte_order
    exif[0x010E] = "a picture"
    exif[0x0112] = orientation
    exif[0x0131] = "software"
    return encode(PICTURE, kind, exif=exif.tobytes())


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_as_pillow_applies_it(orientation: int, byte_order: str, kind: str):
    data = with_exif(orientation, byte_order, kind)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    found = decode(data)
    assert int(orientation_graph(data)) == orientation
    assert found.shape == expected.shape
    # Two JPEG decoders may round differently by a level.
    assert np.abs(found.astype(int) - expected).max() <= (1 if kind == "JPEG" else 0)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_none(orientation: int):
    assert int(orientation_graph(with_exif(orientation, "<"))) == 1


def test_orientation_behind_other_segments_is_found():
    data = with_exif(6, ">")
    comment = b"\xff\xfe" + (1000).to_bytes(2, "big") + bytes(998)
    assert int(orientation_graph(data[:2] + comment + b"\xff" + data[2:])) == 6


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n"]))
def test_orientation_of_any_bytes_is_legal(data: bytes, start: bytes):
    assert 1 <= int(orientation_graph(start + data)) <= 8


@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_orientation_of_damaged_exif_is_legal(place: int, damage: bytes):
    data = bytearray(with_exif(6, "<"))
    data[place : place + len(damage)] = damage
    assert 1 <= int(orientation_graph(bytes(data))) <= 8
    assert 1 <= int(orientation_graph(bytes(data[:place]))) <= 8


@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
def test_the_real_orientation_pictures_look_alike(shared_data, shape: str):
    folder = shared_data / "robustness" / "exif_orientation"
    pictures = [decode((folder / f"{shape}_{number}.jpg").read_bytes()).astype(float) for number in range(9)]
    for picture in pictures[1:]:
        assert picture.shape == pictures[0].shape
        # Each was compressed again after turning, which costs some levels; a wrong turn costs tens.
        assert np.abs(picture - pictures[0]).mean() < 8.0 < np.abs(picture[::-1] - pictures[0]).mean()


def test_transparency_shows_white():
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    rgba[0, 1] = (10, 20, 30, 0)
    rgba[0, 2] = (0, 0, 0, 128)
    found = decode(encode(Image.fromarray(rgba), "PNG"))
    assert found[0].tolist() == [[10, 20, 30], [255, 255, 255], [127, 127, 127]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_png_mode_is_read(mode: str):
    picture = PICTURE.quantize(16) if mode == "P" else PICTURE.convert(mode)
    expected = np.asarray(picture.convert("RGB"))
    assert np.array_equal(decode(encode(picture, "PNG")), expected)


def test_16_bit_samples_keep_their_high_byte():
    values = (np.arange(12, dtype=np.uint16).reshape(3, 4) << 8) + 255
    found = decode(encode(Image.fromarray(values), "PNG"))
    assert np.array_equal(found[..., 0], np.arange(12).reshape(3, 4))


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(decode(data), np.broadcast_to(np.uint8([255, 0, 0]), (4, 5, 3)))


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_raises(data: bytes):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(data)


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    target=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    how=st.sampled_from(["stretch", "pad", "crop"]),
    channels=st.sampled_from([1, 3]),
)
def test_any_image_is_brought_to_any_size(size, target, how, channels):
    spec = ImageSpec(*target, channels=channels, resize=how)
    picture = np.full((*size, 3), 200, np.uint8)
    found = preprocessing.prepare(picture, spec).numpy()
    assert found.shape == spec.shape
    assert found.dtype == np.uint8
    if how != "pad":
        assert np.all(found == 200)
    else:
        assert found.max() == 200


@pytest.mark.parametrize(("size", "part"), [((40, 10), (6, 10)), ((10, 40), (10, 17)), ((12, 20), (12, 20))])
def test_cropping_cuts_the_middle_to_the_proportions_of_an_input_that_is_no_square(
    size: tuple[int, int], part: tuple[int, int]
):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    top, left = ((whole - inner) // 2 for whole, inner in zip(size, part, strict=True))
    middle = picture[top : top + part[0], left : left + part[1]]
    given = preprocessing.prepare(picture, ImageSpec(12, 20, resize="crop")).numpy()
    assert np.array_equal(given, preprocessing.prepare(middle, ImageSpec(12, 20, resize="stretch")).numpy())


def test_padding_keeps_proportions_and_cropping_cuts_both_ends():
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, 10:20] = 255
    padded = preprocessing.prepare(picture, ImageSpec(30, 30, resize="pad")).numpy()
    assert padded[:10].max() == 0
    assert padded[20:].max() == 0
    assert padded[15, 15].tolist() == [255] * 3
    cropped = preprocessing.prepare(picture, ImageSpec(10, 10, resize="crop")).numpy()
    assert cropped.min() == 255


def test_an_image_of_the_right_size_is_not_touched():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    for how in ("stretch", "pad", "crop"):
        assert np.array_equal(preprocessing.prepare(pixels, ImageSpec(9, 7, resize=how)), pixels)


def test_a_batch_is_its_images():
    data = [encode(draw_shape("cross", seed, (20 + seed, 30)), "PNG") for seed in range(4)]
    spec = ImageSpec(12, 10)
    together = preprocessing.prepare_batch(tf.constant(data), spec).numpy()
    one_by_one = [preprocessing.prepare(preprocessing.decode(tf.constant(one)), spec).numpy() for one in data]
    assert np.array_equal(together, np.stack(one_by_one))
    assert preprocessing.prepare_batch(tf.constant([], tf.string), spec).shape == (0, 12, 10, 3)
