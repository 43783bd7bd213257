"""What cards say of a task that has no words of its own: all that can be said from its figures."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipelines.artifacts.model_card import read_card
from pipelines.core.errors import ConfigError
from pipelines.reporting.words import Words, listed, number, share
from pipelines.tasks.registry import find_task
from places import ROOT

FOUND = {"images": 1200, "mean_error": 0.25, "largest": None, "error_95": [0.2, 0.3], "classes": {}, "exact": True}


def card(**fields: object) -> SimpleNamespace:
    return SimpleNamespace(
        name="ages", version=1, classes=[], data={"source": "people"}, metrics={"test": FOUND},
        input={"height": 16, "width": 24, "channels": 1}, **fields,
    )  # fmt: skip


def test_numbers_are_figures_and_nothing_else_is():
    assert Words().figures(FOUND) == [("images", "1,200"), ("mean error", "0.2500"), ("largest", "–")]
    assert Words().class_row({"recall_at_5": 0.5, "support": 3}) == {"recall at 5": "0.5000", "support": "3"}


def test_the_first_figure_is_the_headline():
    said = Words().headline(FOUND, "1,200 test images of people")
    assert said == "Mean error is 0.2500 on 1,200 test images of people."
    assert Words().headline({"images": 3}, "3 images") == "It was measured on 3 images."


def test_what_the_network_sees_is_said_from_the_card():
    words = Words()
    assert words.input(card()) == "16 x 24 pixels in grey"
    assert "16 x 24" in words.sizes(card())
    open_size = SimpleNamespace(input={"channels": 3}, data={"source": "people"})
    assert words.input(open_size) == "images of any size in colour"
    assert "people" in words.sizes(open_size)
    assert words.worst(card()) is None
    assert words.pictures(FOUND, ()) == []


def test_the_worst_classes_are_at_most_half_of_them():
    class Ranked(Words):
        by_class = ("iou", "pixels", "overlap {}")

    rows = {name: {"iou": value, "pixels": 9} for name, value in (("a", 0.5), ("b", 0.25), ("c", 1.0), ("d", None))}
    found = SimpleNamespace(metrics={"test": {"classes": rows | {"e": {"iou": 0.0, "pixels": 0}}}})
    assert Ranked().worst(found) == "Of its classes the worst on test images are: b (overlap 0.250)."


@pytest.mark.parametrize("name", ["digits", "digit-scenes", "digit-segmentation"])
def test_each_task_says_more_than_the_words_for_any(name: str):
    shipped = read_card(ROOT / "saved_models" / name / "1")
    words, found = find_task(shipped.task).words, shipped.metrics["test"]
    for said, general in (
        (words.headline(found, "them"), Words().headline(found, "them")),
        (words.unknown(shipped), Words().unknown(shipped)),
        (words.input(shipped), Words().input(shipped)),
    ):
        assert said != general
    assert len(words.pictures(found, tuple(shipped.classes))) > 1
    names = [figure for figure, _ in words.figures(found)]
    assert len(names) == len(set(names)) > 4


def test_lists_numbers_and_shares():
    assert listed(["a", "b"]) == "a, b"
    assert (number(1234), number(0.5), number(None)) == ("1,234", "0.5000", "–")
    assert share(0, 0) == "–"
    assert share(9, 10) == "90.0 % (59.6 % to 98.2 %)"


def test_a_task_that_nobody_knows_has_no_words():
    with pytest.raises(ConfigError, match="unknown task"):
        find_task("depth")
