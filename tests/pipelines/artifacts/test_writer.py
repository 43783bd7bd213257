"""The saved model: complete, proven, never overwritten, and refused when it was altered."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cards import edit_card
from pipelines.artifacts import manifest, model_card, writer
from pipelines.artifacts.golden import read_golden
from pipelines.artifacts.model_card import check_files, file_hashes, read_card, versions
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ModelError
from pipelines.images import preprocessing


@pytest.fixture
def copied(trained, tmp_path: Path) -> Path:
    """A copy of a saved model, to be damaged."""
    return Path(shutil.copytree(trained.path, tmp_path / "shapes" / "1"))


def test_the_directory_is_what_the_design_says(trained):
    found = {path.relative_to(trained.path).as_posix() for path in trained.path.rglob("*") if path.is_file()}
    assert {
        "saved_model.pb", "fingerprint.pb", "variables/variables.index", "assets/labels.txt",
        "assets.extra/tf_serving_warmup_requests", "model_card.json", "golden/expected.json", "manifest.json",
    } <= found  # fmt: skip
    assert (trained.path / "assets/labels.txt").read_text().split() == ["cross", "disc"]
    assert not [path for path in trained.path.parent.iterdir() if path.name.startswith(".")]


def test_the_card_tells_everything(trained):
    card = read_card(trained.path)
    assert card.name == "shapes"
    assert card.version == int(trained.path.name)
    assert card.classes == ["cross", "disc"]
    assert card.input == {"height": 16, "width": 16, "channels": 3, "resize": "stretch"}
    assert set(card.metrics) == {"validation", "test"}
    assert 0 <= card.metrics["test"]["accuracy"] <= 1
    assert card.training["epochs"] == 15
    assert card.training["golden"] == "images"
    assert card.files == file_hashes(trained.path)
    assert {"python", "tensorflow", "keras", "numpy", "cnnapp"} <= set(card.software)
    assert card.data["source"] == card.training["data"] == "shapes"
    assert str(trained.path.parent.parent.parent) not in (trained.path / "model_card.json").read_text()


def test_every_weight_is_saved_once(trained):
    saved = [shape for _, shape in tf.train.list_variables(str(trained.path / "variables" / "variables")) if shape]
    assert sum(int(np.prod(shape)) for shape in saved) == trained.card.parameters


def test_both_signatures_give_the_same_answer(trained):
    loaded = tf.saved_model.load(str(trained.path))
    data = read_golden(trained.path).inputs[0]
    by_bytes = loaded.signatures["serving_default"](image_bytes=tf.constant([data]))
    pixels = preprocessing.decode(tf.constant(data))[None]
    by_pixels = loaded.signatures["pixels"](images=pixels)
    assert set(by_bytes) == {"scores", "class_ids", "class_names"}
    for name in by_bytes:
        assert np.array_equal(by_bytes[name], by_pixels[name])
    assert by_bytes["class_names"][0].numpy().decode() in ("cross", "disc")


def test_a_batch_of_nothing_is_answered_with_nothing(trained):
    loaded = tf.saved_model.load(str(trained.path))
    assert loaded.signatures["serving_default"](image_bytes=tf.constant([], tf.string))["scores"].shape == (0, 2)


def test_warm_up_requests_are_real_and_answerable(trained):
    from tensorflow_serving.apis import prediction_log_pb2

    loaded = tf.saved_model.load(str(trained.path))
    sizes = []
    for record in tf.data.TFRecordDataset(str(trained.path / model_card.WARMUP)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == "shapes"
        batch = tf.make_ndarray(request.inputs["image_bytes"])
        sizes.append(len(batch))
        answer = loaded.signatures[request.model_spec.signature_name](image_bytes=tf.constant(batch))
        assert answer["scores"].shape == (len(batch), 2)
    assert sizes == [1, 8, 32]


def test_golden_examples_are_exact(trained):
    golden = read_golden(trained.path)
    assert golden.difference(ServedModel(trained.path)(golden.inputs)) == 0.0


def test_golden_examples_notice_another_answer(trained):
    golden = read_golden(trained.path)
    outputs = ServedModel(trained.path)(golden.inputs)
    assert golden.difference({**outputs, "scores": outputs["scores"] + 0.1}) == pytest.approx(0.1, abs=1e-6)
    assert golden.difference({**outputs, "class_ids": 1 - outputs["class_ids"]}) == float("inf")
    assert golden.difference({**outputs, "class_names": outputs["class_names"][::-1][:1]}) == float("inf")
    assert golden.difference({}) == float("inf")


@pytest.mark.parametrize("name", ["saved_model.pb", "assets/labels.txt", "golden/expected.json"])
def test_an_altered_file_is_refused_by_name(copied: Path, name: str):
    with (copied / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelError, match=f"{name}: differs"):
        ServedModel(copied)


def test_a_missing_file_is_refused_by_name(copied: Path):
    (copied / "variables" / "variables.index").unlink()
    with pytest.raises(ModelError, match=r"variables.index: is missing"):
        ServedModel(copied)
    assert check_files(copied, read_card(copied)) == ["variables/variables.index: is missing"]


def test_a_damaged_card_is_refused_with_the_field(copied: Path):
    edit_card(copied, lambda record: record.update(classes=3))
    with pytest.raises(ModelError, match=r"model_card.json: is damaged .*classes"):
        read_card(copied)
    (copied / "model_card.json").write_text("{")
    manifest.seal(copied)
    with pytest.raises(ModelError, match="is damaged"):
        read_card(copied)
    (copied / "model_card.json").unlink()
    with pytest.raises(ModelError, match=r"model_card.json: is missing"):
        read_card(copied)
    manifest.seal(copied)
    with pytest.raises(ModelError, match=r"holds no model_card.json"):
        read_card(copied)


def test_damage_that_the_hashes_were_made_to_fit_is_still_refused(copied: Path):
    (copied / "saved_model.pb").write_bytes(b"not a graph")
    edit_card(copied, lambda record: record.update(files=file_hashes(copied)))
    with pytest.raises(ModelError, match="TensorFlow cannot load it"):
        ServedModel(copied)


@pytest.mark.slow
def test_a_version_is_never_overwritten(trained, shapes: Path, quiet):
    from pipelines import classification

    root = trained.path.parent.parent
    before = file_hashes(trained.path)
    again = classification.train("shapes", root=root, reporter=quiet, data=str(shapes), epochs=1, image_size=16)
    assert int(again.path.name) == int(trained.path.name) + 1
    assert file_hashes(trained.path) == before
    shutil.rmtree(again.path)


def test_a_number_taken_meanwhile_is_stepped_over(copied: Path, monkeypatch: pytest.MonkeyPatch):
    home = copied.parent
    building = Path(shutil.copytree(copied, home / ".building-x"))
    card = read_card(copied).model_dump(exclude={"version", "files"})
    monkeypatch.setattr(writer, "versions", lambda _: [])
    final = writer._publish(building, home, card)
    assert final == home / "2"
    assert read_card(final).version == 2
    assert versions(home) == [1, 2]


def test_an_export_that_gives_other_answers_is_not_published(trained, shapes: Path, quiet, tmp_path, monkeypatch):
    from pipelines import classification

    monkeypatch.setattr(writer.Golden, "difference", lambda self, outputs: 0.5)
    with pytest.raises(ModelError, match=r"differs from the network by 0\.5"):
        classification.train("bad", root=tmp_path, reporter=quiet, data=str(shapes), epochs=1, image_size=16)
    assert list((tmp_path / "bad").iterdir()) == []


def test_golden_inputs_are_the_first_of_each_class():
    examples = [(1, b"b"), (0, b"a"), (1, b"c"), (2, b"d")]
    assert writer.choose_golden(examples) == [b"a", b"b", b"d"]
    assert writer.choose_golden(examples, count=2) == [b"a", b"b"]
