"""The state of a run: written whole or not at all, read as it was, and refused where it is another's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import ConfigError
from pipelines.training.checkpoint import BEFORE, FILE, Keeper, State, check_same_run, read, write


def test_what_is_written_is_read(tmp_path: Path):
    arrays = {"model:0": np.arange(6, dtype=np.float32).reshape(2, 3), "optimizer:0": np.array(7)}
    write(tmp_path / "new" / "state.npz", State({"epochs": [{"loss": 0.5}], "identity": {"seed": 1}}, arrays))
    found = read(tmp_path / "new" / "state.npz")
    assert found.record == {"epochs": [{"loss": 0.5}], "identity": {"seed": 1}}
    assert found.arrays.keys() == arrays.keys()
    for name, values in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], values)
        assert found.arrays[name].dtype == values.dtype


def test_a_write_that_fails_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "state.npz"
    write(path, State({"identity": {}, "step": 1}, {}))

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        write(path, State({"identity": {}, "step": 2}, {}))
    assert read(path).record["step"] == 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"x" * 1000])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "state.npz").write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "state.npz")


def test_what_differs_is_named():
    state = State({"identity": {"seed": 1, "epochs": 3}}, {})
    check_same_run(state, {"seed": 1, "epochs": 3})
    with pytest.raises(ConfigError, match="epochs was 3 and is now 4; omit --resume"):
        check_same_run(state, {"seed": 1, "epochs": 4})


def kept(folder: Path, *steps: int) -> Keeper:
    keeper = Keeper(folder, {"seed": 1}, [])
    for step in steps:
        keeper.keep(State({"step": step}, {"w": np.full(1000, step, np.float32)}))
    return keeper


def test_no_altered_state_is_taken(tmp_path: Path):
    """Whichever bit of the file is another one: in the archive, in its directory, in the hash at its end."""
    write(tmp_path / FILE, State({"identity": {}}, {"w": np.arange(50, dtype=np.float32)}))
    whole = (tmp_path / FILE).read_bytes()
    for at in range(0, len(whole), 7):
        altered = bytearray(whole)
        altered[at] ^= 1 << at % 8
        (tmp_path / FILE).write_bytes(altered)
        with pytest.raises(ConfigError, match="cannot be read"):
            read(tmp_path / FILE)
    for length in range(0, len(whole), 31):
        (tmp_path / FILE).write_bytes(whole[:length])
        with pytest.raises(ConfigError, match="cannot be read"):
            read(tmp_path / FILE)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:40] + b"?" + data[41:]]
)
def test_a_damaged_state_gives_way_to_the_one_before(tmp_path: Path, damage):
    kept(tmp_path, 1, 2)
    (tmp_path / FILE).write_bytes(damage((tmp_path / FILE).read_bytes()))
    keeper = Keeper(tmp_path, {"seed": 1}, [])
    assert keeper.restore().record["step"] == 1
    assert FILE in keeper.note
    assert BEFORE in keeper.note
    # The good one stays until there are two again, and never gives way to the damaged one.
    keeper.keep(State({"step": 3}, {}))
    assert (read(tmp_path / FILE).record["step"], read(tmp_path / BEFORE).record["step"]) == (3, 1)
    keeper.keep(State({"step": 4}, {}))
    assert (read(tmp_path / FILE).record["step"], read(tmp_path / BEFORE).record["step"]) == (4, 3)


def test_the_newest_whole_state_is_taken(tmp_path: Path):
    kept(tmp_path, 1, 2)
    assert Keeper(tmp_path, {"seed": 1}, []).restore().record["step"] == 2
    (tmp_path / FILE).unlink()  # killed between two renames
    keeper = Keeper(tmp_path, {"seed": 1}, [])
    assert keeper.restore().record["step"] == 1
    assert keeper.note == ""


def test_the_states_of_a_run_before_go(tmp_path: Path):
    kept(tmp_path, 1, 2)
    kept(tmp_path, 7)
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE]


def test_a_write_that_fails_leaves_both_states_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keeper = kept(tmp_path, 1, 2)

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=r"No space left.*--resume"):
        keeper.keep(State({"step": 3}, {}))
    assert (read(tmp_path / FILE).record["step"], read(tmp_path / BEFORE).record["step"]) == (2, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEFORE, FILE]
