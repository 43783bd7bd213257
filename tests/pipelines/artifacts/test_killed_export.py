"""An export that is killed leaves no half version, and the next one cleans up behind it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.artifacts.model_card import check_files, read_card, versions
from pipelines.storage.leftovers import is_leftover
from places import ROOT

DIGITS = ROOT / "saved_models" / "digits" / "1"

_PUBLISHED = """
import itertools, json, os, pathlib, shutil, sys
from pipelines.artifacts import writer
from pipelines.artifacts.model_card import check_files, read_card, versions
from pipelines.storage.leftovers import building_folder, remove_leftovers

source, home, told = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), []
card = read_card(source).model_dump(exclude={"version", "files"})


def publish(stop):
    seen = 0

    def watch(event, arguments):
        nonlocal seen
        if event in ("open", "os.rename", "os.chmod") and str(home) in str(arguments[0]):
            seen += 1
            if seen == stop:
                os.kill(os.getpid(), 9)

    building = building_folder(home / "building")
    shutil.copytree(source, building, dirs_exist_ok=True)
    sys.addaudithook(watch)
    writer._publish(building, home, card)
    os._exit(0)


for stop in itertools.count(1, 6):
    child = os.fork() or publish(stop)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = [path.name for path in home.iterdir() if path.name.startswith(".")]
    there = versions(home)
    problems = [check_files(home / str(each), read_card(home / str(each))) for each in there]
    removed = remove_leftovers(home)
    told.append([status, there, problems, left == removed, len(left)])
    for each in there:
        shutil.rmtree(home / str(each))
    if status == 0:
        break
print(json.dumps(told))
"""


def test_killed_at_any_moment_of_publishing_there_is_a_whole_version_or_none(tmp_path: Path):
    command = [sys.executable, "-c", _PUBLISHED, str(DIGITS), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert len(told) > 5
    assert [status for status, *_ in told] == [-9] * (len(told) - 1) + [0]
    for status, there, problems, cleaned, left in told:
        assert there in ([], [1])
        assert problems == [[]] * len(there)
        assert cleaned
        assert left + len(there) == 1, (status, there, left)
    assert list(tmp_path.iterdir()) == []


_RENEWED = """
import pathlib, sys
from pipelines.artifacts.served_model import ServedModel
from pipelines.tasks.rebuild import renew
served = ServedModel(pathlib.Path(sys.argv[1]))
print("begins", flush=True)
renew(served, pathlib.Path(sys.argv[2]))
print("done", flush=True)
"""


def export(root: Path, seconds: float | None) -> float:
    """Export in a process that is killed after so many seconds; return how long it took."""
    process = subprocess.Popen(
        [sys.executable, "-c", _RENEWED, str(DIGITS), str(root)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    began = time.monotonic()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    return time.monotonic() - began


@pytest.mark.slow
def test_a_real_export_that_is_killed_leaves_nothing_that_counts(tmp_path: Path):
    taken, drawn = export(tmp_path, None), random.Random(0)
    assert versions(tmp_path / "digits") == [1]
    for _ in range(8):
        export(tmp_path, drawn.uniform(0.05, taken))
        home = tmp_path / "digits"
        assert all(path.name.isdecimal() or is_leftover(path) for path in home.iterdir())
        assert sum(not path.name.isdecimal() for path in home.iterdir()) <= 1  # what the ones before left is gone
        for version in versions(home):
            assert check_files(home / str(version), read_card(home / str(version))) == []
    export(tmp_path, None)
    assert all(path.name.isdecimal() for path in (tmp_path / "digits").iterdir())
