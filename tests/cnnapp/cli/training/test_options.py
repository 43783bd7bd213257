"""The options of `cnnapp train`: those of before are all there, each field is one, and they parse as they did."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cnnapp.cli.main import app
from cnnapp.cli.training import train
from pipelines.tasks.registry import find_task, task_names

BEFORE: dict[str, dict[str, Any]] = {
    "classification": {
        "--data": None, "--name": None, "--data-dir": None, "--model": "convnet", "--conv": "standard", "--pool": None,
        "--image-size": None, "--channels": None, "--resize": "stretch", "--augment": "light", "--flip/--no-flip": None,
        "--label-smoothing": 0.0, "--class-weights": "auto", "--epochs": None, "--batch-size": None,
        "--optimizer": "adamw", "--learning-rate": None, "--schedule": "cosine", "--warmup": 0.05,
        "--weight-decay": None, "--precision": "float32", "--patience": 20, "--seed": 0,
        "--deterministic/--no-deterministic": False, "--log-dir": None, "--resume": False,
    },
    "detection": {
        "--data": None, "--name": None, "--test": None, "--data-dir": None, "--conv": "standard", "--pool": "max",
        "--stride": None, "--window": None, "--scale": None, "--scales": None, "--channels": None, "--zoom": None,
        "--flip/--no-flip": None, "--turn/--no-turn": False, "--light": 0.2, "--epochs": None, "--batch-size": None,
        "--optimizer": "adamw", "--learning-rate": None, "--schedule": "cosine", "--warmup": 0.05,
        "--weight-decay": None, "--precision": "float32", "--patience": 20, "--seed": 0,
        "--deterministic/--no-deterministic": False, "--log-dir": None, "--resume": False,
    },
    "segmentation": {
        "--data": None, "--name": None, "--test": None, "--data-dir": None, "--ignore": None, "--model": "unet",
        "--head": 8, "--filters": 16, "--depth": 3, "--stride": 1, "--upsampling": "bilinear",
        "--image-pooling": False, "--conv": "standard", "--pool": "max", "--scale": None, "--channels": None,
        "--crop": None, "--loss": "cross_entropy+dice", "--class-weights": "auto", "--zoom": 1.5,
        "--flip/--no-flip": None, "--turn/--no-turn": False, "--light": 0.2, "--elastic": 0.0, "--epochs": None,
        "--batch-size": None, "--optimizer": "adamw", "--learning-rate": None, "--schedule": "cosine",
        "--warmup": 0.05, "--weight-decay": None, "--precision": "float32", "--patience": 20, "--seed": 0,
        "--deterministic/--no-deterministic": False, "--log-dir": None, "--resume": False,
    },
}  # fmt: skip
"""What `cnnapp train` took when its options were written by hand, with the defaults."""


def command(task: str) -> Any:
    return typer.main.get_command(app).commands["train"].get_command(None, task)  # type: ignore[attr-defined]


def given(monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    """Return the configuration that a command line makes, without training."""
    caught: list[Any] = []
    monkeypatch.setattr(train, "start", lambda task, name, config: caught.append(config))
    done = CliRunner().invoke(app, ["train", *words])
    assert done.exit_code == 0, done.output
    return caught[0]


@pytest.mark.parametrize("task", BEFORE)
def test_the_options_of_before_are_there_with_their_defaults(task: str):
    there = {opt: each for each in command(task).params for opt in [*each.opts, *each.secondary_opts]}
    for words, default in BEFORE[task].items():
        for word in words.split("/"):
            assert word in there, word
            assert there[word].default == default, word


@pytest.mark.parametrize("task", task_names())
def test_every_field_is_an_option_and_nothing_else_is(task: str):
    params = {each.name for each in command(task).params}
    own = {"name", "config_file", "print_config", "dry_run", "show_help"}
    everywhere = {"verbose", "quiet", "device", "saved_models", "runs"}
    assert params == set(find_task(task).config.model_fields) | own | everywhere


@pytest.mark.parametrize("task", task_names())
def test_the_help_is_in_groups_the_common_ones_first(task: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "250")
    text = CliRunner().invoke(app, ["train", task, "--help"]).output
    panels = re.findall(r"─ (\w[\w ]*?) ─", text)
    assert panels == ["Common options", "Data", "Network", "Training", "Augmentation", "Run", "Global options"]
    common = text.split("─ Data ─")[0]
    assert 9 <= len(re.findall(r"│ {1,3}--[a-z]", common)) <= 10
    for shown in ("At least 1.", "One of: adamw, muon, sgd.", "by the number of images", "--no-flip", "Example:"):
        assert shown in text, shown


def test_every_kind_of_value_is_read_as_before(monkeypatch: pytest.MonkeyPatch):
    words = "--data d --name n --image-size 64x96 --channels 3 --no-flip --deterministic --log-dir logs --resume"
    config = given(monkeypatch, "classification", *words.split(), "--learning-rate", "1e-3", "--data-dir", "sets")
    assert (config.image_size, config.channels, config.flip) == ((64, 96), 3, False)
    assert (config.deterministic, config.resume, config.learning_rate) == (True, True, 1e-3)
    assert (str(config.log_dir), str(config.data_dir)) == ("logs", "sets")
    config = given(
        monkeypatch,
        "detection",
        *["--data", "d", "--name", "n", "--scales", "1,0.7,0.5", "--window", "40", "--turn", "--flip"],
    )
    assert (config.scales, config.window, config.turn, config.flip) == ((1.0, 0.7, 0.5), (40, 40), True, True)
    words = "--data d --name n --loss cross_entropy+dice --crop 96x128 --image-pooling --ignore 0 --test other"
    config = given(monkeypatch, "segmentation", *words.split())
    assert (config.loss, config.crop, config.image_pooling) == (("cross_entropy", "dice"), (96, 128), True)
    assert (config.ignore, config.test) == (0, "other")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["classification", "--name", "n"], "Missing option '--data'"),
        (["detection", "--data", "d"], "Missing option '--name'"),
        (["classification", "--data", "d", "--name", "n", "--epochs", "few"], "Invalid value for '--epochs'"),
        (["classification", "--data", "d", "--name", "n", "--epoch", "3"], "No such option"),
    ],
)
def test_what_does_not_parse_is_a_usage_error(words: list[str], said: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = CliRunner().invoke(app, ["train", *words])
    assert (done.exit_code, said in done.output) == (2, True), done.output


def test_a_task_of_a_plug_in_has_its_command(command_line, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Its own process would read the variable; here the row is added by hand."""
    from pipelines.core.options import option
    from pipelines.tasks import registry
    from pipelines.training.config import TrainingConfig

    class CountingConfig(TrainingConfig):
        highest: int | None = option(None, "Highest count.", group="network", otherwise="by the images", ge=1)

    class Counting(type(find_task(task_names()[0]))):  # type: ignore[misc]
        name, summary, config = "counting", "one number for each image", CountingConfig

    monkeypatch.setitem(registry.TASKS, "counting", "somewhere:Counting")
    found = registry._imported
    monkeypatch.setattr(registry, "_imported", lambda path: Counting() if path.startswith("somewhere") else found(path))
    assert "one number for each image" in command_line("train", "--help")[1]
    assert "Highest count. At least 1." in command_line("train", "counting", "--help")[1]
    status, out, _ = command_line("train", "counting", "--data", "d", "--highest", 9, "--print-config")
    assert (status, "highest: 9\n" in out) == (0, True)
    status, _, err = command_line("train", "countin", "--data", "d")
    assert (status, "Did you mean 'counting'?" in err) == (2, True)
