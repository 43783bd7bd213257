"""What killed processes leave: theirs alone is removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.storage import leftovers
from pipelines.storage.leftovers import begun_for, beside, building_folder, is_leftover, remove_leftovers
from places import ROOT


def begin(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """Let another process begin a folder, and wait."""
    code = (
        "import sys, pathlib; from pipelines.storage.leftovers import building_folder; "
        "made = building_folder(pathlib.Path(sys.argv[1]) / 'building'); (made / 'graph').write_text('x'); "
        "print(made, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_living_process_builds_stays_and_what_a_killed_one_built_goes(tmp_path: Path):
    process, made = begin(tmp_path)
    try:
        own = building_folder(tmp_path / "building")
        assert made.is_dir()
        assert remove_leftovers(tmp_path) == []
        process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while not is_leftover(made):  # as a zombie, which nobody waited for yet
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.wait()
        assert remove_leftovers(tmp_path) == [made.name]
        assert [path.name for path in tmp_path.iterdir()] == [own.name]
    finally:
        process.kill()
        process.communicate()


def test_a_number_that_was_given_again_is_another_process(tmp_path: Path):
    """As in a container, where after a restart the same program has the same number."""
    path = beside(tmp_path / "state.npz")
    path.write_bytes(b"")
    assert not is_leftover(path)
    word = path.name.split("-")[1]
    other = path.rename(path.with_name(path.name.replace(word, "00000000")))
    assert is_leftover(other)
    assert begun_for(other.name) == "state.npz"


def test_of_another_machine_and_of_unknown_owners_is_left_what_nobody_touched_for_long(tmp_path: Path):
    marked = beside(tmp_path / "1").name
    host = marked.rsplit("-", 2)[1]
    names = [marked.replace(f"-{host}-", "-elsewhere-"), ".building-abcd1234", ".renaming-abcd1234", ".state.npz.part"]
    for name in names:
        (tmp_path / name).mkdir()
    assert remove_leftovers(tmp_path) == []
    long_ago = time.time() - leftovers.FORGOTTEN - 10
    for name in names:
        os.utime(tmp_path / name, (long_ago, long_ago))
    (tmp_path / names[0] / "new").write_text("")  # someone is at work in it
    assert sorted(remove_leftovers(tmp_path)) == sorted(names[1:])


def test_what_earlier_versions_left_with_a_number_is_known(tmp_path: Path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / f".model_card.json.{gone.pid}").write_text("{")
    (tmp_path / f".model_card.json.{os.getppid()}").write_text("{")
    (tmp_path / f".writable-{gone.pid}").write_text("")
    assert remove_leftovers(tmp_path) == [f".model_card.json.{gone.pid}", f".writable-{gone.pid}"]


@pytest.mark.parametrize(
    "name", [".git", ".trash", ".building", "1", ".x.part", ".hidden.12-34.part", "a.1-00000000-h-0.part"]
)
def test_what_others_called_so_is_nobodys_leftover(name: str, tmp_path: Path):
    (tmp_path / name).mkdir()
    os.utime(tmp_path / name, (0, 0))
    assert remove_leftovers(tmp_path) == []


def test_only_the_file_that_is_meant_is_looked_for_in_a_folder_of_the_users(tmp_path: Path):
    for name in ("a.onnx", "b.onnx"):
        path = beside(tmp_path / name)
        left = path.with_name(path.name.replace(path.name.split("-")[1], "00000000"))
        left.write_text("")
    (removed,) = remove_leftovers(tmp_path, "a.onnx")
    assert begun_for(removed) == "a.onnx"
    assert len(list(tmp_path.iterdir())) == 1
