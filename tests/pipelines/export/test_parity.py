"""The comparison sees what is different, and only that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from pipelines.artifacts.served_model import ServedModel, as_numpy
from pipelines.core.errors import ModelError
from pipelines.export import parity
from pipelines.export.parity import Agreement, agreement, questions, tolerance
from places import ROOT

MODELS = {"classification": "digits", "detection": "digit-scenes", "segmentation": "digit-segmentation"}
Change = Callable[[dict[str, np.ndarray]], None]


@pytest.fixture(scope="module")
def served() -> dict[str, ServedModel]:
    return {task: ServedModel(ROOT / "saved_models" / name / "1") for task, name in MODELS.items()}


def compared(model: ServedModel, change: Change) -> Agreement:
    def answer(asked: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        inputs = {name: tf.constant(value) for name, value in asked.items()}
        found = {name: values.copy() for name, values in as_numpy(model.run("pixels", **inputs)).items()}
        change(found)
        return found

    return agreement(model, answer)


@pytest.mark.parametrize("task", MODELS)
def test_the_same_answers_agree(served, task: str):
    assert compared(served[task], lambda found: None) == Agreement(0.0, 0.0, 0.0)


def other_score(found):
    found["scores"][:, 0] += np.float32(0.01)


def other_class(found):
    found["class_ids"][0] += 1


def other_name(found):
    found["class_names"][0] = "?"


def no_number(found):
    found["scores"][0, 0] = np.nan


def other_confidence(found):
    found["confidence"] += np.float32(0.01)


def other_pixels(found):
    found["class_map"][:, :4] += 1


def other_sizes(found):
    found["sizes"] += 1


def moved(found):
    found["boxes"][0, 0] += np.float32(7)


def nowhere(found):
    found["boxes"][0, 0, 0] = np.nan


def lost(found):
    found["num_detections"][0] -= 1


def swapped(found):
    found["class_ids"][0, 0] = (found["class_ids"][0, 0] + 1) % 10


CHANGES = [
    ("classification", other_score), ("classification", other_class), ("classification", other_name),
    ("classification", no_number), ("segmentation", other_confidence), ("segmentation", other_pixels),
    ("segmentation", other_sizes), ("detection", other_score), ("detection", moved), ("detection", nowhere),
    ("detection", lost),
    ("detection", swapped),
]  # fmt: skip


@pytest.mark.parametrize(("task", "change"), CHANGES, ids=lambda value: getattr(value, "__name__", value))
def test_any_other_answer_is_seen(served, task: str, change: Change):
    found = compared(served[task], change)
    assert not found.within(tolerance(served[task], "float32"))
    assert not found.within(tolerance(served[task], "float16"))


def test_objects_may_change_places(served):
    def turned(found):
        for name in ("boxes", "scores", "class_ids", "class_names"):
            for number, count in enumerate(found["num_detections"]):
                found[name][number, :count] = found[name][number, :count][::-1]

    assert compared(served["detection"], turned) == Agreement(0.0, 0.0, 0.0)


def test_an_object_that_is_hardly_sure_enough_may_be_missing(served):
    model = served["detection"]

    def answer(asked):
        inputs = {name: tf.constant(value) for name, value in asked.items()}
        found = as_numpy(model.run("pixels", **inputs))
        found["num_detections"] -= found["num_detections"] > 0  # the last, which is the least sure
        return found

    assert agreement(model, answer).classes > 0.1
    assert agreement(model, answer, slack=0.9).classes == 0.0


def test_another_shape_or_kind_is_refused(served):
    for change, message in (
        (lambda found: found.pop("scores"), "no output 'scores'"),
        (lambda found: found.update(scores=found["scores"][:, :5]), "of shape"),
        (lambda found: found.update(class_ids=found["class_ids"].astype(np.int32)), "is int32"),
    ):
        with pytest.raises(ModelError, match=message):
            compared(served["classification"], change)


def test_questions_are_of_several_sizes_and_options(served):
    asked = questions(served["detection"])
    shapes = {each["images"].shape for each in asked}
    assert (1, 96, 128, 3) in shapes
    assert (2, 91, 125, 3) in shapes
    assert asked[-1]["soft_nms_sigma"] > 0
    assert len(asked[-1]["scales"]) == 2
    assert len(questions(served["classification"])) == 11


def test_numbers_of_any_kind_are_compared():
    """A task of one's own has outputs that nobody here knows."""
    expected = {"value": np.array([1.5, 2.5], np.float32), "unit": np.array(["m", "m"], object)}
    far = {"value": np.array([1.5, 2.75], np.float32), "unit": np.array(["m", "cm"], object)}
    assert parity._of_numbers(expected, expected) == Agreement(0.0, 0.0, 0.0)
    assert parity._of_numbers(expected, far) == Agreement(0.25, 0.0, 0.5)
    none = {"value": np.array([np.nan, 2.5], np.float32), "unit": expected["unit"]}
    assert not parity._of_numbers(expected, none).within(Agreement(1e9, 1.0, 1.0))
