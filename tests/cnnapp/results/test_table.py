"""The table of answers: what every type of answer can do, and a task of one's own, whose type says little."""

from __future__ import annotations

import csv
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest

from cnnapp.prediction.output_parsing import from_answers, to_answers
from cnnapp.reports.comparison import comparable, compare
from cnnapp.results import table, writers
from cnnapp.results.classification import Classification
from cnnapp.results.detections import Detections
from cnnapp.results.segmentation import Segmentation
from pipelines.core.errors import ConfigError
from pipelines.images.masks import IGNORED

NAMES = ["a.png", "b.png"]


def outputs(task: str) -> dict[str, np.ndarray]:
    """Return the outputs of `serving_default` for two images, as a model of a task gives them."""
    if task == "classification":
        scores = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
        return {"scores": scores, "class_ids": np.array([1, 0]), "class_names": np.array(["dog", "cat"], object)}
    if task == "detection":
        return {
            "boxes": np.array([[[0, 0, 9, 5], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]], np.float32),
            "scores": np.array([[0.75, 0], [0, 0]], np.float32),
            "class_ids": np.array([[1, 0], [0, 0]], np.int64),
            "class_names": np.array([["dog", ""], ["", ""]], object),
            "num_detections": np.array([1, 0], np.int32),
        }
    if task == "segmentation":
        return {
            "class_map": np.array([[[0, 1]], [[1, IGNORED]]], np.uint8),
            "confidence": np.array([[[1, 0.5]], [[0.5, 0]]], np.float32),
            "sizes": np.array([[1, 2], [1, 1]], np.int32),
        }
    return {"values": np.array([2.5, -1.0], np.float32)}


@pytest.fixture
def own_task(monkeypatch: pytest.MonkeyPatch):
    """A fourth task, which another process learns of in the same way."""
    monkeypatch.setenv("CNNAPP_IMPORT", "regression_task")


TASKS = ["classification", "detection", "segmentation", "regression"]


@pytest.mark.parametrize("task", TASKS)
def test_outputs_become_answers_and_answers_outputs_again(task: str, own_task):
    given = outputs(task)
    answers = list(to_answers(task, given, NAMES, ["cat", "dog"]))
    assert [each.source for each in answers] == NAMES
    assert {type(each) for each in answers} == {table.answer_type(task)}
    back = from_answers(answers, limit=2)
    assert set(back) == set(given)
    for name, values in given.items():
        np.testing.assert_array_equal(back[name], values, err_msg=name)
        assert back[name].dtype == values.dtype


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_known_by_its_outputs(task: str, own_task):
    assert table.task_of(list(outputs(task))) == task
    assert table.task_of([*outputs(task), "something_else"]) == task


def test_outputs_of_nobody_are_of_no_task():
    assert table.task_of(["depth"]) is None


@pytest.mark.parametrize("task", TASKS)
def test_every_row_of_a_table_has_all_columns(task: str, own_task):
    classes = ["cat", "dog"]
    answers = list(to_answers(task, outputs(task), NAMES, classes))
    rows = writers.to_rows(answers, [{"source": "c.png", "error": "no image"}], classes, task)
    assert {len(row) for row in rows} == {len(rows[0])}
    assert (rows[0][0], rows[0][-1]) == ("source", "error")
    assert (rows[-1][0], rows[-1][-1]) == ("c.png", "no image")


@pytest.mark.parametrize("task", TASKS)
def test_an_answer_is_one_line_plain_values_a_picture_and_like_itself(task: str, own_task):
    answer = next(to_answers(task, outputs(task), NAMES, ["cat", "dog"]))
    assert str(answer).startswith("a.png: ")
    assert "\n" not in str(answer) + answer.line(5)
    assert json.loads(json.dumps(answer.to_json()))["source"] == "a.png"
    assert answer.draw(np.zeros((1, 2, 3), np.uint8)).mode == "RGB"
    difference = compare(answer, answer)
    assert difference.agrees
    assert difference.amount == 0


def test_a_task_of_ones_own_needs_to_say_little(own_task):
    first, second = to_answers("regression", outputs("regression"), NAMES, [])
    card = SimpleNamespace(task="regression", name="ages", version=1, classes=[], input={})
    assert str(first) == "a.png: 2.500"
    found = list(csv.reader(io.StringIO(writers.csv_text([first, second], [], card))))
    assert found == [["source", "value", "error"], ["a.png", "2.5", ""], ["b.png", "-1", ""]]
    record = json.loads(writers.json_text([first], [], card))
    assert record == {"model": "ages/1", "answers": [{"source": "a.png", "value": 2.5}], "failed": []}
    assert not compare(first, second).agrees
    assert compare(first, second).right("cat") is None
    assert comparable(card, card)
    kind = table.answer_type("regression")
    assert [kind.coco, kind.masks, kind.tiled, kind.one_class] == [False] * 4
    for impossible in (first.to_coco, first.mask_png):
        with pytest.raises(ConfigError, match=r"^a\.png: "):
            impossible()


def test_what_answers_can_do_is_said_by_their_types():
    assert [kind.unit for kind in (Classification, Detections, Segmentation)] == ["image", "window", "pixel"]
    assert [kind.coco for kind in (Classification, Detections, Segmentation)] == [False, True, True]
    assert [kind.masks for kind in (Classification, Detections, Segmentation)] == [False, False, True]
    assert [kind.tiled for kind in (Classification, Detections, Segmentation)] == [False, True, True]


def test_an_unknown_task_is_said_with_how_to_make_it_known():
    with pytest.raises(ConfigError, match=r"unknown task 'depth-map'.*CNNAPP_IMPORT=my_package\.depth_map"):
        table.answer_type("depth-map")
    with pytest.raises(ConfigError, match="Did you mean 'detection'"):
        table.answer_type("detectoin")


def test_the_highest_class_is_that_of_an_image_and_not_of_what_is_beyond():
    assert Segmentation.highest_class_id(outputs("segmentation")) == 1
    assert Detections.highest_class_id(outputs("detection")) == 1
    assert Classification.highest_class_id({"scores": np.zeros((1, 2))}) == -1
