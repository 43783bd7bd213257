"""Answers as records."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnnapp.results.classification import Classification
from cnnapp.results.writers import to_rows
from drawings import draw_shape

SCORES = np.array([0.1, 0.6, 0.3], np.float32)
ANSWER = Classification("a.png", SCORES, ("cat", "dog", "<eel>"))


def test_an_answer_prints_its_likeliest_classes():
    assert str(ANSWER) == "a.png: dog (60.0 %), <eel> (30.0 %), cat (10.0 %)"
    assert ANSWER.top(2) == [("dog", pytest.approx(0.6)), ("<eel>", pytest.approx(0.3))]
    assert (ANSWER.class_id, ANSWER.class_name, ANSWER.score) == (1, "dog", pytest.approx(0.6))


def test_an_answer_cannot_be_changed():
    with pytest.raises(AttributeError):
        ANSWER.source = "b.png"  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        ANSWER.scores[0] = 1.0


@pytest.mark.parametrize("scores", [[0.5, 0.5], [0.5, 0.4, 0.3], [np.nan, 0.5, 0.5]])
def test_what_are_no_probabilities_is_refused(scores: list[float]):
    with pytest.raises(ValueError, match="scores"):
        Classification("a", np.array(scores, np.float32), ("a", "b", "c"))


def test_json_holds_every_score_exactly():
    record = json.loads(json.dumps(ANSWER.to_json()))
    assert np.array_equal(np.array(list(record["scores"].values()), np.float32), SCORES)
    assert record["class_name"] == "dog"


def test_html_is_escaped():
    assert "&lt;eel&gt;" in ANSWER._repr_html_()


@pytest.mark.parametrize("size", [(8, 8), (400, 30), (50, 700)])
def test_a_drawing_shows_the_image_and_bars(size: tuple[int, int]):
    picture = ANSWER.draw(draw_shape("disc", 1, (max(20, size[0]), max(20, size[1]))))
    assert picture.mode == "RGB"
    assert picture.width > 320 * min(1, size[1] / size[0]) + 200
    pixels = np.asarray(picture).reshape(-1, 3)
    assert (pixels == (0x35, 0x67, 0xB0)).all(axis=1).sum() > 200


def test_rows_have_a_column_for_every_class_and_one_for_the_reason():
    rows = to_rows([ANSWER], [{"source": "b.png", "error": "no image"}], ANSWER.class_names, "classification")
    assert rows[0] == ["source", "class_name", "score", "cat", "dog", "<eel>", "error"]
    assert rows[1][:3] == ["a.png", "dog", "0.600000"]
    assert rows[2] == ["b.png", "", "", "", "", "", "no image"]
    assert len({len(row) for row in rows}) == 1
