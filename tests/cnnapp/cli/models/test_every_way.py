"""The ways to an answer: all say the same, and one that does not is found out; of files see tests/test_ways_in."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from cnnapp.cli.models import cross_check
from cnnapp.prediction.output_parsing import from_answers, to_answers
from pipelines.artifacts.golden import read_golden
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ModelError


@pytest.mark.slow
@pytest.mark.service
def test_verify_answers_by_every_way_and_says_how_far_each_is(models: Path, command_line):
    status, out, err = command_line("verify", "shapes")
    assert (status, err) == (0, "")
    for way in cross_check.WAYS:
        assert f"  {way}: largest difference " in out
        assert float(out.split(f"{way}: largest difference ")[1].split()[0]) <= 1e-5


def test_a_way_that_answers_otherwise_is_named(trained, monkeypatch: pytest.MonkeyPatch):
    def wrong(served, images):
        found = cross_check.by_python(served, images)
        return {**found, "scores": found["scores"] + np.float32(2e-5)}

    monkeypatch.setattr(cross_check, "WAYS", {"Python": cross_check.by_python, "a crooked one": wrong})
    found = cross_check.replay(ServedModel(trained.path))
    assert str(next(found)) == "Python: largest difference 0"
    with pytest.raises(ModelError, match="by a crooked one the golden examples give other answers"):
        next(found)


def test_without_ray_the_service_is_passed_over_with_its_reason(trained, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(cross_check, "WAYS", {"the service": cross_check.by_service})
    (found,) = cross_check.replay(ServedModel(trained.path))
    assert found.difference is None
    assert "pip install 'ray[serve]" in str(found)


def test_another_process_that_fails_is_said_with_its_last_line(trained, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cross_check, "_ALONE", "raise ValueError('no such thing')")
    with pytest.raises(ModelError, match="cannot answer with it: ValueError: no such thing"):
        cross_check.by_tensorflow_alone(ServedModel(trained.path), [b""])


@pytest.mark.parametrize("fixture", ["trained", "detector", "segmenter"])
def test_outputs_become_answers_and_outputs_again(fixture: str, request: pytest.FixtureRequest):
    served = ServedModel(request.getfixturevalue(fixture).path)
    outputs = read_golden(served.directory).outputs
    names = [str(number) for number in range(len(next(iter(outputs.values()))))]
    found = from_answers(list(to_answers(served.card.task, outputs, names, served.card.classes)))
    assert set(found) == set(outputs)
    for name, expected in outputs.items():
        np.testing.assert_array_equal(found[name], expected)
        assert found[name].dtype == expected.dtype
