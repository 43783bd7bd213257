"""The embedded scenes: always the same, honest about the split, and true to their boxes and masks."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipelines.data import SPLIT_NAMES, detection
from pipelines.data.embedded import scenes
from pipelines.images.boxes import overlaps

PARTS = st.sampled_from(SPLIT_NAMES)
NUMBERS = st.integers(0, 5000)


@given(PARTS, NUMBERS)
def test_a_scene_is_always_the_same(part: str, number: int):
    one, again = (scenes.scene(0, part, number) for _ in range(2))
    np.testing.assert_array_equal(one.image, again.image)
    np.testing.assert_array_equal(one.mask, again.mask)
    np.testing.assert_array_equal(one.objects.boxes, again.objects.boxes)


def test_no_two_scenes_are_the_same():
    seen = {scenes.scene(seed, part, n).image.tobytes() for seed in (0, 1) for part in SPLIT_NAMES for n in range(40)}
    assert len(seen) == 2 * 3 * 40


def test_scenes_look_on_every_machine_as_they_did_on_the_first():
    digest = hashlib.sha256()
    for number in range(20):
        drawn = scenes.scene(0, "train", number)
        digest.update(drawn.image.tobytes() + drawn.mask.tobytes() + drawn.objects.boxes.astype("<f4").tobytes())
    assert digest.hexdigest()[:16] == "9dbcd87a73f95ca0"


@given(PARTS, NUMBERS)
def test_digits_lie_inside_and_all_but_apart(part: str, number: int):
    drawn = scenes.scene(0, part, number)
    height, width = drawn.image.shape
    boxes = drawn.objects.boxes
    assert 1 <= len(boxes) <= 6
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= width).all()
    assert (boxes[:, 3] <= height).all()
    heights = boxes[:, 3] - boxes[:, 1]
    assert (heights >= 12).all()
    assert (heights <= 50).all()
    assert (overlaps(boxes, boxes) - np.eye(len(boxes)) < 0.1).all()


@given(PARTS, NUMBERS)
def test_boxes_are_tight_around_the_mask_of_their_digit(part: str, number: int):
    drawn = scenes.scene(0, part, number)
    covered = np.zeros(drawn.mask.shape, bool)
    for box, label in zip(drawn.objects.boxes.astype(int), drawn.objects.class_ids, strict=True):
        left, top, right, bottom = box
        covered[top:bottom, left:right] = True
        alone = (overlaps(box[None], drawn.objects.boxes) > 0).sum() == 1
        rows, columns = np.nonzero(drawn.mask[top:bottom, left:right] == label + 1)
        assert len(rows)
        if alone:
            assert (rows.min(), columns.min()) == (0, 0)
            assert (rows.max() + 1, columns.max() + 1) == (bottom - top, right - left)
    assert not drawn.mask[~covered].any()
    assert set(np.unique(drawn.mask)) - {0} <= set((drawn.objects.class_ids + 1).tolist())


def test_no_digit_is_in_the_scenes_of_two_parts():
    shown = {part: {digit.tobytes() for digit in scenes._digits(0)[part][0]} for part in SPLIT_NAMES}
    assert sum(map(len, shown.values())) > 1700
    for part in SPLIT_NAMES:
        assert not any(shown[part] & shown[other] for other in SPLIT_NAMES if other != part)


def test_the_source_gives_the_scenes_as_images():
    splits = detection.load("scenes")
    assert splits.classes == tuple("0123456789")
    assert [splits[part].size for part in SPLIT_NAMES] == [2000, 300, 300]
    assert not splits.mirrored
    for number, example in zip(range(5), splits.test.examples(), strict=False):
        drawn = scenes.scene(0, "test", number)
        assert example.id == f"scenes/test/{number}"
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(example.image))), drawn.image)
        np.testing.assert_array_equal(example.label.boxes, drawn.objects.boxes)
    assert splits.fingerprint != detection.load("scenes", seed=1).fingerprint
    assert scenes.load(0, {"train": 3, "validation": 2, "test": 1}).train.size == 3


def test_every_digit_is_there_about_as_often():
    counts = np.bincount(
        np.concatenate([scenes.scene(0, "validation", n).objects.class_ids for n in range(300)]), minlength=10
    )
    assert counts.min() > 0.75 * counts.max()


@pytest.mark.parametrize(("seed", "part", "number"), [(-1, "train", 0), (0, "val", 0), (0, "train", -1)])
def test_a_scene_that_does_not_exist_is_refused(seed: int, part: str, number: int):
    with pytest.raises(ValueError, match="expected a part of"):
        scenes.scene(seed, part, number)
