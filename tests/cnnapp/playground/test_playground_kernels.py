"""Kernels on images, against SciPy; the sum behind a pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import cnnapp
from cnnapp.playground import images, kernels


@given(
    seed=st.integers(0, 999),
    height=st.integers(4, 12),
    width=st.integers(4, 12),
    size=st.sampled_from(kernels.SIZES),
    flip=st.booleans(),
)
def test_an_image_is_filtered_as_scipy_does(seed: int, height: int, width: int, size: int, flip: bool):
    dice = np.random.default_rng(seed)
    image = dice.integers(0, 256, (height, width)).astype(float)
    weights = dice.integers(-4, 5, (size, size)).astype(float)
    reference = (ndimage.convolve if flip else ndimage.correlate)(image, weights, mode="mirror")
    answer = kernels.filtered(image, weights, flip)
    np.testing.assert_array_equal(answer, reference)
    row, column = int(dice.integers(height)), int(dice.integers(width))
    pixel = kernels.pixel_sum(image, weights, row, column, flip)
    assert pixel.total == reference[row, column]
    assert pixel.products.sum() == pixel.total
    top, left, bottom, right = pixel.box
    assert (bottom - top, right - left) == (size, size)
    assert ((top + bottom - 1) / 2, (left + right - 1) / 2) == (row, column)
    if min(top, left) >= 0 and bottom <= height and right <= width:
        np.testing.assert_array_equal(pixel.patch, image[top:bottom, left:right])


@pytest.mark.parametrize("name", kernels.NAMES)
def test_a_kernel_stands_in_the_middle_of_every_size_that_holds_it(name: str):
    from layers.convolutional.filter_bank import FILTER_NAMES, filter_kernel

    sizes = kernels.sizes_for(name)
    assert sizes
    for size in sizes:
        placed = kernels.kernel(name, size)
        assert placed.shape == (size, size)
        if name in FILTER_NAMES:
            plain = filter_kernel(name)
            assert placed.sum() == pytest.approx(plain.sum())
            assert np.count_nonzero(placed) == np.count_nonzero(plain)
    for size in set(kernels.SIZES) - set(sizes):
        with pytest.raises(cnnapp.ConfigError, match="must fit into the kernel"):
            kernels.kernel(name, size)


@given(st.lists(st.integers(-5, 5), min_size=9, max_size=9))
def test_a_normalised_kernel_keeps_brightness_or_its_range(numbers: list[int]):
    weights = np.array(numbers, float).reshape(3, 3)
    done = kernels.normalised(weights)
    if not weights.any():
        assert not done.any()
    elif sum(numbers):
        assert done.sum() == pytest.approx(1)
        assert not kernels.adds_to_zero(weights)
    else:
        assert kernels.adds_to_zero(weights)
        assert done[done > 0].sum() == pytest.approx(1)
        assert done[done < 0].sum() == pytest.approx(-1)
    if weights.any():
        ratio = done[weights != 0] / weights[weights != 0]
        np.testing.assert_allclose(ratio, ratio[0])


def test_the_sum_is_written_with_the_numbers_that_count():
    image = np.arange(25.0).reshape(5, 5)
    pixel = kernels.pixel_sum(image, kernels.kernel("sobel_x", 3), 2, 2)
    text = pixel.written().replace("·", "*").replace("−", "-")
    left, right = text.split(" = ")
    assert eval(left) == float(right) == pixel.total == 8
    assert text.count("*") == 6


def test_what_cannot_be_filtered_is_said():
    with pytest.raises(cnnapp.ConfigError, match="reflect"):
        kernels.filtered(np.zeros((2, 2)), kernels.kernel("box_blur", 7))
    with pytest.raises(cnnapp.ConfigError, match="finite numbers"):
        kernels.filtered(np.zeros((9, 9)), np.full((3, 3), np.nan))


@pytest.mark.parametrize("name", images.EXAMPLES)
def test_an_example_is_grey_levels_of_a_small_image(name: str):
    image = images.example(name)
    assert image.dtype == np.float32
    assert 64 <= max(image.shape) <= images.SIDE
    assert image.min() >= 0
    assert image.max() <= 255
    assert np.ptp(image) > 100
    assert max(images.example(name, side=50).shape) == 50


def test_ones_own_image_is_made_grey_and_small():
    picture = np.zeros((300, 600, 3), np.uint8)
    picture[..., 1] = 255
    image = images.grey(picture)
    assert image.shape == (96, 192)
    assert np.unique(image).tolist() == [150]  # the luma of green in ITU-R 601
    with pytest.raises(cnnapp.DataError, match=r"notes\.txt"):
        images.grey(b"no image", name="notes.txt")
