"""Crops: a box lies around the same pixels before and after; every window knows its answer; chance is repeatable."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.detection.crops import CropSpec, Scene, assign, crops, draw_view
from pipelines.detection.sliding_window import ScanSpec
from pipelines.images.boxes import Objects
from pipelines.training.random_views import sample

SCAN = ScanSpec(window=(24, 32), stride=4, channels=1, reference=(12.0, 12.0), scales=(1.0,))
SPEC = CropSpec(SCAN, cells=(9, 11), zoom=1.3, aspect=1.1, flip=True, turn=True, light=0.0)


def scene(boxes, size=(70, 90), class_ids=None, ignored=None) -> Scene:
    """A dark scene with a bright rectangle in every box."""
    pixels = np.zeros((*size, 1), np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = 200
    return Scene(pixels, Objects.of(boxes, class_ids or [0] * len(boxes), ignored))


def centres(spec: CropSpec):
    return (
        (np.arange(count) + 0.5) * 4 + (side - 4) / 2 for count, side in zip(spec.cells, spec.scan.window, strict=True)
    )


@given(st.integers(0, 10_000))
def test_what_is_inside_a_box_stays_inside_it(seed):
    one = scene([(30, 20, 52, 34)])
    view = draw_view(one, SPEC, np.random.default_rng(seed))
    labels, distances = assign(one, view, SPEC)
    pixels = next(crops_of(one, seed))
    y, x = centres(SPEC)
    for row, column in zip(*np.nonzero(labels), strict=True):
        left, top, right, bottom = distances[row, column] * [-1, -1, 1, 1] + np.tile([x[column], y[row]], 2)
        inner = pixels[
            max(0, round(top) + 2) : max(0, round(bottom) - 2), max(0, round(left) + 2) : max(0, round(right) - 2)
        ]
        assert (inner > 150).all()
    outside = pixels[
        (y[:, None] * np.ones_like(x))[labels == 0].astype(int), (x * np.ones((9, 1)))[labels == 0].astype(int)
    ]
    assert outside.shape[0] >= 9 * 11 - labels.astype(bool).sum()


def crops_of(one: Scene, seed: int):
    """The crop whose view the generator of this seed draws."""
    view = draw_view(one, SPEC, np.random.default_rng(seed))
    yield sample(one.pixels, view.astype("float32"), SPEC.size).numpy()[..., 0]


@given(st.integers(0, 10_000))
def test_every_object_in_the_field_is_some_windows_answer(seed):
    boxes = [(10, 10, 20, 22), (60, 40, 80, 50), (35, 30, 41, 36)]
    one = scene(boxes, class_ids=[0, 1, 2])
    view = draw_view(one, SPEC, np.random.default_rng(seed))
    labels, distances = assign(one, view, SPEC)
    assert (distances > 0).all()
    back = np.linalg.inv(view[:, :2])
    y, x = centres(SPEC)
    for class_id, box in enumerate(boxes):
        middle = back @ ((np.array(box[:2]) + box[2:]) / 2 - view[:, 2])
        inside = x[0] <= middle[0] <= x[-1] and y[0] <= middle[1] <= y[-1]
        assert (labels == class_id + 1).any() or not inside


def still(**changes) -> CropSpec:
    return dataclasses.replace(SPEC, zoom=1.0, aspect=1.0, flip=False, turn=False, **changes)


AS_IT_LIES = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def test_the_smaller_of_two_objects_is_in_front_and_ignored_ones_are_no_mistake():
    one = scene([(10, 4, 50, 44), (24, 20, 36, 28), (40, 30, 64, 50)], class_ids=[0, 1, 2], ignored=[0, 0, 1])
    labels, _ = assign(one, AS_IT_LIES, still())
    y, x = centres(SPEC)
    row, column = np.abs(y - 24).argmin(), np.abs(x - 30).argmin()
    assert labels[row, column] == 2
    assert set(np.unique(labels)) == {-1, 0, 1, 2}


def test_distances_are_to_the_sides_of_the_object():
    one = scene([(20, 16, 44, 32)])
    labels, distances = assign(one, AS_IT_LIES, still())
    y, x = centres(SPEC)
    for row, column in zip(*np.nonzero(labels), strict=True):
        expected = [x[column] - 20, y[row] - 16, 44 - x[column], 32 - y[row]]
        np.testing.assert_allclose(distances[row, column], expected)


def test_objects_of_another_level_are_no_mistake():
    one = scene([(10, 4, 58, 52), (62, 10, 70, 18)], class_ids=[0, 1])
    spec = still(levels=(1.0, 0.5), largest=20.0)
    labels, _ = assign(one, AS_IT_LIES, spec)
    assert set(np.unique(labels)) <= {-1, 0, 2}
    half = np.array([[2.0, 0.0, -20.0], [0.0, 2.0, -20.0]])
    labels, _ = assign(one, half, spec)
    assert 1 in labels


@pytest.mark.parametrize("training", [True, False])
def test_batches_are_a_pure_function_of_seed_and_step(training):
    scenes = [scene([(10 + i, 10, 30 + i, 30)], class_ids=[i % 2]) for i in range(7)]

    def batches(seed, start=0):
        found = crops(scenes, dataclasses.replace(SPEC, light=0.2), 3, seed, training=training, start=start)
        return list(found.take(4).as_numpy_iterator())

    first, again, other = batches(1), batches(1), batches(2)
    assert len(first) == (4 if training else 3)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1][0], b[1][0])
    assert any((a[0] != b[0]).any() for a, b in zip(first, other, strict=True))
    if training:
        later = batches(1, start=2)
        np.testing.assert_array_equal(later[0][0], first[2][0])
    pixels, (labels, distances), weights = first[0]
    assert pixels.shape == (3, *SPEC.size, 1)
    assert labels.shape == (3, *SPEC.cells)
    assert distances.shape == (3, *SPEC.cells, 4)
    assert weights.tolist() == [1, 1, 1]


def test_a_scene_smaller_than_the_window_is_continued_by_its_border():
    tiny = Scene(np.full((5, 6, 1), 77, np.uint8), Objects.of([], []))
    pixels, (labels, _), _ = next(iter(crops([tiny], SPEC, 1, 0, training=False).as_numpy_iterator()))
    np.testing.assert_allclose(pixels, 77)
    assert not labels.any()


def test_a_scene_that_is_put_together_is_seen_around_its_middle():
    spec = dataclasses.replace(SPEC, montage=True, zoom=1.0, aspect=1.0, flip=False, turn=False)
    height, width = spec.size
    given = [scene([(1, 1, 9, 9)])]

    def compose(one: Scene, dice: np.random.Generator) -> Scene:
        assert one is given[0]
        middle_x, middle_y = width // 2 + 10, height // 2 + 10
        return scene([(middle_x - 6, middle_y - 6, middle_x + 6, middle_y + 6)], size=(height + 20, width + 20))

    for training in (True, False):
        batch = next(iter(crops(given, spec, 1, 0, training=training, compose=compose).as_numpy_iterator()))
        pixels, (labels, _), _ = batch
        assert labels[0, 4, 5] == 1
        assert pixels[0, height // 2, width // 2, 0] == 200
        assert pixels[0, height // 2 - 8, width // 2 - 8, 0] == 0
