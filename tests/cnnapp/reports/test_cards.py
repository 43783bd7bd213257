"""What a model card says in words, commands and pictures."""

from __future__ import annotations

import io
import re
import shlex

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cnnapp.cli.main import app
from cnnapp.cli.training import train
from cnnapp.reports import card_text
from cnnapp.reports.card_plots import card_pictures, history_pictures
from cnnapp.reports.training_command import configuration, training_command
from pipelines.artifacts.model_card import ModelCard, read_card
from pipelines.core.percent import percent
from places import ROOT

SHIPPED = ["digits", "digits-lenet5", "fashion", "digit-scenes", "digit-segmentation"]


@pytest.fixture(params=SHIPPED)
def card(request: pytest.FixtureRequest) -> ModelCard:
    return read_card(ROOT / "saved_models" / request.param / "1")


def ran(command: str, monkeypatch: pytest.MonkeyPatch):
    """Run a command of training up to where it would train; return its name and configuration."""
    caught: list = []
    monkeypatch.setattr(train, "start", lambda task, name, config: caught.append((name, config)))
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    return caught[0]


def test_the_command_gives_the_same_configuration(card: ModelCard, monkeypatch: pytest.MonkeyPatch):
    name, config = ran(training_command(card), monkeypatch)
    assert name == card.name
    assert config.identity() == configuration(card).identity() == config.identity() | card.training


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("digits", {"image_size": (64, 96), "flip": True, "deterministic": True, "resize": "pad", "seed": 7}),
        ("digit-scenes", {"scales": (1.0, 0.7, 0.123456789), "turn": True, "window": (32, 32), "flip": None}),
        ("digit-segmentation", {"loss": ("focal", "dice"), "image_pooling": True, "ignore": 0, "learning_rate": 1e-7}),
        ("digits", {"data": "my photos; rm -rf"}),
    ],
)
def test_so_it_does_for_every_kind_of_option(name: str, changes: dict, monkeypatch: pytest.MonkeyPatch):
    card = read_card(ROOT / "saved_models" / name / "1")
    card = card.model_copy(update={"training": configuration(card).identity() | changes})
    _, config = ran(training_command(card), monkeypatch)
    assert config.identity() == configuration(card).identity()


def test_defaults_are_left_out():
    command = training_command(read_card(ROOT / "saved_models" / "digits" / "1"))
    assert command == (
        "cnnapp train classification --data digits --name digits --epochs 60 --batch-size 32 --pool max "
        "--image-size 8 --channels 1 --no-flip"
    )


def test_another_set_for_the_test_is_named():
    card = read_card(ROOT / "saved_models" / "digit-scenes" / "1")
    card = card.model_copy(update={"training": card.training | {"data": "windows, tested on street.json"}})
    assert "--data windows --name digit-scenes --test street.json" in training_command(card)


def test_limits_name_what_the_card_holds(card: ModelCard):
    text = " ".join(card_text.limits(card))
    assert card.classes[0] in text
    assert card.data["source"] in text
    test = card.metrics["test"]
    figure = {
        "classification": lambda: percent(test["accuracy"]),
        "detection": lambda: f"{test['ap50']:.3f}",
        "segmentation": lambda: f"{test['mean_iou']:.3f}",
    }[card.task]()
    assert figure in text
    assert "Colour is not seen" in text  # all of these see grey
    if card.task == "classification":
        assert "answers with one of them for any image" in text
        low, high = test["accuracy_95"]
        assert f"{percent(low)} to {percent(high)}" in text


def test_the_worst_classes_are_named():
    card = read_card(ROOT / "saved_models" / "fashion" / "1")
    assert any("the worst on test images are: Shirt (found in 78.2 %" in line for line in card_text.limits(card))


def test_intervals_hold_their_figures(card: ModelCard):
    rows = {row["figure"]: row["test"] for row in card_text.figures(card)}
    intervals = [value for name, value in rows.items() if "interval" in name]
    assert bool(intervals) == (card.task != "segmentation")
    for value in intervals:
        middle, low, high = map(float, re.findall(r"[\d.]+(?= %)", value))
        assert low <= middle <= high
    if card.task == "detection":
        best = card.metrics["test"]["best"]
        assert rows["precision at the best threshold (95 % interval)"].startswith(percent(best["precision"], 1))
        assert rows["recall at the best threshold (95 % interval)"].startswith(percent(best["recall"], 1))
    assert len(card_text.class_rows(card)) == len(card.classes)


