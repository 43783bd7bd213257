"""The state of a run: written whole or not at all, read as it was, and refused where it is another's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import ConfigError
from pipelines.training.checkpoint import State, check_same_run, read, write


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
