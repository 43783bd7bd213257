"""A disk that is really full: a small file system, filled while a training writes to it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from killed_training import outcome_of
from pipelines.core.errors import ConfigError
from pipelines.storage import room
from places import ROOT
from small_disk import fill, small_disk

OPTIONS = ("--epochs", 12, "--image-size", 16, "--batch-size", 7, "--patience", 12, "--deterministic")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 24) as folder:
        yield folder


class Training:
    """`cnnapp train` in a process of its own."""

    def __init__(self, data: Path, models: Path, log: Path, *further: object) -> None:
        command = [sys.executable, "-m", "cnnapp", "--saved-models", models, "train", "classification"]
        command += ["--data", data, "--name", "model", "--log-dir", log, *OPTIONS, *further]
        self.process = subprocess.Popen(
            list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def until(self, pattern: str, folder: Path) -> None:
        """Wait until there is such a file."""
        while not any(folder.glob(pattern)):
            assert self.process.poll() is None, self.process.communicate()[0][-2000:]
            time.sleep(0.005)

    def end(self) -> tuple[int, str]:
        said, _ = self.process.communicate(timeout=600)
        assert "Traceback" not in said, said[-3000:]
        return self.process.returncode, said


def test_a_file_for_decoded_images_has_its_room_or_is_refused(disk: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(disk))
    with room.scratch_file(8 << 20) as file:
        assert fill(disk).stat().st_size < 17 << 20  # the room is taken before anything is written
        file.write(b"x" * (8 << 20))
        file.flush()
    (disk / "filler").unlink()
    with pytest.raises(
        ConfigError, match=r"disk: 32 MiB are needed for decoded images, and 2\d MiB are free; .* TMPDIR"
    ):
        room.scratch_file(32 << 20)
    assert not any(disk.iterdir())


def test_without_room_nothing_begins(shapes: Path, disk: Path, tmp_path: Path):
    fill(disk)
    status, said = Training(shapes, tmp_path / "models", disk / "log").end()
    assert status == 2
    assert "disk" in said.strip().splitlines()[-1]
    assert not (tmp_path / "models").exists()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["state", "model"])
def test_a_disk_that_fills_up_costs_nothing_that_was_learned(shapes: Path, disk: Path, tmp_path: Path, what: str):
    whole = Training(shapes, tmp_path / "whole", tmp_path / "log")
    assert whole.end()[0] == 0
    models, log = (tmp_path / "models", disk / "log") if what == "state" else (disk / "models", tmp_path / "run")
    running = Training(shapes, models, log)
    running.until("state*", log)
    filler = fill(disk)
    status, said = running.end()
    assert status in (1, 2)
    assert "No space left on device" in said
    assert "--resume" in said
    assert not any(models.glob("model/[0-9]*"))
    filler.unlink()
    status, said = Training(shapes, models, log, "--resume").end()
    assert status == 0, said
    assert outcome_of(models / "model") == outcome_of(tmp_path / "whole" / "model")
    assert json.loads((models / "model" / "1" / "model_card.json").read_text())["name"] == "model"