def test_facts_and_versions_are_those_of_the_card(card: ModelCard):
    facts = dict(card_text.facts(card))
    assert facts["Parameters"] == f"{card.parameters:,}"
    assert f"{card.data['images']['train']:,} train" in facts["Trained on"]
    rows = {row["software"]: row for row in card_text.software_rows(card)}
    assert rows["keras"]["made with"] == card.software["keras"]
    assert rows["tensorflow"]["here"].startswith("2.")


def test_a_model_that_was_not_measured_says_so(card: ModelCard):
    bare = card.model_copy(update={"metrics": {}})
    assert "was not measured" in card_text.headline(bare)
    assert card_text.limits(bare)
    assert card_text.class_rows(bare) == []
    assert card_pictures(bare) == []


def test_pictures_are_drawn(card: ModelCard):
    drawn = card_pictures(card)
    assert len(drawn) == {"classification": 2, "detection": 4, "segmentation": 3}[card.task]
    for each in [*drawn, *history_pictures(card)]:
        assert Image.open(io.BytesIO(each.png)).width > 200
        assert each.caption.endswith(".")
    assert len(history_pictures(card)) == sum(not name.startswith("val_") for name in card.history["epochs"][0])
    none = card.model_copy(update={"history": card.history | {"epochs": []}})
    assert history_pictures(none) == []


def test_a_card_of_an_earlier_version_shows_what_it_has(card: ModelCard):
    later = {"calibration", "precision_recall"}
    assert card_text.unrecorded(card) == []
    test = {name: value for name, value in card.metrics["test"].items() if name not in later}
    old = card.model_copy(update={"metrics": card.metrics | {"test": test}})
    titles = [each.title for each in card_pictures(card)]
    assert [each.title for each in card_pictures(old)] == [
        title for title in titles if title not in ("Reliability", "Precision and recall")
    ]
    assert f"`cnnapp evaluate {card.name}/1 --split test --card`" in card_text.unrecorded(old)[0]
    assert card_text.unrecorded(old, "validation") == []


def test_the_shipped_curves_have_the_area_that_their_card_names():
    for found in read_card(ROOT / "saved_models" / "digit-scenes" / "1").metrics.values():
        for name, curve in found["precision_recall"]["classes"].items():
            assert sum(curve) / len(curve) == pytest.approx(found["classes"][name]["ap50"], abs=5e-5)
        assert np.mean(found["precision_recall"]["mean75"]) == pytest.approx(found["ap75"], abs=5e-5)


def test_the_shipped_bins_hold_all_answers_and_give_the_error_that_their_card_names():
    for name in ("digits", "fashion"):
        for found in read_card(ROOT / "saved_models" / name / "1").metrics.values():
            bins = found["calibration"]
            assert sum(bins["images"]) == found["images"]
            gaps = [
                count * abs(sure - right)
                for count, sure, right in zip(bins["images"], bins["confidence"], bins["accuracy"], strict=True)
                if count
            ]
            assert sum(gaps) / found["images"] == pytest.approx(found["expected_calibration_error"], rel=1e-6)
            correct = sum(c * a for c, a in zip(bins["images"], bins["accuracy"], strict=True) if c)
            assert correct / found["images"] == pytest.approx(found["accuracy"])


def test_a_new_classifier_records_its_reliability(trained):
    test = trained.card.metrics["test"]
    assert sum(test["calibration"]["images"]) == test["images"]
    assert [each.title for each in card_pictures(trained.card)] == ["Confusion matrix", "Reliability"]


def test_images_that_were_left_out_are_named(card: ModelCard):
    images = [{"part": "test", "image": f"{at}.jpg", "reason": "the file is empty"} for at in range(7)]
    facts = dict(card_text.facts(card))
    assert "Skipped" not in facts
    with_skipped = card.model_copy(update={"data": card.data | {"skipped": {"count": 1007, "images": images}}})
    told = dict(card_text.facts(with_skipped))["Skipped"]
    assert told.startswith("1,007 images that cannot be used: 0.jpg (test): the file is empty; 1.jpg (test)")
    assert told.endswith("and 1,002 more, as listed in the file of the card")
