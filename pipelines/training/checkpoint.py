"""The state of a training run, from which it can be resumed: the newest one, and the one before it.

A state is a file of NumPy's (``.npz``) with the SHA-256 of all before it at its end. One that is damaged is not used:
the one before is taken instead.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.errors import ConfigError
from pipelines.storage import durable
from pipelines.storage.leftovers import beside

__all__ = ["BEFORE", "FILE", "Keeper", "State", "check_same_run", "differences", "read", "read_record", "write"]

FILE = "state.npz"
"""The name of the newest state in the folder of a run."""
BEFORE = "state.before.npz"
"""The name of the state before it."""

_RECORD = "record"
_MARK = b"cnnapp state sha256 "
_TAIL = len(_MARK) + hashlib.sha256().digest_size


class _Damaged(ConfigError):
    """A state that is not as it was written."""


@dataclass(frozen=True)
class State:
    """What a run consists of between two steps.

    Args:
        record: plain values: which run it is, what was finished, how it went.
        arrays: by name.
    """

    record: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write(path: Path, state: State, before: Path | None = None) -> None:
    """Write a state; at every moment the file holds the state before or this one, whole.

    Args:
        path: of the file; its folder is made where it is missing.
        state: the state.
        before: where the file that was there goes; it is replaced by default.

    Raises:
        ConfigError: if the file cannot be written; the one before is as it was.
    """
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(state.record).encode(), np.uint8)
    np.savez(buffer, **{_RECORD: text}, **{f"array:{name}": values for name, values in state.arrays.items()})  # type: ignore[arg-type]
    content = buffer.getvalue()
    staged = beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_atomically(staged, [content, _MARK, hashlib.sha256(content).digest()])
        if before is not None and path.exists():
            os.replace(path, before)
        durable.replace(staged, path)
    except OSError as error:
        raise ConfigError(
            f"log-dir: {path} cannot be written: {error.strerror}; what was kept before is whole, and --resume goes on "
            "from it"
        ) from None
    finally:
        staged.unlink(missing_ok=True)


def read(path: Path) -> State:
    """Read a state.

    Args:
        path: of the file.

    Raises:
        ConfigError: if there is none, or it is damaged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise _Damaged(f"resume: {path} cannot be read: {error.strerror}") from None
    content, tail = data[:-_TAIL], data[-_TAIL:]
    if tail != _MARK + hashlib.sha256(content).digest():
        raise _damaged(path, "it is cut off or altered")
    record, arrays = _parse(path, io.BytesIO(content), with_arrays=True)
    return State(record, arrays)


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of a state alone, without its arrays and without proof that they are whole.

    Args:
        path: of the file.

    Raises:
        ConfigError: as :func:`read`.
    """
    try:
        with path.open("rb") as stream:
            return _parse(path, stream, with_arrays=False)[0]
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise _Damaged(f"resume: {path} cannot be read: {error.strerror}") from None


def _parse(path: Path, stream: Any, with_arrays: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with np.load(stream, allow_pickle=False) as file:
            record = json.loads(file[_RECORD].tobytes())
            if not isinstance(record.get("identity"), dict):
                raise ValueError("no run is named in it")
            names = [name for name in file.files if name != _RECORD] if with_arrays else []
            return record, {name.removeprefix("array:"): file[name] for name in names}
    except Exception as error:  # What archives and arrays are read by raise whatever damage leads them to.
        raise _damaged(path, str(error)) from None


def _missing(path: Path) -> ConfigError:
    return ConfigError(f"resume: there is no interrupted run in {path.parent}; omit --resume to start a new run")


def _damaged(path: Path, why: str) -> ConfigError:
    return _Damaged(f"resume: {path} cannot be read ({why}); remove it and omit --resume to start again")


def differences(record: dict[str, Any], identity: dict[str, Any]) -> str:
    """Say in which options two runs differ: ``"seed was 1 and is now 2"``; the first five of them.

    Args:
        record: of a state; it has an "identity".
        identity: of the other run.
    """
    before = record["identity"]
    differing = [name for name in sorted(before.keys() | identity.keys()) if before.get(name) != identity.get(name)]
    return ", ".join(f"{name} was {before.get(name)!r} and is now {identity.get(name)!r}" for name in differing[:5])


def check_same_run(state: State, identity: dict[str, Any]) -> None:
    """Refuse to resume a run with other options or other data.

    Args:
        state: as it was read; its record has an "identity".
        identity: of the run that is to be resumed.

    Raises:
        ConfigError: naming what differs.
    """
    if told := differences(state.record, identity):
        raise ConfigError(f"resume: the interrupted run differs: {told}; omit --resume to start again")


class Keeper:
    """Keeps the states of a run in its folder, the newest and the one before, and takes them up again.

    Args:
        folder: of the run; without one nothing is kept.
        identity: plain values that tell the run from others.
        variables: Keras's; their values are part of every state.

    Attributes:
        note: what is to be said of the state that was taken up; empty where it is the newest.
    """

    def __init__(self, folder: Path | None, identity: dict[str, Any], variables: Sequence[Any]) -> None:
        self._folder, self._identity, self._variables = folder, identity, list(variables)
        self._whole = False  # whether the newest state is one of this run, and was read or written by it
        self.note = ""

    def keep(self, state: State) -> None:
        """Write a state, with the values of the variables added to it.

        Raises:
            ConfigError: if it cannot be written; those that were there stay as they are.
        """
        if self._folder is None:
            return
        own = {f"variable:{i}": np.asarray(variable) for i, variable in enumerate(self._variables)}
        complete = State(state.record | {"identity": self._identity}, {**state.arrays, **own})
        path, before = self._folder / FILE, self._folder / BEFORE
        write(path, complete, before=before if self._whole else None)
        if not self._whole and not self.note:
            before.unlink(missing_ok=True)  # of another run
        self._whole = True

    def restore(self) -> State:
        """Read the newest state that is whole, and give the variables their values.

        Raises:
            ConfigError: if there is none, or it is another run's.
        """
        if self._folder is None:
            raise ConfigError("resume: requires --log-dir, the folder with the state of the interrupted run")
        state = self._newest(self._folder / FILE, self._folder / BEFORE)
        check_same_run(state, self._identity)
        for i, variable in enumerate(self._variables):
            variable.assign(state.arrays[f"variable:{i}"])
        return state

    def _newest(self, path: Path, before: Path) -> State:
        try:
            state = read(path)
        except ConfigError as error:
            if not before.exists():
                raise
            state = read(before)
            if isinstance(error, _Damaged):
                self.note = f"{path.name} is damaged; going on from the state before it, {before.name}"
            return state
        self._whole = True
        return state
