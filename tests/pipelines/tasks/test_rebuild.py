"""A saved model's network built again, and the model written anew: the same answers, or none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.artifacts.golden import read_golden
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ModelError
from pipelines.tasks import rebuild


@pytest.mark.parametrize("fixture", ["trained", "detector", "segmenter"])
def test_a_model_written_anew_answers_as_before(fixture: str, request: pytest.FixtureRequest, tmp_path: Path):
    old = ServedModel(request.getfixturevalue(fixture).path)
    new = rebuild.renew(old, tmp_path)
    assert new.directory == tmp_path / old.card.name / "1"
    golden = read_golden(old.directory)
    assert golden.difference(new(golden.inputs)) <= 1e-5
    for part in ("metrics", "training", "history", "classes", "parameters", "input", "data", "evidence"):
        assert getattr(new.card, part) == getattr(old.card, part)
    for before, after in zip(old.weights(), new.weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_another_standardisation_is_found_out(trained, tmp_path: Path):
    served = ServedModel(trained.path)
    served.card = served.card.model_copy(update={"standardisation": {"mean": 3.0, "deviation": 100.0}})
    with pytest.raises(ModelError, match="its answers differ by"):
        rebuild.renew(served, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"standardisation": {}}, "does not say how the input is standardised"),
        ({"parameters": 7}, "not the 7 of the card"),
        ({"training": {"model": "convnet", "data": "x", "wheels": 4}}, "of another version"),
        ({"task": "poetry"}, "this version knows"),
    ],
)
def test_what_cannot_be_built_again_is_refused(change: dict, message: str, trained):
    served = ServedModel(trained.path)
    served.card = served.card.model_copy(update=change)
    with pytest.raises(ModelError, match=message):
        rebuild.network(served)


def test_weights_of_another_network_are_refused(trained, segmenter, tmp_path: Path):
    copy = Path(shutil.copytree(trained.path, tmp_path / "1"))
    served = ServedModel(copy)
    served.weights = ServedModel(segmenter.path).weights  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="not of the network"):
        rebuild.network(served)
