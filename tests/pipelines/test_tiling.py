"""Pieces of an image: they cover it once, and what a network says of a piece is what it says of the whole."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.models import SEGMENTERS
from pipelines.tiling import Halo, halo_of, tiles

MULTIPLES = {"unet": 8, "fcn": 32, "dilated": 4, "aspp": 4}


@given(
    size=st.integers(1, 3000),
    side=st.integers(1, 700),
    before=st.integers(0, 20),
    after=st.integers(0, 20),
    multiple=st.sampled_from([1, 2, 4, 8, 32]),
)
def test_pieces_cover_the_axis_once_and_read_what_the_halo_asks(size, side, before, after, multiple):
    halo = Halo(before * multiple, after * multiple, multiple)
    found = list(tiles(size, side, halo))
    assert found[0].kept[0] == 0
    assert found[-1].kept[1] == size
    for tile in found:
        assert tile.read[0] % multiple == 0
        assert tile.read[0] == max(0, tile.kept[0] - halo.before)
        assert tile.read[1] == min(size, tile.kept[1] + halo.after)
        assert tile.kept[1] - tile.kept[0] <= -(-side // multiple) * multiple
    for one, other in itertools.pairwise(found):
        assert one.kept[1] == other.kept[0]


@pytest.mark.parametrize("name", SEGMENTERS)
def test_the_logits_of_a_piece_are_those_of_the_whole(name: str):
    keras.utils.set_random_seed(0)
    multiple = MULTIPLES[name]
    model = SEGMENTERS[name](1, 3)
    halo = halo_of(model, multiple)
    assert not halo.blockers
    size = halo.before + halo.after + 4 * multiple
    pixels = np.random.default_rng(0).uniform(0, 255, (1, size, 64, 1)).astype("float32")
    whole = np.asarray(model(pixels))
    stride = size // whole.shape[1]
    for tile in tiles(size, 2 * multiple, halo):
        (first, end), (start, stop) = tile.kept, tile.read
        piece = np.asarray(model(pixels[:, start:stop]))[:, (first - start) // stride : (end - start) // stride]
        np.testing.assert_allclose(piece, whole[:, first // stride : end // stride], atol=1e-4)


@pytest.mark.parametrize("name", ["unet", "dilated"])
def test_a_smaller_halo_would_not_do(name: str):
    keras.utils.set_random_seed(0)
    multiple = MULTIPLES[name]
    model = SEGMENTERS[name](1, 3)
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
    assert halo_of(model, 1).blockers[0] == "mean"
    assert isinstance(halo_of(model, 1), Halo)


@settings(deadline=None)
@given(kernel=st.integers(1, 7), rate=st.integers(1, 3))
def test_the_halo_of_one_convolution(kernel, rate):
    layer = keras.layers.Conv2D(1, kernel, dilation_rate=rate, padding="same")
    found = halo_of(keras.Sequential([keras.Input((None, None, 1)), layer]), 1)
    extent = (kernel - 1) * rate
    assert (found.before, found.after) == (extent // 2 + 1, extent - extent // 2 + 1)
