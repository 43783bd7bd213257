"""The folders of training runs: what was asked for, how far it came, and what came of it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnapp.cli.training import config_file
from cnnapp.cli.training.config_file import ConfigFile
from pipelines.core import workspace
from pipelines.core.errors import CnnAppError, ConfigError, unknown
from pipelines.training import checkpoint, run_directory

__all__ = ["CONFIG", "Run", "all_runs", "find_run", "recorded"]

CONFIG = "run.yaml"
"""The options of a run, as ``--config`` takes them."""


@contextlib.contextmanager
def recorded(folder: Path, text: str, resumed: bool = False) -> Iterator[None]:
    """Keep the options of a run in its folder while it goes on; not where it failed before its first epoch.

    Args:
        folder: of the run.
        text: the options, as YAML.
        resumed: whether the run goes on: its options are in the folder then, where a version before kept them.

    Raises:
        ConfigError: if the folder cannot be written to, or another training is at work in it.
    """
    run_directory.check_free(folder)
    path, state, new = folder / CONFIG, folder / checkpoint.FILE, not folder.exists()
    if resumed and path.is_file():
        yield
        return
    epochs, before = _changed(state), path.with_name(f".{CONFIG}.before")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            os.replace(path, before)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"log-dir: {path} cannot be written: {error.strerror}") from None
    try:
        yield
    except CnnAppError:
        if _changed(state) == epochs:
            if before.is_file():
                os.replace(before, path)  # with its time, by which it is told from what is older
            else:
                path.unlink(missing_ok=True)
            if new:
                shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        before.unlink(missing_ok=True)


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.is_file() else 0.0


@dataclass(frozen=True)
class Run:
    """A training run, read from its folder.

    Args:
        folder: where it is kept.
        config: its options; None for a run of a version that did not keep them, or where they cannot be read.
        record: its state after the last whole epoch, without the weights; None where there is none yet.
        saved_model: what came of it; None where nothing was exported since its last epoch.
        problem: why its state cannot be read; None where it can.
    """

    folder: Path
    config: ConfigFile | None
    record: dict[str, Any] | None
    saved_model: str | None
    problem: str | None = None

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name

    @property
    def epochs(self) -> list[dict[str, float]]:
        """The figures of each epoch that is done."""
        return list(self.record["epochs"]) if self.record else []

    @property
    def planned(self) -> int | None:
        """How many epochs it has at most, where that is known."""
        found = self.options.get("epochs")
        return int(found) if found else None

    @property
    def options(self) -> dict[str, Any]:
        """Its options, with what was chosen from the data where an epoch is done."""
        asked = dict(self.config.options) if self.config else {}
        chosen = dict(self.record["identity"]) if self.record else {}
        data = chosen.pop("data", None)  # there the hash of the data set, and not its name
        return asked | chosen | ({"dataset hash": data} if data else {})

    @property
    def best(self) -> tuple[int, str, float] | None:
        """The best epoch, the figure that chose it, and its value on the validation images."""
        number = int(self.record["best_epoch"]) if self.record else 0
        if not number:
            return None
        figures = self.epochs[number - 1]
        name = next(name for name in figures if name.startswith("val_") and name != "val_loss")
        return number, name.removeprefix("val_"), figures[name]

    @property
    def status(self) -> str:
        """Whether it is finished or resumable, has no epoch yet, or cannot be read."""
        if self.problem:
            return "damaged"
        if self.record is None:
            return "finished" if self.saved_model else "no epoch done"
        done, best, patience = len(self.epochs), int(self.record["best_epoch"]), self.options.get("patience")
        over = done >= (self.planned or done) or (patience is not None and done - best >= int(patience))
        # One that was stopped before its model was written can be taken up again; earlier versions did not say.
        return "finished" if over and (self.saved_model or self.config is None) else "resumable"

    @property
    def changed(self) -> float:
        """When a file of it was last written, as seconds since 1970."""
        return max((path.stat().st_mtime for path in self._files()), default=0.0)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(path.stat().st_size for path in self._files())

    def _files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


def all_runs() -> list[Run]:
    """Return the runs of :func:`pipelines.core.workspace.runs`, by name; folders that are none are passed over."""
    root = workspace.runs()
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return [_read(folder) for folder in folders if _is_run(folder)]


def find_run(name: str) -> Run:
    """Return a run by its name, or by the path of its folder.

    Raises:
        ConfigError: if there is none, with the nearest name.
    """
    for folder in (workspace.runs() / name, Path(name)):
        if name and folder.is_dir() and _is_run(folder):
            return _read(folder)
    known = [run.name for run in all_runs()]
    if not known:
        raise ConfigError(f"no runs in {workspace.runs()}; a training begins one")
    raise ConfigError(unknown("run", name, known))


def _is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (CONFIG, checkpoint.FILE)) or any(folder.glob("events.out.tf*"))


def _read(folder: Path) -> Run:
    state, began = folder / checkpoint.FILE, _changed(folder / CONFIG)
    config = record = problem = None
    if began:
        with contextlib.suppress(ConfigError):
            config = config_file.read(folder / CONFIG)
    # What is older than the options is of a run before in the same folder.
    if state.is_file() and _changed(state) >= began:
        try:
            record = checkpoint.read_record(state)
        except ConfigError as error:
            problem = str(error)
    result = run_directory.result_of(folder, since=began)
    return Run(folder, config, record, result, problem)
