"""The folder of a training run: it belongs to one process at a time, and what is unfinished in it is not lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pipelines.core.errors import ConfigError
from pipelines.core.progress import duration
from pipelines.storage import durable
from pipelines.storage.leftovers import remove_leftovers
from pipelines.training import checkpoint

__all__ = ["RESULT", "check_free", "claimed", "refuse_unfinished", "result_of", "write_result"]

RESULT = "result.yaml"
"""Where the model is that came of a run; written when it is there."""

_LOCK = ".lock"
_OWNER = ".owner.json"


@contextlib.contextmanager
def claimed(folder: Path | None, name: str) -> Iterator[Path]:
    """Hold the folder of a run, so that no other training writes to it; the system lets go of it when we end.

    Args:
        folder: of the run, made where it is missing. None for one that is only there while nothing goes wrong: it lies
            among the system's temporary files, and stays where the run fails with a state in it.
        name: of the saved model.

    Yields:
        The folder.

    Raises:
        ConfigError: if another process holds it, or it cannot be written to.
    """
    if folder is None:
        with _temporary(name) as made:
            yield made
        return
    lock = _locked(folder)
    try:
        remove_leftovers(folder)
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        with _said(folder):
            durable.write_atomically(folder / _OWNER, json.dumps(owner).encode())
        yield folder
    finally:
        (folder / _OWNER).unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def _temporary(name: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"cnnapp-{name}-"))
    try:
        yield folder
    except BaseException as error:
        if not (folder / checkpoint.FILE).is_file():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            error.add_note(f"what was learned is kept in {folder}: log_dir and resume=True go on from it")
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path) -> Any:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK, is_singleton=False)
    with _said(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(f"log-dir: {folder} is in use by {_owner(folder)}; {_ELSEWHERE}") from None
    return lock


_ELSEWHERE = "wait until it ends, or choose another --name or --log-dir"


def check_free(folder: Path) -> None:
    """Refuse the folder of a run that another process holds.

    Args:
        folder: of the run, which need not exist.

    Raises:
        ConfigError: saying which process it is.
    """
    if (folder / _LOCK).exists():
        _locked(folder).release()


def _owner(folder: Path) -> str:
    try:
        owner = json.loads((folder / _OWNER).read_bytes())
        return f"the training with process number {owner['pid']} on {owner['host']}, since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another training"


@contextlib.contextmanager
def _said(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"log-dir: {folder} cannot be written to: {error.strerror or error}; choose another with --log-dir"
        ) from None


def refuse_unfinished(folder: Path, identity: dict[str, Any], overwrite: bool) -> None:
    """Refuse to begin a run where another one would be lost: one whose model was not exported yet.

    Args:
        folder: of the run, held by this process.
        identity: plain values that tell the run from others.
        overwrite: whether the user said that it may be lost.

    Raises:
        ConfigError: saying how far the other one is, and in what it differs.
    """
    if overwrite or result_of(folder) is not None:
        return
    try:
        record = checkpoint.read_record(folder / checkpoint.FILE)
    except ConfigError:
        return
    done, seconds = len(record.get("epochs", ())), float(record.get("seconds", 0.0))
    differing = checkpoint.differences(record, identity)
    others = f" of other options ({differing})" if differing else " of the same options"
    resume = "go on with it by its own options and --resume" if differing else "go on with --resume"
    raise ConfigError(
        f"log-dir: {folder} holds an unfinished run{others}: {done} epochs, {duration(seconds)}; {resume}, choose "
        "another --name or --log-dir, or begin anew with --overwrite"
    )


def write_result(folder: Path, model: Path) -> None:
    """Note in the folder of a run where the model is that came of it.

    Raises:
        ConfigError: if it cannot be written.
    """
    with _said(folder):
        durable.write_atomically(folder / RESULT, yaml.safe_dump({"saved_model": str(model)}).encode())


def result_of(folder: Path, since: float = 0.0) -> str | None:
    """Return where the model is that came of the newest state of a run; None where nothing was exported since then.

    Args:
        folder: of the run.
        since: what is older than this, in seconds since 1970, came of another run.
    """
    path, states = folder / RESULT, [folder / checkpoint.FILE, folder / checkpoint.BEFORE]
    since = max([since, *(state.stat().st_mtime for state in states if state.is_file())])
    if not path.is_file() or path.stat().st_mtime < since:
        return None
    try:
        return str(yaml.safe_load(path.read_text(encoding="utf-8"))["saved_model"])
    except (yaml.YAMLError, TypeError, KeyError, OSError):
        return None
