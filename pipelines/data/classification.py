"""Images with a class each, behind one name, as given to ``--data``."""

from __future__ import annotations

from pathlib import Path

from pipelines.core.errors import DataError, unknown
from pipelines.data.embedded import digits
from pipelines.data.formats import class_folders
from pipelines.data.splits import Splits
from pipelines.data.tfds import builder

__all__ = ["load"]


def load(data: str, data_dir: Path | None = None, seed: int = 0) -> Splits[int]:
    """Load the labelled images that a name stands for.

    Args:
        data: ``"digits"`` (embedded), ``"tfds:NAME"`` (tensorflow-datasets), or the path of a directory with a folder
            per class.
        data_dir: where prepared tensorflow-datasets lie.
        seed: seed of the split, where the source does not say it.

    Returns:
        Training, validation and test examples.

    Raises:
        DataError: if there is no such source, or it cannot be used.

    Example:
        >>> splits = load("digits")
        >>> len(splits.classes), splits.train.size + splits.validation.size + splits.test.size
        (10, 1797)
    """
    if data.startswith("tfds:"):
        return builder.load(data.removeprefix("tfds:"), data_dir, seed)
    if data == "digits":
        return digits.load(seed)
    path = Path(data).expanduser()
    if path.exists():
        return class_folders.load(path, seed)
    if len(path.parts) == 1:
        raise DataError(unknown("data source", data, ["digits", "tfds:NAME", "a folder with a folder per class"]))
    raise DataError(f"{data}: there is no such folder")
