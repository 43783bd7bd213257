"""A saved model under another name: its card and its warm-up requests hold the name as well."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cnnapp.prediction import pins
from pipelines.artifacts import manifest
from pipelines.artifacts.manifest import MANIFEST, SIGNATURE
from pipelines.artifacts.model_card import CARD, WARMUP, check_files, file_hashes, read_card, versions, write_card
from pipelines.core.errors import ModelError
from pipelines.reporting.notes import note
from pipelines.storage import durable
from pipelines.storage.leftovers import beside, building_folder, remove_leftovers
from pipelines.storage.names import check_name

__all__ = ["rename"]


def rename(root: Path, old: str, new: str) -> Path:
    """Give a saved model, all its versions, another name.

    The model under the new name is written beside the old one, which is removed when it is complete.

    Args:
        root: the folder of saved models.
        old: its name.
        new: another one, which no model has.

    Returns:
        The folder of its versions.

    Raises:
        ConfigError: if the new name is not one plain component of a path.
        ModelError: if there is a model of the new name, a file of a version is damaged, or something cannot be written.
    """
    check_name(new)
    home, target = root / old, root / new
    if target.exists():
        raise ModelError(f"{new}: is the name of another saved model; choose another name, or delete that model")
    remove_leftovers(root)
    try:
        building = building_folder(target)
    except OSError as error:
        raise ModelError(f"{root}: cannot be written to: {error.strerror}") from None
    try:
        for version in versions(home):
            _copy(home / str(version), building / str(version), new)
        if (number := pins.pinned(home)) is not None:
            pins.pin(building, number)
        building.chmod(0o755)
        durable.sync_tree(building)
        durable.replace(building, target)
    except OSError as error:
        raise ModelError(f"{target}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    try:
        home.unlink() if home.is_symlink() else shutil.rmtree(home)
    except OSError as error:
        raise ModelError(f"{home}: cannot be removed: {error.strerror}; {new} is complete") from None
    return target


def _copy(directory: Path, target: Path, name: str) -> None:
    """Copy a version under another name; files that do not hold the name are linked where the disk can.

    The new one has a manifest where the old one has, and is signed anew by whoever signs.
    """
    card = read_card(directory)
    problems = check_files(directory, card)
    if problems:
        raise ModelError(f"{directory}: is damaged, and is not renamed: {problems[0]}")
    sealed, signed = (directory / MANIFEST).exists(), (directory / SIGNATURE).exists()
    for file in (CARD, *manifest.files_in(directory)):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        if file != CARD:
            _link(directory / file, target / file)
    warmup = target / WARMUP
    if warmup.is_file():
        renamed = _warmup_of(warmup, name)
        warmup.unlink()  # it may be the same file as the old one
        os.replace(renamed, warmup)
    write_card(target, card.model_copy(update={"name": name, "files": file_hashes(target)}))
    if sealed:
        manifest.seal(target)
    if signed:
        note(f"{directory}: its signature is of the old name and was not taken along; sign {name}/{card.version} again")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _warmup_of(path: Path, name: str) -> Path:
    """Write the warm-up requests of a file for a model of another name, beside it."""
    from pipelines.core.tensorflow_import import import_tensorflow

    tf = import_tensorflow()
    from tensorflow_serving.apis import prediction_log_pb2

    renamed = beside(path)
    with tf.io.TFRecordWriter(str(renamed)) as writer:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            log.predict_log.request.model_spec.name = name
            writer.write(log.SerializeToString())
    return renamed
