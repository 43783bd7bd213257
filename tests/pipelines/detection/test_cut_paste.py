"""Scenes of windows: pieces lie where the boxes say, and nothing else is an object."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.detection.crops import Scene
from pipelines.detection.cut_paste import Montage
from pipelines.images.boxes import Objects
from profiles import examples

GREY, BRIGHT = 60, 250


def window(size, level, channels=1, class_id=None) -> Scene:
    pixels = np.full((*size, channels), level, np.uint8)
    objects = Objects.of([], []) if class_id is None else Objects.of([[0, 0, size[1], size[0]]], [class_id])
    return Scene(pixels, objects)


@given(
    size=st.tuples(st.integers(40, 120), st.integers(40, 160)),
    shape=st.tuples(st.integers(9, 40), st.integers(9, 60)),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=examples(50))
def test_bright_is_where_the_boxes_are_and_nowhere_else(size, shape, channels, seed):
    bright = window(shape, BRIGHT, channels, class_id=1)
    drawn = Montage([bright, window((20, 30), GREY, channels)], size, flip=True).draw(
        bright, np.random.default_rng(seed)
    )
    assert drawn.pixels.shape == (*size, channels)
    assert drawn.pixels.dtype == np.uint8
    assert 1 <= len(drawn.objects) <= 4
    assert set(drawn.objects.class_ids) == {1}
    covered = np.zeros(size, bool)
    for left, top, right, bottom in drawn.objects.boxes.astype(int):
        assert (bottom - top, right - left) == shape
        middle = drawn.pixels[(top + bottom) // 2, (left + right) // 2]
        assert (middle == BRIGHT).all()
        covered[max(top, 0) : bottom, max(left, 0) : right] = True
    assert (drawn.pixels[~covered] == GREY).all()


@given(seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=examples(30))
def test_objects_leave_by_a_fifth_at_most_and_do_not_hide_each_others_middle(seed):
    bright = window((20, 40), BRIGHT, class_id=0)
    boxes = (
        Montage([bright, window((20, 40), GREY)], (80, 160), flip=False)
        .draw(bright, np.random.default_rng(seed))
        .objects.boxes
    )
    assert (boxes[:, :2] >= [-8, -4]).all()
    assert (boxes[:, 2:] <= [168, 84]).all()
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    for index, (x, y) in enumerate(middles):
        others = np.delete(boxes, index, axis=0)
        hidden = (others[:, 0] < x) & (x < others[:, 2]) & (others[:, 1] < y) & (y < others[:, 3])
        assert not hidden.any()


def test_the_same_dice_draw_the_same_scene():
    windows = [window((20, 40), BRIGHT, class_id=0), *(window((20, 40), level) for level in (10, 90, 170))]
    first, second, other = (
        Montage(windows, (60, 90), flip=True).draw(windows[0], np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.objects.boxes, second.objects.boxes)
    assert (first.pixels != other.pixels).any()


def test_a_background_alone_is_drawn_without_objects():
    ground = window((20, 40), 90)
    drawn = Montage([ground], (60, 90), flip=True).draw(ground, np.random.default_rng(0))
    assert len(drawn.objects) == 0
    assert (drawn.pixels == 90).all()


def test_without_backgrounds_the_ground_is_even():
    bright = window((20, 40), BRIGHT, class_id=0)
    drawn = Montage([bright], (60, 90), flip=True).draw(bright, np.random.default_rng(0))
    assert len(drawn.objects) >= 1
    assert (drawn.pixels == BRIGHT).all()


@pytest.mark.parametrize("size", [(10, 20), (30, 16)])
def test_an_object_that_hardly_fits_is_laid_all_the_same(size):
    bright = window((20, 40), BRIGHT, class_id=0)
    drawn = Montage([bright, window((20, 40), GREY)], size, flip=False).draw(bright, np.random.default_rng(1))
    assert len(drawn.objects) >= 1
    assert drawn.pixels.max() == BRIGHT
