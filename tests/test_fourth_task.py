"""A task that is defined outside the packages goes the whole way: it trains, is measured, exported, loaded, asked,
verified, served, and shown on the page. Other processes know it by ``CNNAPP_IMPORT``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from places import ROOT

HELPERS = ROOT / "tests" / "helpers"
TABLES = {
    "pipelines.tasks.registry": "TASKS",
    "cnnapp.results.table": "ANSWERS",
    "ui.components.panels": "PANELS",
}


def write_numbers(root: Path, count: int = 160) -> Path:
    """Write images of noise whose number is their brightness, from 0 to 1."""
    root.mkdir()
    dice = np.random.default_rng(0)
    rows = []
    for number in range(count):
        value = float(dice.uniform())
        pixels = np.clip(dice.normal(255 * value, 20, (18, 20)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
        rows.append(f"{number}.png,{value:.6f}")
    (root / "values.csv").write_text("\n".join(rows) + "\n")
    return root


def run(models: Path, *words: object) -> str:
    """Run a command line that knows the task; return what it prints."""
    known = {"CNNAPP_IMPORT": "regression_task", "CNNAPP_SAVED_MODELS": str(models)}
    path = os.pathsep.join([str(HELPERS), str(ROOT)])
    command = [sys.executable, "-m", "cnnapp", *map(str, words)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=models.parent, env=os.environ | known | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images with a number each."""
    return write_numbers(tmp_path_factory.mktemp("regression") / "numbers")


@pytest.fixture(scope="module")
def models(numbers: Path) -> Path:
    """The folder of the model that was trained on them, by the command line."""
    folder = numbers.parent / "saved_models"
    printed = run(folder, "train", "regression", "--data", numbers, "--name", "brightness", "--epochs", 30)
    assert printed.strip() == str(folder / "brightness" / "1")
    return folder


def test_it_is_trained_measured_and_recorded(models: Path):
    card = json.loads((models / "brightness" / "1" / "model_card.json").read_text())
    assert card["task"] == "regression"
    assert card["training"]["hidden"] == 32
    assert card["metrics"]["test"]["mean_error"] < 0.1  # of numbers whose mean distance from their mean is 0.25


def test_its_options_are_those_of_its_configuration(models: Path):
    printed = run(models, "train", "regression", "--help")
    assert "--hidden" in printed
    assert "one number for each image" in printed
    assert "hidden: 8" in run(models, "train", "regression", "--hidden", 8, "--print-config")


def test_it_answers_for_images(models: Path, numbers: Path):
    name, value = (numbers / "values.csv").read_text().splitlines()[0].split(",")
    printed = run(models, "predict", "brightness", numbers / name, "--json", models.parent / "answers.json")
    answer = json.loads((models.parent / "answers.json").read_text())["answers"][0]
    assert abs(answer["value"] - float(value)) < 0.15
    assert f"{answer['value']:.3f}" in printed


def test_it_is_evaluated_again_as_it_was(models: Path, numbers: Path):
    run(models, "evaluate", "brightness", "--data", numbers, "--report", models.parent / "report")
    found = json.loads((models.parent / "report" / "report.json").read_text())
    card = json.loads((models / "brightness" / "1" / "model_card.json").read_text())
    assert found["mean_error"] == pytest.approx(card["metrics"]["test"]["mean_error"], rel=1e-6)
    assert "mean_error" in (models.parent / "report" / "report.html").read_text()


def test_it_is_verified_by_every_way_in_the_service_among_them(models: Path):
    printed = run(models, "verify", "brightness")
    assert "service" in printed.lower()
    assert "page" in printed.lower()


def test_its_layers_are_shown_and_its_network_is_built_again(models: Path):
    assert "hidden" in run(models, "inspect", "brightness")


@pytest.fixture
def page(models: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page, in a process that knows the task for as long as the test runs."""
    import importlib

    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(models))
    monkeypatch.setenv("CNNAPP_IMPORT", "regression_task")
    importlib.import_module("regression_task")
    for module, name in TABLES.items():
        table = getattr(importlib.import_module(module), name)
        monkeypatch.setitem(table, "regression", f"regression.{_ROWS[name]}")
    return AppTest.from_file(str(ROOT / "ui" / "app.py"), default_timeout=120)


_ROWS = {"TASKS": "task:Regression", "ANSWERS": "answer:Number", "PANELS": "panel:NumberPanel"}


def test_the_page_shows_it(page: AppTest, numbers: Path):
    page.run()
    assert not page.exception
    page.file_uploader[0].set_value([("a.png", (numbers / "0.png").read_bytes(), "image/png")]).run()
    assert not page.exception
    told = " ".join(str(part.value) for part in (*page.markdown, *page.caption, *page.subheader, *page.metric))
    value = (numbers / "values.csv").read_text().splitlines()[0].split(",")[1]
    assert any(abs(float(word) - float(value)) < 0.15 for word in told.replace("**", " ").split() if _is_number(word))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
