"""Sources: what they give, and what they say when they cannot."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawings import draw_shape, make_folder
from pipelines import data
from pipelines.core.errors import DataError
from pipelines.data import SPLIT_NAMES
from pipelines.data.checks import classification
from pipelines.data.splits import split_of


def ids(splits: data.Splits) -> dict[str, list[str]]:
    return {part: [example.id for example in splits[part].examples()] for part in SPLIT_NAMES}


# === The split ===


@given(st.text(max_size=20), st.integers(0, 2**31 - 1))
def test_the_part_of_an_example_depends_on_its_name_and_the_seed_alone(key: str, seed: int):
    assert split_of(key, seed) == split_of(key, seed)
    assert split_of(key, seed) in SPLIT_NAMES


def test_the_parts_have_their_shares():
    counts = Counter(split_of(f"image-{number}", 0) for number in range(10_000))
    assert abs(counts["train"] - 7000) < 200
    assert abs(counts["validation"] - 1500) < 150
    assert abs(counts["test"] - 1500) < 150


def test_another_seed_gives_another_split():
    names = [f"image-{number}" for number in range(100)]
    assert [split_of(name, 0) for name in names] != [split_of(name, 1) for name in names]


# === Digits ===


def test_the_digits_are_all_there_once_and_always_in_the_same_order():
    splits = data.load("digits")
    found = ids(splits)
    everything = [one for part in SPLIT_NAMES for one in found[part]]
    assert len(everything) == len(set(everything)) == 1797
    assert found == ids(data.load("digits"))
    assert not splits.mirrored
    assert splits.fingerprint != data.load("digits", seed=1).fingerprint


# === A folder per class ===


def test_a_folder_per_class_is_split_by_name(shapes: Path):
    splits = data.load(str(shapes))
    assert splits.classes == ("cross", "disc")
    assert sum(splits[part].size for part in SPLIT_NAMES) == 120
    for part in SPLIT_NAMES:
        for example in splits[part].examples():
            assert example.id.startswith(splits.classes[example.label])
    assert splits.mirrored


def test_a_growing_folder_keeps_every_image_in_its_part(tmp_path: Path):
    before = ids(data.load(str(make_folder(tmp_path / "d", count=30))))
    draw_shape("disc", 1).save(tmp_path / "d" / "disc" / "another.png")
    after = ids(data.load(str(tmp_path / "d")))
    for part in SPLIT_NAMES:
        assert set(before[part]) <= set(after[part])


@pytest.mark.parametrize("validation", ["val", "validation", "valid"])
def test_folders_of_parts_are_taken_as_they_are(tmp_path: Path, validation: str):
    make_folder(tmp_path, count=6, parts=("train", validation, "test"))
    found = ids(data.load(str(tmp_path)))
    assert all(one.startswith("train/") for one in found["train"])
    assert all(one.startswith(f"{validation}/") for one in found["validation"])
    assert all(one.startswith("test/") for one in found["test"])


def test_without_a_validation_folder_some_training_images_are_taken(tmp_path: Path):
    make_folder(tmp_path, count=40, parts=("train", "test"))
    found = ids(data.load(str(tmp_path)))
    assert all(one.startswith("train/") for one in found["train"] + found["validation"])
    assert 0 < len(found["validation"]) < len(found["train"])
    assert len(found["test"]) == 80


def test_classes_that_are_characters_are_not_mirrored(tmp_path: Path):
    make_folder(tmp_path, count=30)
    (tmp_path / "cross").rename(tmp_path / "3")
    (tmp_path / "disc").rename(tmp_path / "10")
    assert not data.load(str(tmp_path)).mirrored


def test_what_is_wrong_with_a_folder_is_named(tmp_path: Path):
    def broken(message: str) -> None:
        with pytest.raises(DataError, match=message):
            data.load(str(tmp_path / "d"))

    broken("no such folder")
    (tmp_path / "d").mkdir()
    broken("holds no folders")
    make_folder(tmp_path / "d", count=30)
    (tmp_path / "d" / "triangle").mkdir()
    broken(r"triangle: the class folder holds no image")
    (tmp_path / "d" / "triangle").rmdir()
    shutil.rmtree(tmp_path / "d" / "disc")
    broken("single class 'cross'")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is a file"):
        data.load(str(tmp_path / "file"))


def test_parts_without_test_images_are_refused(tmp_path: Path):
    make_folder(tmp_path, count=30, parts=("train", "val"))
    with pytest.raises(DataError, match="test part has no image; add a folder 'test'"):
        data.load(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path):
    make_folder(tmp_path, count=30)
    (tmp_path / "disc").chmod(0)
    try:
        with pytest.raises(DataError, match="disc: cannot be read: Permission denied"):
            data.load(str(tmp_path))
    finally:
        (tmp_path / "disc").chmod(0o755)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from pipelines.data.formats import class_folders

    make_folder(tmp_path, count=30)
    images = class_folders._images

    def refuse(path: Path) -> list[Path]:
        if path.name == "disc":
            raise PermissionError(13, "Permission denied")
        return images(path)

    monkeypatch.setattr(class_folders, "_images", refuse)
    with pytest.raises(DataError, match="disc: cannot be read: Permission denied"):
        data.load(str(tmp_path))


def test_an_unknown_source_is_answered_with_those_that_exist():
    with pytest.raises(DataError, match=r"unknown data source 'digit'.*Did you mean 'digits'"):
        data.load("digit")


# === tensorflow-datasets ===


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real, prepared sets of tensorflow-datasets: one complete, one without a test part."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    root = tmp_path_factory.mktemp("tfds")
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["cross", "disc"]),
        }
    )

    def part(count: int) -> tf.data.Dataset:
        pictures = [np.asarray(draw_shape(("cross", "disc")[n % 2], n, (16, 16))) for n in range(count)]
        return tf.data.Dataset.from_tensor_slices({"image": pictures, "label": [n % 2 for n in range(count)]})

    for name, parts in {"tiny_shapes": {"train": 40, "test": 10}, "tiny_untested": {"train": 10}}.items():
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            data_dir=root,
            config="default",
            features=features,
            split_datasets={split: part(count) for split, count in parts.items()},
            disable_shuffling=True,
        )
    return root


def test_a_prepared_dataset_is_read(prepared: Path):
    splits = data.load("tfds:tiny_shapes", prepared)
    assert splits.classes == ("cross", "disc")
    assert splits.test.size == 10
    assert splits.train.size + splits.validation.size == 40
    found = ids(splits)
    assert not set(found["train"]) & set(found["validation"])
    assert [len(found[part]) for part in SPLIT_NAMES] == [splits[part].size for part in SPLIT_NAMES]
    labels = [example.label for example in splits.test.examples()]
    assert labels == [n % 2 for n in range(10)]


def test_a_dataset_without_a_test_split_is_refused(prepared: Path):
    with pytest.raises(DataError, match=r"no test split \(it has: train\)"):
        data.load("tfds:tiny_untested", prepared)


def test_an_unknown_dataset_is_answered_with_what_is_prepared(prepared: Path):
    with pytest.raises(DataError, match=r"'tiny_shape'; prepared in .*tiny_shapes.* Did you mean 'tiny_shapes'"):
        data.load("tfds:tiny_shape", prepared)


def test_a_dataset_that_cannot_be_downloaded_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import tensorflow_datasets as tfds

    def offline(*args: object, **kwargs: object) -> None:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", offline)
    with pytest.raises(DataError, match=r"mnist: is not prepared in .*Name or service not known.*--data-dir"):
        data.load("tfds:mnist", tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        data.load("tfds:mnist", tmp_path / "nowhere")


def test_real_fashion_mnist_is_split_as_published(shared_data: Path):
    splits = data.load("tfds:fashion_mnist", shared_data / "tfds")
    assert splits.test.size == 10_000
    assert splits.train.size + splits.validation.size == 60_000
    assert splits.classes[0] == "T-shirt/top"


# === Checks ===


def test_a_clean_source_has_no_problems(quiet):
    found = classification.check("digits", None, 0, quiet)
    assert not found.problems
    assert found.summary[0].startswith("1,797 images")


def test_everything_that_is_wrong_is_listed_at_once(tmp_path: Path, quiet):
    make_folder(tmp_path, count=12, parts=("train", "test"))
    (tmp_path / "train" / "empty").mkdir()
    (tmp_path / "train" / "disc" / "bad.png").write_text("no image")
    (tmp_path / "train" / "disc" / "cut.jpg").write_bytes(b"")
    shutil.copy(tmp_path / "train" / "cross" / "000-a.png", tmp_path / "test" / "cross" / "leak.png")
    shutil.copy(tmp_path / "train" / "cross" / "001-b.jpg", tmp_path / "train" / "disc" / "wrong.jpg")
    shutil.copy(tmp_path / "train" / "cross" / "002-c.gif", tmp_path / "train" / "cross" / "twice.gif")
    text = "\n".join(map(str, classification.check(str(tmp_path), None, 0, quiet).problems))
    assert "empty: the class folder holds no image" in text
    assert "bad.png: is not an image" in text
    assert "cut.jpg: the file is empty" in text
    assert "leak.png" in text
    assert "duplicate across parts" in text
    assert "wrong.jpg" in text
    assert "under another class" in text
    assert "twice.gif" in text


def test_a_single_class_and_missing_parts_are_listed(tmp_path: Path, quiet):
    make_folder(tmp_path, count=3, parts=("train",))
    shutil.rmtree(tmp_path / "train" / "disc")
    text = "\n".join(map(str, classification.check(str(tmp_path), None, 0, quiet).problems))
    assert "a single class" in text
    assert "the test part has no image" in text
