"""The loss is least for what is right, ignores what is ignored, and its figures add up over batches."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipelines.detection.loss import detection_loss, detection_metrics, fit_of
from pipelines.detection.sliding_window import ScanSpec
from pipelines.images.boxes import overlaps

SPEC = ScanSpec(window=(24, 24), stride=4, channels=1, reference=(10.0, 20.0), scales=(1.0,))


def around(sides):
    return np.float32([-sides[0], -sides[1], sides[2], sides[3]])


@given(*[st.lists(st.floats(0.5, 50), min_size=4, max_size=4)] * 2)
def test_fit_is_the_overlap_of_boxes(one, other):
    a, b = around(one), around(other)
    overlap, general = fit_of(tf.constant(a), tf.constant(b))
    assert float(overlap) == pytest.approx(overlaps(a[None], b[None])[0, 0], rel=1e-4)
    assert -1 <= float(general) <= float(overlap) + 1e-6


def perfect(labels, distances, certain=9.0):
    """Outputs that say just what the targets do."""
    logits = np.where(np.eye(3)[labels - 1] * (labels > 0)[..., None], certain, -certain)
    half = np.array([10, 5, 10, 5])
    return np.concatenate([logits, np.log(distances / half)], axis=-1).astype("float32")


@pytest.fixture
def targets():
    dice = np.random.default_rng(0)
    labels = dice.integers(0, 4, (2, 5, 6)).astype("int32")
    return labels, dice.uniform(2, 30, (2, 5, 6, 4)).astype("float32")


def test_what_is_right_costs_almost_nothing(targets):
    assert detection_loss(SPEC)(targets, perfect(*targets)).numpy().max() < 1e-3


@pytest.mark.parametrize("changed", [0, 1, 2, 3, 6])
def test_every_output_counts(targets, changed):
    outputs = perfect(*targets)
    outputs[..., changed] += 0.5 if changed > 2 else np.where(outputs[..., changed] > 0, -18, 18)
    assert (detection_loss(SPEC)(targets, outputs).numpy() > 0.01).all()


def test_ignored_windows_cost_nothing(targets):
    labels, distances = targets
    outputs = perfect(labels, distances)
    outputs[:, 0] = np.random.default_rng(1).normal(size=outputs[:, 0].shape) * 5
    labels = labels.copy()
    labels[:, 0] = -1
    assert detection_loss(SPEC)((labels, distances), outputs).numpy().max() < 1e-3


def test_without_any_object_the_loss_is_finite():
    nothing = np.zeros((2, 5, 6), "int32"), np.ones((2, 5, 6, 4), "float32")
    outputs = np.zeros((2, 5, 6, 7), "float32")
    assert np.isfinite(detection_loss(SPEC)(nothing, outputs)).all()


def figures(batches):
    found = {}
    for key, metric in detection_metrics(SPEC).items():
        total = sum(metric.measure(targets, outputs).numpy() for targets, outputs in batches)
        found[key] = metric.result(total, 0.0)
    return found


def test_figures_are_one_for_what_is_right_and_add_up_over_batches(targets):
    labels, distances = targets
    outputs = perfect(labels, distances)
    assert figures([(targets, outputs)]) == pytest.approx({"precision": 1.0, "fit": 1.0}, abs=1e-3)
    parts = [((labels[i : i + 1], distances[i : i + 1]), outputs[i : i + 1]) for i in range(2)]
    dice = np.random.default_rng(2)
    noisy = outputs + dice.normal(size=outputs.shape).astype("float32") * 4
    halves = [(pair, noisy[i : i + 1]) for i, (pair, _) in enumerate(parts)]
    assert figures(halves) == pytest.approx(figures([(targets, noisy)]), rel=1e-5)
    assert figures(halves)["precision"] < 0.9


def test_without_any_object_the_figures_are_zero():
    nothing = np.zeros((1, 5, 6), "int32"), np.ones((1, 5, 6, 4), "float32")
    assert figures([(nothing, np.zeros((1, 5, 6, 7), "float32"))]) == {"precision": 0.0, "fit": 0.0}
