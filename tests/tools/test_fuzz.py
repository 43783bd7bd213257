"""The tool that spoils files: it finds what it is made to find, and each reader stands a moment of it."""

from __future__ import annotations

import json
from pathlib import Path

import fuzz
import numpy as np
import pytest

from pipelines.core.errors import DataError
from sets_of_formats import READERS


def test_every_reader_of_the_tests_is_tried():
    names = [target.name for target in fuzz.targets()]
    assert len(names) == len(set(names))
    assert {f"{reader.task}, {reader.make.__name__}: {reader.file}" for reader in READERS} <= set(names)


@pytest.mark.parametrize(
    ("run", "sealed", "outcome"),
    [
        (lambda data, folder: None, False, "taken"),
        (lambda data, folder: None, True, "believed"),
        (lambda data, folder: data.decode("ascii"), False, "traceback"),
        (lambda data, folder: (_ for _ in ()).throw(DataError("no")), True, "refused"),
    ],
)
def test_what_becomes_of_an_input_is_told(run, sealed: bool, outcome: str, tmp_path: Path):
    target = fuzz.Target("planted", lambda folder: [b"\xffgood"], run, sealed)
    assert fuzz._try(target, b"\xffother", tmp_path, [b"\xffgood"])[0] == outcome


def test_spoiled_files_differ_and_come_again():
    data = bytes(range(200))
    first, again = ([fuzz.spoil(data, dice, [data]) for _ in range(50)] for dice in map(np.random.default_rng, (1, 1)))
    assert first == again
    assert len(set(first)) > 45


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["images", "zip", "detection, coco: annotations/instances_train.json", "model: manifest.json"]
)
def test_a_moment_of_it_finds_nothing(name: str, tmp_path: Path):
    counted = tmp_path / "c.json"
    status = fuzz.main(["--seconds", "10", "--only", name, "--json", str(counted), "--finds", str(tmp_path)])
    counts = json.loads(counted.read_text())[name]
    assert counts["refused"] > 10, counts
    assert status == 0, [path.read_text()[-500:] for path in tmp_path.glob("*.txt")]
