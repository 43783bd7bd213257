"""The folder of a run: one process at a time, nothing unfinished lost, and a record of what came of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core.errors import ConfigError
from pipelines.training import run_directory
from pipelines.training.checkpoint import FILE, State, write
from places import ROOT

HOLD = """
import sys
from pathlib import Path
from pipelines.training import run_directory
with run_directory.claimed(Path(sys.argv[1]), "birds"):
    print("held", flush=True)
    sys.stdin.read()
"""


def unfinished(folder: Path, **identity: object) -> None:
    write(folder / FILE, State({"identity": identity, "epochs": [{}, {}], "seconds": 75.0}, {}))


def test_a_folder_belongs_to_one_process_until_it_ends(tmp_path: Path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(ConfigError, match=rf"in use by the training with process number {holder.pid} on"),
            run_directory.claimed(tmp_path, "birds"),
        ):
            pass
        with pytest.raises(ConfigError, match="in use by"):
            run_directory.check_free(tmp_path)
    finally:
        holder.kill()
        holder.communicate()
    # Nothing was cleaned up, and yet it is free.
    run_directory.check_free(tmp_path)
    with run_directory.claimed(tmp_path, "birds") as folder:
        assert folder == tmp_path


def test_a_folder_belongs_to_one_thread_of_control(tmp_path: Path):
    with run_directory.claimed(tmp_path / "new", "birds"):
        with (
            pytest.raises(ConfigError, match=f"process number {os.getpid()}"),
            run_directory.claimed(tmp_path / "new", "birds"),
        ):
            pass
        assert (tmp_path / "new").is_dir()
    with run_directory.claimed(tmp_path / "new", "birds"):
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(ConfigError, match=r"cannot be written to.*--log-dir"),
        run_directory.claimed(tmp_path / "file" / "run", "birds"),
    ):
        pass


def test_what_killed_runs_began_is_removed(tmp_path: Path):
    left = tmp_path / ".state.npz.999999999-00000000-elsewhere-0.part"
    left.write_bytes(b"x")
    os.utime(left, (0, 0))
    with run_directory.claimed(tmp_path, "birds"):
        assert not left.exists()


def test_an_unfinished_run_is_not_lost(tmp_path: Path):
    run_directory.refuse_unfinished(tmp_path, {"seed": 1}, overwrite=False)
    unfinished(tmp_path, seed=1)
    with pytest.raises(ConfigError, match=r"of the same options: 2 epochs, 1m15s; go on with --resume.*--overwrite"):
        run_directory.refuse_unfinished(tmp_path, {"seed": 1}, overwrite=False)
    with pytest.raises(ConfigError, match=r"of other options \(seed was 1 and is now 2\)"):
        run_directory.refuse_unfinished(tmp_path, {"seed": 2}, overwrite=False)
    run_directory.refuse_unfinished(tmp_path, {"seed": 2}, overwrite=True)
    run_directory.write_result(tmp_path, Path("saved_models/birds/1"))
    run_directory.refuse_unfinished(tmp_path, {"seed": 2}, overwrite=False)
    assert run_directory.result_of(tmp_path) == "saved_models/birds/1"


def test_a_run_without_a_folder_stays_where_it_fails():
    with run_directory.claimed(None, "birds") as folder:
        unfinished(folder)
    assert not folder.exists()

    def fail() -> None:
        unfinished(folder)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught, run_directory.claimed(None, "birds") as folder:
        fail()
    assert str(folder) in caught.value.__notes__[0]
    assert (folder / FILE).is_file()
    with pytest.raises(ZeroDivisionError), run_directory.claimed(None, "birds") as empty:
        raise ZeroDivisionError
    assert not empty.exists()
