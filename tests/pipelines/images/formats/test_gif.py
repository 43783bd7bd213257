"""The first frame of a GIF, cut out of its bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from drawings import draw_shape
from pipelines.images import image_io, preprocessing
from pipelines.images.formats.gif import first_frame

FRAMES = [draw_shape("cross", number, (16, 21)).quantize(64 - number) for number in range(4)]


def encode(frames: list[Image.Image], **options: object) -> bytes:
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "options", [{}, {"transparency": 3}, {"disposal": 2, "loop": 0}, {"comment": b"!," * 300}], ids=str
)
def test_its_pixels_are_those_that_tensorflow_takes_of_the_whole(options: dict):
    data = encode(FRAMES, **options)
    cut = first_frame(data)
    assert len(cut) < len(data)
    assert Image.open(io.BytesIO(cut)).n_frames == 1
    assert np.array_equal(preprocessing.decode(tf.constant(cut)), preprocessing.decode(tf.constant(data)))
    assert image_io.read(data) == image_io.read(cut)


def test_one_frame_passes_untouched():
    data = encode(FRAMES[:1])
    assert first_frame(data) is data


@given(st.binary(max_size=60), st.integers(0, 1000))
@settings(deadline=None)
def test_what_is_damaged_is_left_to_the_decoder(noise: bytes, end: int):
    assert first_frame(b"GIF89a" + noise).startswith(b"GIF89a" + noise[:7])
    data = encode(FRAMES)
    whole = first_frame(data)
    cut = data[:end]
    assert first_frame(cut) == (whole if end >= len(whole) else cut)
