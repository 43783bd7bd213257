"""Pieces of an image: they cover it once, and what a network says of a piece is what it says of the whole."""

from __future__ import annotations

import itertools
import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.models import SEGMENTERS, find_segmenter
from pipelines.segmentation.tiling import Halo, halo_of, pieces, ramp

MULTIPLES = {"unet": 8, "fcn": 32, "dilated": 4, "aspp": 4}


@given(
    size=st.integers(1, 3000),
    scale=st.sampled_from([1.0, 0.5, 0.37, 1.6]),
    side=st.integers(1, 700),
    before=st.integers(0, 20),
    after=st.integers(0, 20),
    multiple=st.sampled_from([1, 2, 4, 8, 32]),
)
def test_pieces_cover_the_axis_once_and_read_what_the_halo_asks(size, scale, side, before, after, multiple):
    halo = Halo(before * multiple, after * multiple, multiple)
    scaled = max(round(size * scale), 1)
    found = pieces(size, scaled, side, halo)
    assert found[0].kept[0] == 0
    assert found[-1].kept[1] == size
    for piece in found:
        assert piece.window[0] % multiple == 0
        assert piece.window[1] % multiple == 0 or piece.window[1] == scaled
        assert piece.window[0] <= max(0, piece.kept[0] * scaled / size - halo.before)
        assert piece.window[1] >= min(scaled, piece.kept[1] * scaled / size + halo.after)
        assert piece.read[0] <= piece.window[0] * size / scaled
        assert piece.read[1] >= min(size, piece.window[1] * size / scaled)
        assert 0 <= piece.read[0] < piece.read[1] <= size
    for one, other in itertools.pairwise(found):
        assert one.kept[1] == other.kept[0]


@given(size=st.integers(1, 500), side=st.integers(20, 100), overlap=st.integers(1, 10))
def test_shares_of_blended_pieces_add_up_to_one(size, side, overlap):
    total = np.zeros(size)
    for piece in pieces(size, size, side, Halo(0, 0, 1), overlap):
        total[slice(*piece.kept)] += ramp(piece, size, overlap)
    np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize("name", SEGMENTERS)
@pytest.mark.parametrize("conv", ["standard", "tiled"])
def test_the_logits_of_a_piece_are_those_of_the_whole(name: str, conv: str):
    keras.utils.set_random_seed(0)
    multiple = MULTIPLES[name]
    model = find_segmenter(name)(1, 3, conv)
    halo = halo_of(model, multiple)
    assert not halo.blockers
    # Kernels of tiles of two alternate; all but fcn have them at their coarsest stride.
    assert halo.multiple == multiple * (2 if conv == "tiled" and name != "fcn" else 1)
    size = halo.before + halo.after + 4 * halo.multiple
    pixels = np.random.default_rng(0).uniform(0, 255, (1, size, 64, 1)).astype("float32")
    whole = np.asarray(model(pixels))
    stride = size // whole.shape[1]
    for piece in pieces(size, size, 2 * halo.multiple, halo):
        (first, end), (start, stop) = piece.kept, piece.window
        part = np.asarray(model(pixels[:, start:stop]))[:, (first - start) // stride : (end - start) // stride]
        np.testing.assert_allclose(part, whole[:, first // stride : end // stride], atol=1e-4)


@pytest.mark.parametrize("name", ["unet", "dilated"])
def test_a_smaller_halo_would_not_do(name: str):
    keras.utils.set_random_seed(0)
    multiple = MULTIPLES[name]
    model = find_segmenter(name)(1, 3)
    halo = halo_of(model, multiple)
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 4 * halo.before, 64, 1)).astype("float32")
    whole = np.asarray(model(pixels))
    stride = pixels.shape[1] // whole.shape[1]
    start = halo.before // 2 // multiple * multiple
    piece = np.asarray(model(pixels[:, start:]))
    row = halo.before // stride
    assert np.abs(piece[:, row - start // stride] - whole[:, row]).max() > 1e-4


def test_a_layer_that_sees_everything_is_named():
    pixels = keras.Input((None, None, 2))
    mean = keras.layers.GlobalAveragePooling2D(keepdims=True, name="mean")(pixels)
    model = keras.Model(pixels, keras.layers.Add(name="sum")([pixels, mean]))
    found = halo_of(model, 1)
    assert found.blockers == ("mean",)
    assert Halo.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert halo_of(find_segmenter("aspp")(1, 3, image_pooling=True), 4).blockers == ("image_mean",)


@settings(deadline=None)
@given(kernel=st.integers(1, 7), rate=st.integers(1, 3))
def test_the_halo_of_one_convolution(kernel, rate):
    layer = keras.layers.Conv2D(1, kernel, dilation_rate=rate, padding="same")
    found = halo_of(keras.Sequential([keras.Input((None, None, 1)), layer]), 1)
    extent = (kernel - 1) * rate
    assert (found.before, found.after) == (extent // 2 + 1, extent - extent // 2 + 1)
