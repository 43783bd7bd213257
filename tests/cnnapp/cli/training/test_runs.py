"""Training runs: listed, compared, resumed, cleaned."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnapp.cli.training import run_folders, runs
from cnnapp.cli.training.config_file import to_yaml
from pipelines.core.errors import ConfigError, DataError
from pipelines.tasks.registry import find_task
from pipelines.training import checkpoint, run_directory
from pipelines.training.checkpoint import State


def make_run(folder: Path, done: int = 2, epochs: int = 4, seconds_ago: float = 0.0, **options: Any) -> Path:
    """Write a run as a training leaves it behind after some epochs."""
    config = find_task("classification").config.parse(data="photos", epochs=epochs, log_dir=folder, **options)
    folder.mkdir(parents=True)
    (folder / run_folders.CONFIG).write_text(to_yaml("classification", "birds", config))
    if done:
        figures = [
            {"loss": 1 / n, "accuracy": n / 10, "val_loss": 2 / n, "val_accuracy": n / 20} for n in range(1, done + 1)
        ]
        identity = config.identity() | {"batch_size": 32, "data": "0123abcd"}
        record = {"epochs": figures, "seconds": 12.0, "best_epoch": done, "best_rank": [done / 20, -1.0]}
        checkpoint.write(folder / checkpoint.FILE, State(record | {"identity": identity}, {"w": np.zeros(100)}))
    when = time.time() - seconds_ago
    for path in folder.iterdir():
        os.utime(path, (when, when))
    return folder


@pytest.fixture
def run(command_line):
    return command_line


def test_runs_are_listed_with_how_far_they_are(run, tmp_path: Path):
    assert run("runs") == (0, "No runs in runs. `cnnapp train` starts one.\n", "")
    make_run(tmp_path / "runs" / "stopped")
    finished = make_run(tmp_path / "runs" / "whole", done=4)
    run_directory.write_result(finished, Path("saved_models/birds/3"))
    make_run(tmp_path / "runs" / "unsaved", done=4)
    make_run(tmp_path / "runs" / "early", done=0)
    (tmp_path / "runs" / "notes").mkdir()
    status, out, _ = run("runs")
    assert status == 0
    rows = {line.split()[1]: line for line in out.splitlines() if line.startswith("│")}
    assert set(rows) == {"stopped", "whole", "unsaved", "early"}
    assert "2/4" in rows["stopped"]
    assert "accuracy 0.1000 (epoch 2)" in rows["stopped"]
    assert "classification" in rows["stopped"]
    assert [rows[name].split("│")[-2].strip() for name in ("stopped", "whole", "unsaved", "early")] == [
        "resumable", "finished", "resumable", "no epoch done",
    ]  # fmt: skip


def test_a_state_of_a_run_before_is_not_taken_for_this_one(tmp_path: Path):
    folder = make_run(tmp_path / "r")
    os.utime(folder / checkpoint.FILE, (0, 0))
    assert run_folders.find_run(str(folder)).epochs == []


def test_a_damaged_state_is_listed_as_such(run, tmp_path: Path):
    folder = make_run(tmp_path / "runs" / "broken")
    (folder / checkpoint.FILE).write_bytes(b"PK nothing")
    status, out, _ = run("runs", "list")
    assert (status, "damaged" in out) == (0, True)


def test_a_run_that_ended_early_is_finished(tmp_path: Path):
    folder = make_run(tmp_path / "r", done=3, epochs=50, patience=2)
    state = checkpoint.read(folder / checkpoint.FILE)
    checkpoint.write(folder / checkpoint.FILE, State(state.record | {"best_epoch": 1}, state.arrays))
    run_directory.write_result(folder, Path("m/1"))
    assert run_folders.find_run(str(folder)).status == "finished"


def test_runs_are_compared_by_figures_and_by_options_that_differ(run, tmp_path: Path):
    make_run(tmp_path / "runs" / "a")
    make_run(tmp_path / "runs" / "b", done=3, optimizer="muon", image_size=(64, 96))
    status, out, _ = run("runs", "compare", "a", "b")
    assert status == 0
    figures, options = out.split("Options that differ")
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    lines = {name: values for name, *values in cells}
    assert lines["validation accuracy"] == ["0.1000", "0.1500"]
    assert lines["epochs done"] == ["2", "3"]
    assert lines["optimizer"] == ["adamw", "muon"]
    assert lines["image_size"] == ["", "64, 96"]
    assert "seed" not in options
    assert "log_dir" not in options
    assert "validation accuracy" in figures
    status, _, err = run("runs", "compare", "a")
    assert (status, "name at least two" in err) == (2, True)
    status, _, err = run("runs", "compare", "a", "bb")
    assert (status, "unknown run 'bb'; available: a, b. Did you mean 'b'?" in err) == (2, True)


def test_a_run_goes_on_with_its_own_options(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_run(tmp_path / "runs" / "birds-2", seed=7)
    caught: list[Any] = []
    monkeypatch.setattr(runs, "start", lambda task, name, config: caught.append((task.name, name, config)))
    assert run("runs", "resume", "birds-2")[0] == 0
    task, name, config = caught[0]
    assert (task, name, config.seed, config.epochs, config.resume) == ("classification", "birds", 7, 4, True)
    assert config.log_dir == Path("runs/birds-2")


def test_what_cannot_go_on_says_why(run, tmp_path: Path):
    status, _, err = run("runs", "resume", "x")
    assert (status, "no runs in runs" in err) == (2, True)
    folder = make_run(tmp_path / "runs" / "done", done=4)
    run_directory.write_result(folder, Path("saved_models/birds/3"))
    status, _, err = run("runs", "resume", "done")
    assert (status, "is finished; its model is saved_models/birds/3" in err) == (2, True)
    old = make_run(tmp_path / "runs" / "old")
    (old / run_folders.CONFIG).unlink()
    status, _, err = run("runs", "resume", "old")
    assert (status, "again, with --resume" in err) == (2, True)


def test_cleaning_says_what_it_would_free_and_asks(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, done in (("stopped", 2), ("whole", 4), ("old", 4)):
        folder = make_run(tmp_path / "runs" / name, done, seconds_ago=3 * 86400 if name == "old" else 0)
        if done == 4:
            run_directory.write_result(folder, Path("m/1"))
            os.utime(folder / run_directory.RESULT, ((folder / checkpoint.FILE).stat().st_mtime,) * 2)
    asked: list[str] = []

    def refuse(question: str, abort: bool) -> None:
        asked.append(question)
        raise SystemExit(1)

    monkeypatch.setattr("typer.confirm", refuse)
    status, _, _ = run("runs", "clean")
    assert status == 1
    assert "Remove 2 runs and free" in asked[0]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["old", "stopped", "whole"]
    assert run("runs", "clean", "--older-than", 2, "--yes")[0] == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["stopped", "whole"]
    assert run("runs", "clean", "--yes")[0] == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["stopped"]
    assert "Nothing to remove" in run("runs", "clean", "--yes")[1]
    assert run("runs", "clean", "stopped", "--yes")[0] == 0
    assert list((tmp_path / "runs").iterdir()) == []


def test_only_runs_are_removed(run, tmp_path: Path):
    (tmp_path / "photos").mkdir()
    status, _, err = run("runs", "clean", "photos", "--yes")
    assert (status, "no runs in runs" in err) == (2, True)
    assert (tmp_path / "photos").is_dir()


def fail(folder: Path, error: Exception, epoch_done: bool = False, text: str = "new") -> None:
    """Begin a run that fails, before or after its next epoch."""
    with run_folders.recorded(folder, text):
        assert (folder / run_folders.CONFIG).read_text() == text
        if epoch_done:
            state = checkpoint.read(folder / checkpoint.FILE)
            time.sleep(0.02)
            checkpoint.write(folder / checkpoint.FILE, state)
        raise error


def test_options_are_kept_while_a_run_goes_on_and_not_where_it_never_began(tmp_path: Path):
    folder = tmp_path / "runs" / "x"
    with pytest.raises(DataError):
        fail(folder, DataError("no such data"))
    assert not folder.exists()
    make_run(folder)
    before = (folder / run_folders.CONFIG).read_text()
    with pytest.raises(DataError):
        fail(folder, DataError("no such data"))
    assert (folder / run_folders.CONFIG).read_text() == before
    assert len(run_folders.find_run(str(folder)).epochs) == 2
    with run_folders.recorded(folder, "new", resumed=True):
        assert (folder / run_folders.CONFIG).read_text() == before
    with pytest.raises(ConfigError):
        fail(folder, ConfigError("the loss is nan"), epoch_done=True)
    assert (folder / run_folders.CONFIG).read_text() == "new"
    assert sorted(path.name for path in folder.iterdir()) == [run_folders.CONFIG, checkpoint.FILE]
