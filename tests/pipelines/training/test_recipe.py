"""What a run asks before its first step, and what is left when something fails behind its last."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines import classification
from pipelines.artifacts import writer
from pipelines.classification.task import Classification
from pipelines.core.errors import CnnAppError, ConfigError, ModelError
from pipelines.training import checkpoint, loop, recipe

OPTIONS = {"data": "digits", "epochs": 2, "image_size": 8, "deterministic": True}


def train(root: Path, quiet, **options: Any):
    return classification.train("small", root=root, reporter=quiet, **OPTIONS | options)


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step may be taken."""
    monkeypatch.setattr(loop.Loop, "train", lambda self, count: pytest.fail("a step was taken"))


@pytest.mark.usefixtures("never")
def test_a_folder_that_cannot_be_written_to_is_found_before_the_first_step(tmp_path: Path, quiet):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"cannot be written to.*--saved-models"):
        train(tmp_path / "file" / "models", quiet)
    with pytest.raises(ConfigError, match=r"cannot be written to.*--log-dir"):
        train(tmp_path / "models", quiet, log_dir=tmp_path / "file" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("never")
def test_too_little_room_is_found_before_the_first_step(tmp_path: Path, quiet, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=1, used=1, free=3 << 20))
    with pytest.raises(ConfigError, match=r"about \d+ MiB are needed .*, and 3 MiB are free; make room"):
        train(tmp_path, quiet)


@pytest.mark.parametrize(
    "failure",
    [
        OSError(28, "No space left on device"),
        pytest.param(ModelError("it differs"), marks=pytest.mark.slow),
        pytest.param(tf.errors.UnknownError(None, None, "disk"), marks=pytest.mark.slow),
    ],
)
def test_what_fails_behind_the_last_epoch_costs_no_training(
    tmp_path: Path, quiet, monkeypatch: pytest.MonkeyPatch, failure: Exception
):
    whole = train(tmp_path / "whole", quiet, log_dir=tmp_path / "whole-run")
    export = writer.export

    def fail(*args: Any, **kwargs: Any) -> None:
        raise failure

    monkeypatch.setattr(writer, "export", fail)
    with pytest.raises(CnnAppError, match=r"training itself is done, and its weights are kept in .*--resume finishes"):
        train(tmp_path / "models", quiet, log_dir=tmp_path / "run")
    monkeypatch.setattr(writer, "export", export)
    steps = []
    take = loop.Loop.train
    monkeypatch.setattr(loop.Loop, "train", lambda self, count: steps.append(count) or take(self, count))
    finished = train(tmp_path / "models", quiet, log_dir=tmp_path / "run", resume=True)
    assert steps == []
    assert finished.history.epochs == whole.history.epochs
    for left, right in zip(*(weights(one.path) for one in (finished, whole)), strict=True):
        np.testing.assert_array_equal(left, right)


def weights(path: Path) -> list[np.ndarray]:
    from pipelines.artifacts.served_model import ServedModel

    return ServedModel(path).weights()


def test_an_unfinished_run_is_gone_on_with_or_given_up_in_words(tmp_path: Path, quiet, monkeypatch: pytest.MonkeyPatch):
    evaluate, calls = loop.Loop.evaluate, []

    def die(self):
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError
        return evaluate(self)

    served = SimpleNamespace(card=SimpleNamespace(metrics={"test": {}}), directory=tmp_path / "small" / "1")
    monkeypatch.setattr(recipe, "_export", lambda *args: served)
    monkeypatch.setattr(Classification, "outcome_in_words", lambda self, test: "")
    monkeypatch.setattr(loop.Loop, "evaluate", die)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, quiet, log_dir=tmp_path / "run")
    before = (tmp_path / "run" / checkpoint.FILE).read_bytes()
    for other, said in (({"seed": 5}, "seed was 0 and is now 5"), ({}, "of the same options: 1 epochs")):
        with pytest.raises(ConfigError, match=said):
            train(tmp_path, quiet, log_dir=tmp_path / "run", **other)
    assert (tmp_path / "run" / checkpoint.FILE).read_bytes() == before
    train(tmp_path, quiet, log_dir=tmp_path / "run", overwrite=True, seed=5)
    train(tmp_path, quiet, log_dir=tmp_path / "run", epochs=1)  # what is finished may be followed
