"""A convolution as its matrix, against SciPy and against the layer's answers for single inputs."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

import cnnapp
from cnnapp.playground.matrices import KINDS, draw_matrix, matrix_product
from layers.core.geometry import PADDING_MODES, PADDINGS


@given(
    rank=st.sampled_from([1, 2]),
    seed=st.integers(0, 999),
    size=st.integers(3, 6),
    length=st.integers(1, 3),
    kind=st.sampled_from(KINDS),
    strides=st.integers(1, 3),
    dilation_rate=st.integers(1, 2),
    padding=st.sampled_from(PADDINGS),
    padding_mode=st.sampled_from(PADDING_MODES),
    tile_shape=st.integers(1, 3),
    flip_kernel=st.booleans(),
)
def test_matrix_and_layer_agree_in_every_setting(rank: int, seed: int, size: int, length: int, **settings):
    kernel = np.random.default_rng(seed).integers(-3, 4, (length,) * rank).astype(float)
    try:
        found = matrix_product(kernel, (size,) * rank, **settings)
    except cnnapp.ConfigError:
        return
    assert found.difference == 0
    np.testing.assert_array_equal(found.matrix @ found.inputs, found.layer_output)
    assert found.matrix.shape == (np.prod(found.output_sizes), size**rank)
    assert np.count_nonzero(found.matrix) <= found.joined
    copies = {"plain": 1, "tiled": settings["tile_shape"] ** rank, "unshared": int(np.prod(found.output_sizes))}
    assert found.weights == copies[settings["kind"]] * kernel.size
    if settings["padding"] == "valid":
        assert found.joined == found.product.size * kernel.size


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("mode", ["valid", "full", "same"])
def test_the_answer_is_scipys(mode: str, flip: bool):
    kernel = np.array([[1.0, 2, 1], [0, 3, 0], [-1, -2, -4]])
    found = matrix_product(kernel, (5, 6), padding=mode, flip_kernel=flip)
    operation = signal.convolve2d if flip else signal.correlate2d
    expected = operation(found.inputs.reshape(5, 6), kernel, mode)
    np.testing.assert_array_equal(found.product.reshape(found.output_sizes), expected)


def test_rows_repeat_themselves_as_the_kernels_do():
    kernel = np.array([1.0, 2, -1])
    plain = matrix_product(kernel, (10,))
    assert plain.period == 1
    assert all(len(set(np.diag(plain.matrix, k))) == 1 for k in range(-7, 10))
    assert "a Toeplitz matrix" in plain.structure()
    image = matrix_product(np.ones((2, 2)), (4, 4))
    assert image.period == 1
    assert "doubly block Toeplitz" in image.structure()
    strided = matrix_product(kernel, (10,), strides=2)
    assert strided.period == 1
    assert strided.structure().endswith("moved along by the stride 2.")
    assert matrix_product(kernel, (10,), kind="tiled", tile_shape=3).period == 3
    assert "every 3 outputs" in matrix_product(kernel, (10,), kind="tiled", tile_shape=3).structure()
    assert matrix_product(kernel, (10,), kind="unshared").period is None
    mirrored = matrix_product(kernel, (10,), padding="same", padding_mode="reflect")
    assert mirrored.period is None
    assert mirrored.structure().startswith("No pattern of rows comes twice")
    assert matrix_product(kernel, (10,), padding="same").period == 1
    assert "one output" in matrix_product(kernel, (3,)).structure()


def test_sparsity_and_the_sum_of_a_row():
    found = matrix_product(np.array([1.0, 2, -1]), (8,))
    assert found.joined == 18
    assert found.share == 18 / 48
    left, right = found.written(2).replace("·", "*").replace("−", "-").split(" = ")
    assert eval(left) == float(right) == found.product[2]
    assert left.count("*") == 3
    assert found.input_grid().shape == (1, 8)
    assert matrix_product(np.ones((2, 2)), (3, 4)).input_grid().shape == (3, 4)


def test_a_small_matrix_is_drawn_with_its_numbers_and_a_large_one_without():
    small = matrix_product(np.array([1.0, 2, -1]), (8,))
    drawn = ElementTree.fromstring(draw_matrix(small, row=2))
    texts = [element.text for element in drawn if element.tag.endswith("text")]
    assert texts.count("2") == 6
    assert texts.count("0") == 48 - 18
    assert sum(element.get("fill") == "none" for element in drawn) == 1
    large = ElementTree.fromstring(draw_matrix(matrix_product(np.ones((3, 3)), (6, 6), padding="full")))
    assert not [element for element in large if element.tag.endswith("text")]


def test_what_does_not_fit_is_said():
    with pytest.raises(cnnapp.ConfigError, match=r"must not be larger than the padded input.*take a smaller kernel"):
        matrix_product(np.ones(5), (3,))
