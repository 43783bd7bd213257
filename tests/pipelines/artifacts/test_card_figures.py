"""Figures added to the card of a saved model: only what was missing, and only where all the rest comes out again."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cards import edit_card
from pipelines.artifacts import card_figures
from pipelines.artifacts.card_figures import add_figures, completed
from pipelines.artifacts.model_card import CARD, check_files, read_card
from pipelines.core.errors import ModelError

NAMES = st.sampled_from("abcdef")
FIGURES = st.recursive(
    st.none() | st.integers() | st.floats(0, 1) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.dictionaries(NAMES, FIGURES, max_size=6)


def thinned(record: dict, dice: st.DataObject) -> dict:
    """Leave some keys out, at any depth of dictionaries."""
    kept = {name: value for name, value in record.items() if dice.draw(st.booleans())}
    return {name: thinned(value, dice) if isinstance(value, dict) else value for name, value in kept.items()}


@given(measured=RECORDS, dice=st.data())
def test_what_was_missing_is_added_in_its_place(measured: dict, dice: st.DataObject):
    found = completed(thinned(measured, dice), measured)
    assert json.dumps(found) == json.dumps(measured)  # the order, too


@given(measured=RECORDS, dice=st.data())
def test_what_is_no_longer_measured_stays(measured: dict, dice: st.DataObject):
    assert completed(measured, thinned(measured, dice)) == measured


@given(record=RECORDS, share=st.floats(-0.9e-6, 0.9e-6))
def test_what_is_recorded_is_never_changed(record: dict, share: float):
    def shaken(value):
        if isinstance(value, dict):
            return {name: shaken(one) for name, one in value.items()}
        if isinstance(value, list):
            return [shaken(one) for one in value]
        return value * (1 + share) if isinstance(value, float) else value

    assert json.dumps(completed(record, shaken(record))) == json.dumps(record)


@pytest.mark.parametrize(
    ("recorded", "measured", "named"),
    [
        ({"images": 300}, {"images": 301}, "images is 301, and 300 on its card"),
        ({"accuracy": 0.5}, {"accuracy": 0.5 + 2e-6}, "accuracy is 0.500002, and 0.5 on"),
        ({"classes": {"7": {"ap": 0.5}}}, {"classes": {"7": {"ap": None}}}, "classes.7.ap is None, and 0.5"),
        ({"confusion": [[3, 1], [0, 4]]}, {"confusion": [[3, 1], [1, 3]]}, "confusion is 1, and 0"),
        ({"confusion": [[3]]}, {"confusion": [[3, 0], [0, 0]]}, "confusion is"),
        ({"ap": None}, {"ap": 0.0}, "ap is 0.0, and None"),
        ({"best": {"f1": 1.0}}, {"best": None}, "best is None"),
    ],
)
def test_a_figure_that_comes_out_otherwise_is_named(recorded: dict, measured: dict, named: str):
    with pytest.raises(ValueError, match=named):
        completed(recorded, measured)


@pytest.fixture
def saved(trained, tmp_path: Path) -> Path:
    """A classifier as an earlier version would have saved it: without calibration."""
    copy = Path(shutil.copytree(trained.path, tmp_path / "shapes" / "1"))
    edit_card(copy, lambda record: [part.pop("calibration") for part in record["metrics"].values()])
    return copy


def test_a_card_becomes_what_this_version_writes(saved: Path, trained):
    for part in ("test", "validation"):
        assert add_figures(saved, part, trained.card.metrics[part]) == ("calibration",)
    assert (saved / CARD).read_bytes() == (trained.path / CARD).read_bytes()
    assert check_files(saved, read_card(saved)) == []
    assert sorted(path.name for path in saved.iterdir()) == sorted(path.name for path in trained.path.iterdir())
    before = (saved / CARD).stat().st_mtime_ns
    assert add_figures(saved, "test", trained.card.metrics["test"]) == ()
    assert (saved / CARD).stat().st_mtime_ns == before


def test_a_card_that_disagrees_is_left_as_it_is(saved: Path, trained):
    before = (saved / CARD).read_bytes()
    test = trained.card.metrics["test"]
    with pytest.raises(ModelError, match=r"log_loss is .* on its card; the card is unchanged"):
        add_figures(saved, "test", test | {"log_loss": test["log_loss"] * 1.001})
    assert (saved / CARD).read_bytes() == before


def test_a_write_that_fails_leaves_the_old_card(saved: Path, trained, monkeypatch: pytest.MonkeyPatch):
    def full(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    before = sorted(saved.iterdir()), (saved / CARD).read_bytes()
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ModelError, match=r"model_card.json: cannot be written: No space left"):
        add_figures(saved, "test", trained.card.metrics["test"])
    assert (sorted(saved.iterdir()), (saved / CARD).read_bytes()) == before


def test_only_the_data_on_the_card_will_do(trained, shapes: Path):
    from pipelines import data

    splits = data.load(str(shapes))
    card_figures.refuse_other_data(trained.card, splits, "test")
    with pytest.raises(card_figures.DataError, match="is not the data that shapes/1 was measured on"):
        card_figures.refuse_other_data(trained.card, data.load(str(shapes), seed=1), "test")
    with pytest.raises(card_figures.ConfigError, match="has figures for validation, test, but none for train"):
        card_figures.refuse_other_data(trained.card, splits, "train")
