"""The page Model, driven by Streamlit's own test harness."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cards import as_earlier_versions, edit_card
from cnnapp.reports.training_command import training_command
from pipelines.artifacts.model_card import read_card
from places import ROOT

SHIPPED = ["digits", "fashion", "digit-scenes", "digit-segmentation"]


def model_page() -> None:
    from ui.views import model_card

    model_card.page()


def open_page(name: str) -> AppTest:
    page = AppTest.from_function(model_page, default_timeout=60)
    page.query_params["model"] = name
    page.run()
    assert not page.exception
    return page


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> Path:
    root = ROOT / "saved_models"
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(root))
    return root


@pytest.mark.parametrize("name", SHIPPED)
def test_a_card_is_shown(name: str, shipped: Path):
    page = open_page(name)
    headings = [each.value for each in page.subheader]
    assert headings[0] == "What it should not be used for"
    assert {"The command that trains it", "How good it is", "How training went", "Versions and files"} <= set(headings)
    card = read_card(shipped / name / "1")
    assert page.code[0].value == training_command(card)
    assert page.dataframe[0].value["test"][0] == f"{card.metrics['test']['images']:,}"
    assert page.dataframe[1].value["class"].tolist() == card.classes
    page.button_group[0].set_value("validation").run()
    assert not page.exception
    assert page.dataframe[1].value["class"].tolist() == card.classes


def test_what_an_earlier_version_did_not_record_is_named_and_the_rest_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copy = Path(shutil.copytree(ROOT / "saved_models" / "digit-scenes" / "1", tmp_path / "digit-scenes" / "1"))
    edit_card(copy, lambda record: record["metrics"]["test"].pop("precision_recall"))
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
    page = open_page("digit-scenes")
    asked = "`cnnapp evaluate digit-scenes/1 --split test --card`"
    assert any(asked in each.value for each in page.caption)
    assert titles(page) == ["Average precision", "Found objects against false alarms", "Error types"]
    page.button_group[0].set_value("validation").run()
    assert not page.exception
    assert not any("--card" in each.value for each in page.caption)
    assert "Precision and recall" in titles(page)


def titles(page: AppTest) -> list[str]:
    """Return what stands above the pictures."""
    known = re.compile(r"\*\*([A-Z][\w ]+)\*\*$")
    return [found[1] for each in page.markdown if (found := known.match(each.value))]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("digits", "Reliability. Expected calibration error 0.003"),
        ("digit-scenes", "Precision and recall. At IoU 0.5 the mean precision of the classes is 1.000 at recall 0.5"),
    ],
)
def test_curves_are_described(name: str, told: str, shipped: Path):
    page = open_page(name)
    described = [image.alt for block in page.get("image") for image in block.proto.imgs]
    assert any(each.startswith(told) for each in described), described


def test_layers_are_listed(shipped: Path):
    for name in ("digits", "digit-scenes", "digit-segmentation"):
        tables = [each.value for each in open_page(name).dataframe]
        layers = next(table for table in tables if "receptive field" in table or "sees" in table)
        assert layers["parameters"].iloc[-1] == f"{read_card(shipped / name / '1').parameters:,}"


def test_files_and_golden_examples_are_verified(shipped: Path):
    page = open_page("digits")
    page.button[0].click().run()
    assert not page.exception
    files = read_card(shipped / "digits" / "1").files
    assert f"{len(files) + 1} files have the hashes that are listed" in page.success[0].value


def test_an_altered_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copy = Path(shutil.copytree(ROOT / "saved_models" / "digits" / "1", tmp_path / "digits" / "1"))
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
    (copy / "fingerprint.pb").write_bytes(b"x")
    page = open_page("digits")
    page.button[0].click().run()
    assert not page.exception
    assert page.error[0].value == "fingerprint.pb: differs from what was exported"
    assert not page.success


@pytest.mark.parametrize("name", ["assets/labels.txt", "model_card.json", "manifest.json"])
def test_a_card_that_was_altered_is_not_shown(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copy = Path(shutil.copytree(ROOT / "saved_models" / "digits" / "1", tmp_path / "digits" / "1"))
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
    (copy / name).write_bytes((copy / name).read_bytes()[::-1])
    page = open_page("digits")
    assert not page.exception
    assert name in page.error[0].value
    assert not page.markdown


def test_a_model_without_a_manifest_is_shown_and_does_not_count_as_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copy = Path(shutil.copytree(ROOT / "saved_models" / "digits" / "1", tmp_path / "digits" / "1"))
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
    as_earlier_versions(copy)
    page = open_page("digits")
    assert any("Not verified" in each.value for each in page.caption)
    page.button[0].click().run()
    assert not page.exception
    assert "Not verified" in page.warning[0].value
    assert not page.success


def test_a_damaged_card_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "model_card.json").write_text("{}")
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
    assert "is damaged or of another version" in open_page("broken").error[0].value


def test_a_card_of_another_version_has_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copy = Path(shutil.copytree(ROOT / "saved_models" / "digits" / "1", tmp_path / "digits" / "1"))
    edit_card(copy, lambda record: record["training"].update(unheard_of=1))
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
    page = open_page("digits")
    assert "its card is of another version" in page.warning[0].value
    assert not page.code


def test_what_a_card_says_is_not_read_as_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copy = Path(shutil.copytree(ROOT / "saved_models" / "digits" / "1", tmp_path / "digits" / "1"))
    edit_card(copy, lambda record: record.update(description="Tells *a_b* from <script>alert(1)</script> and $x$"))
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))
    assert "\\*a\\_b\\*" in open_page("digits").markdown[0].value
