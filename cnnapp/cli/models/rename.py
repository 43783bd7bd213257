"""A saved model under another name: its card and its warm-up requests hold the name as well."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from cnnapp.prediction import pins
from pipelines.artifacts.model_card import WARMUP, check_files, file_hashes, read_card, versions, write_card
from pipelines.artifacts.trust.signature import SIGNATURE
from pipelines.core.errors import ModelError

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
        ModelError: if there is a model of the new name, a file of a version is damaged, or something cannot be written.
    """
    home, target = root / old, root / new
    if target.exists():
        raise ModelError(f"{new}: is the name of another saved model; choose another name, or delete that model")
    building = Path(tempfile.mkdtemp(prefix=".renaming-", dir=root))
    try:
        for version in versions(home):
            _copy(home / str(version), building / str(version), new)
        if (number := pins.pinned(home)) is not None:
            pins.pin(building, number)
        building.chmod(0o755)
        os.rename(building, target)
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
    """Copy a version under another name, unsigned; files that do not hold the name are linked where the disk can."""
    card = read_card(directory)
    problems = check_files(directory, card)
    if problems:
        raise ModelError(f"{directory}: is damaged, and is not renamed: {problems[0]}")
    shutil.copytree(directory, target, copy_function=_link)
    warmup = target / WARMUP
    if warmup.is_file():
        renamed = _warmup_of(warmup, name)
        warmup.unlink()  # it may be the same file as the old one
        os.replace(renamed, warmup)
    (target / "model_card.json").unlink()
    (target / SIGNATURE).unlink(missing_ok=True)  # the card and the warm-up requests are others now
    write_card(target, card.model_copy(update={"name": name, "files": file_hashes(target)}))


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _warmup_of(path: Path, name: str) -> Path:
    """Write the warm-up requests of a file for a model of another name, beside it."""
    from pipelines.core.tensorflow_import import import_tensorflow

    tf = import_tensorflow()
    from tensorflow_serving.apis import prediction_log_pb2

    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with tf.io.TFRecordWriter(str(beside)) as writer:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            log.predict_log.request.model_spec.name = name
            writer.write(log.SerializeToString())
    return beside
