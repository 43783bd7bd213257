"""`--golden generated`: no image of the data leaves with the model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf

import cnnapp
from pipelines.artifacts.golden import read_golden
from pipelines.artifacts.model_card import WARMUP
from pipelines.core.progress import Reporter
from pipelines.tasks.registry import find_task
from pipelines.training import recipe


class Listening(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def warmup_images(directory: Path) -> set[bytes]:
    """Return the images in the warm-up requests of a saved model."""
    from tensorflow_serving.apis import prediction_log_pb2

    found: set[bytes] = set()
    for record in tf.data.TFRecordDataset(str(directory / WARMUP)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        found |= set(tf.make_ndarray(request.inputs["image_bytes"]).ravel().tolist())
    return found


@pytest.mark.parametrize(
    ("task", "fixture", "options"),
    [
        ("classification", "shapes", {"image_size": 16}),
        pytest.param("detection", "scattered", {"batch_size": 8}, marks=pytest.mark.slow),
        pytest.param("segmentation", "painted", {"batch_size": 8}, marks=pytest.mark.slow),
    ],
)
def test_made_images_take_the_place_of_the_users(
    task: str, fixture: str, options: dict, request: pytest.FixtureRequest, tmp_path: Path
):
    folder: Path = request.getfixturevalue(fixture)
    heard = Listening()
    done = recipe.train(
        find_task(task),
        "made",
        root=tmp_path,
        reporter=heard,
        data=str(folder),
        epochs=1,
        golden="generated",
        **options,
    )
    assert done.card.training["golden"] == "generated"
    golden = read_golden(done.path)
    assert len(golden.inputs) == len(set(golden.inputs)) >= 4
    assert {data[:4] for data in golden.inputs} == {b"\x89PNG"}
    theirs = {path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert not theirs & (set(golden.inputs) | warmup_images(done.path))
    assert warmup_images(done.path) <= set(golden.inputs)
    assert any("generated images; no image of the data is stored" in line for line in heard.said)
    assert cnnapp.load(done.path).verify() <= 1e-5


def test_whose_images_are_stored_is_said():
    heard = Listening()
    task: Any = SimpleNamespace(golden=lambda splits: [b"1", b"2"])
    choice: Any = SimpleNamespace(config=SimpleNamespace(golden="images"))
    splits: Any = None
    assert recipe._golden(task, choice, splits, heard) == [b"1", b"2"]
    (line,) = heard.said
    assert "2 of your validation images are stored in the saved model" in line
    assert "--golden generated" in line
