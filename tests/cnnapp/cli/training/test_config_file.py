"""Options in a file: read from YAML, JSON and cards, won over by the command line, written so that they can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cnnapp.cli.training import train
from cnnapp.cli.training.config_file import read, to_yaml
from pipelines.core.errors import ConfigError
from pipelines.tasks.registry import find_task, task_names
from places import ROOT


@pytest.fixture
def trained_with(command_line, monkeypatch: pytest.MonkeyPatch):
    """Gives what a command line would train: task, name and configuration."""

    def run(*words: object) -> tuple[str, str, Any]:
        caught: list[Any] = []
        monkeypatch.setattr(train, "start", lambda task, name, config: caught.append((task.name, name, config)))
        status, _, err = command_line("train", *words)
        assert status == 0, err
        return caught[0]

    return run


def test_a_file_fills_options_and_the_command_line_wins(trained_with, tmp_path: Path):
    file = tmp_path / "birds.yaml"
    file.write_text("name: birds\ndata: photos\nimage-size: 64x96\nepochs: 9\nflip: true\nlearning_rate: 1e-3\n")
    task, name, config = trained_with("classification", "--config", file, "--epochs", 3, "--no-flip")
    assert (task, name, config.data) == ("classification", "birds", "photos")
    assert (config.image_size, config.learning_rate) == ((64, 96), 1e-3)
    assert (config.epochs, config.flip) == (3, False)
    # Also where it is given the value that is the default.
    file.write_text("data: photos\noptimizer: sgd\nseed: 5\n")
    _, _, config = trained_with("detection", "--config", file, "--optimizer", "adamw", "--seed", 0, "--name", "n")
    assert (config.optimizer, config.seed) == ("adamw", 0)


def test_json_and_cards_are_taken(trained_with, tmp_path: Path):
    file = tmp_path / "options.json"
    file.write_text(json.dumps({"data": "d", "loss": ["focal", "dice"], "task": "segmentation", "name": "n"}))
    assert trained_with("segmentation", "--config", file)[2].loss == ("focal", "dice")
    card = ROOT / "saved_models" / "digit-scenes" / "1" / "model_card.json"
    _, name, config = trained_with("detection", "--config", card, "--name", "again")
    assert name == "again"
    assert (
        config.identity() == find_task("detection").config.parse(**json.loads(card.read_text())["training"]).identity()
    )


def test_a_card_that_was_tested_on_another_set_names_both(tmp_path: Path):
    card = json.loads((ROOT / "saved_models" / "digit-scenes" / "1" / "model_card.json").read_text())
    card["training"]["data"] = "windows, tested on street.json"
    (tmp_path / "card.json").write_text(json.dumps(card))
    found = read(tmp_path / "card.json")
    assert (found.options["data"], found.options["test"], found.name) == ("windows", "street.json", None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("epoch: 3", "unknown option 'epoch'; .* Did you mean 'epochs'?"),
        ("epochs: 0", "c.yaml: epochs: received 0"),
        ("conv: tyled", "c.yaml: unknown conv 'tyled'; .* Did you mean 'tiled'?"),
        ("task: detection", "c.yaml: is a configuration of detection; use it with `cnnapp train detection --config"),
        ("- 3", "c.yaml: received list; expected names of options"),
        ("a: [", "c.yaml: is not valid YAML or JSON"),
        (None, "c.yaml: cannot be read: No such file"),
    ],
)
def test_what_does_not_fit_is_named_with_the_file(content: str | None, said: str, command_line, tmp_path: Path):
    import re

    if content is not None:
        (tmp_path / "c.yaml").write_text(content)
    status, _, err = command_line("train", "classification", "--data", "d", "--name", "n", "--config", "c.yaml")
    assert status == 2
    assert re.search(said, " ".join(err.split()))


@pytest.mark.parametrize("task", task_names())
def test_what_is_printed_is_read_again(task: str, command_line, tmp_path: Path):
    words = ["train", task, "--data", "my: #photos", "--name", "birds", "--epochs", 7, "--flip", "--seed", 3]
    status, out, _ = command_line(*words, "--print-config")
    assert status == 0
    (tmp_path / "c.yaml").write_text(out)
    assert command_line("train", task, "--config", "c.yaml", "--print-config")[1] == out
    content = yaml.safe_load(out)
    assert set(content) == {"task", "name", *find_task(task).config.model_fields}
    assert (content["epochs"], content["flip"], content["data"]) == (7, True, "my: #photos")
    # What is chosen from the data is said, where it can be.
    assert "learning_rate: null  # 0.00" in out


@pytest.mark.parametrize("task", task_names())
def test_every_configuration_survives_the_file(task: str, tmp_path: Path):
    config = find_task(task).config
    given = {
        "image_size": (64, 96), "window": (32, 40), "crop": (96, 96), "scales": (1.0, 0.123456789), "weight_decay": 0.0,
        "loss": ("focal",), "learning_rate": 1e-7, "data": "null", "log_dir": "a b", "augment": "none",
    }  # fmt: skip
    before = config.parse(**{key: value for key, value in given.items() if key in config.model_fields})
    (tmp_path / "c.yaml").write_text(to_yaml(task, "123e4", before))
    found = read(tmp_path / "c.yaml")
    assert (found.task, found.name) == (task, "123e4")
    assert config.parse(**found.options_for(task, config)) == before


def test_a_file_of_another_task_is_refused(tmp_path: Path):
    (tmp_path / "c.yaml").write_text("task: detection\nwindow: 32\n")
    with pytest.raises(ConfigError, match="is a configuration of detection"):
        read(tmp_path / "c.yaml").options_for("segmentation", find_task("segmentation").config)
