"""The state of a training run in one file, from which it can be resumed."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.errors import ConfigError

__all__ = ["FILE", "Keeper", "State", "check_same_run", "read", "read_record", "write"]

FILE = "state.npz"
"""The name of the file in the log folder of a run."""

_RECORD = "record"


@dataclass(frozen=True)
class State:
    """What a run consists of between two epochs.

    Args:
        record: plain values: which run it is, what was finished, how it went.
        arrays: by name.
    """

    record: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write(path: Path, state: State) -> None:
    """Write a state; at every moment the file holds the state before or this one, whole.

    Args:
        path: of the file; its folder is made where it is missing.
        state: the state.

    Raises:
        ConfigError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(state.record).encode(), np.uint8)
    np.savez(buffer, **{_RECORD: text}, **{f"array:{name}": values for name, values in state.arrays.items()})  # type: ignore[arg-type]
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "wb") as file:
            file.write(buffer.getvalue())
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise ConfigError(f"log-dir: {path} cannot be written: {error.strerror}") from None


def read(path: Path) -> State:
    """Read a state.

    Args:
        path: of the file.

    Raises:
        ConfigError: if there is none, or it is damaged.
    """
    record, arrays = _read(path, with_arrays=True)
    return State(record, arrays)


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of a state alone, without its arrays.

    Args:
        path: of the file.

    Raises:
        ConfigError: as :func:`read`.
    """
    return _read(path, with_arrays=False)[0]


def _read(path: Path, with_arrays: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        # Opened here: where the content is no archive, NumPy leaves the file open.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            record = json.loads(file[_RECORD].tobytes())
            names = [name for name in file.files if name != _RECORD] if with_arrays else []
            return record, {name.removeprefix("array:"): file[name] for name in names}
    except FileNotFoundError:
        raise ConfigError(
            f"resume: there is no interrupted run in {path.parent}; omit --resume to start a new run"
        ) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"resume: {path} cannot be read ({error}); remove it and omit --resume to start again"
        ) from None


def check_same_run(state: State, identity: dict[str, Any]) -> None:
    """Refuse to resume a run with other options or other data.

    Args:
        state: as it was read; its record has an "identity".
        identity: of the run that is to be resumed.

    Raises:
        ConfigError: naming what differs.
    """
    before = state.record["identity"]
    differing = [name for name in sorted(before.keys() | identity.keys()) if before.get(name) != identity.get(name)]
    if differing:
        told = ", ".join(f"{name} was {before.get(name)!r} and is now {identity.get(name)!r}" for name in differing[:5])
        raise ConfigError(f"resume: the interrupted run differs: {told}; omit --resume to start again")


class Keeper:
    """Keeps the state of a run in its log folder, and takes it up again.

    Args:
        folder: of the logs; without one nothing is kept.
        identity: plain values that tell the run from others.
        variables: Keras's; their values are part of every state.
    """

    def __init__(self, folder: Path | None, identity: dict[str, Any], variables: Sequence[Any]) -> None:
        self._path = None if folder is None else folder / FILE
        self._identity, self._variables = identity, list(variables)

    def keep(self, state: State) -> None:
        """Write a state, with the values of the variables added to it."""
        if self._path is not None:
            own = {f"variable:{i}": np.asarray(variable) for i, variable in enumerate(self._variables)}
            write(self._path, State(state.record | {"identity": self._identity}, {**state.arrays, **own}))

    def restore(self) -> State:
        """Read the state, and give the variables their values.

        Raises:
            ConfigError: if there is none, or it is another run's.
        """
        if self._path is None:
            raise ConfigError("resume: requires --log-dir, the folder with the state of the interrupted run")
        state = read(self._path)
        check_same_run(state, self._identity)
        for i, variable in enumerate(self._variables):
            variable.assign(state.arrays[f"variable:{i}"])
        return state
