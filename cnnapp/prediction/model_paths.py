"""Where saved models are: by name, by name and version, or by path."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.artifacts.model_card import CARD, versions
from pipelines.core.errors import ModelError, unknown

__all__ = ["VARIABLE", "listed", "names", "resolve", "root"]

VARIABLE = "CNNAPP_SAVED_MODELS"
"""The environment variable that names another folder of saved models."""


def root() -> Path:
    """Return the folder of saved models: what the variable names, or ``saved_models`` here, or beside the code."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    here = Path("saved_models")
    beside = Path(__file__).resolve().parents[2] / "saved_models"
    return here if here.is_dir() or not beside.is_dir() else beside


def names(folder: Path | None = None) -> dict[str, list[int]]:
    """Return the saved models: their versions by name, both ascending.

    Args:
        folder: of the saved models; :func:`root` by default.
    """
    folder = folder or root()
    if not folder.is_dir():
        return {}
    found = {path.name: versions(path) for path in sorted(folder.iterdir()) if path.is_dir()}
    return {name: numbers for name, numbers in found.items() if numbers}


def listed(folder: Path | None = None) -> list[str]:
    """Return every version of every saved model as ``name/version``: by name, the newest version first.

    Args:
        folder: of the saved models; :func:`root` by default.
    """
    return [f"{name}/{number}" for name, numbers in names(folder).items() for number in reversed(numbers)]


def resolve(name: str | os.PathLike[str], folder: Path | None = None) -> Path:
    """Find the directory of a saved model.

    Args:
        name: ``"digits"`` (its newest version), ``"digits/1"``, or a path, of a version or of all versions.
        folder: of the saved models; :func:`root` by default.

    Returns:
        The directory that holds ``saved_model.pb``.

    Raises:
        ModelError: if there is none; with the names that exist, and the nearest one.
    """
    folder = folder or root()
    text = os.fspath(name)
    for directory in (folder / text, Path(text).expanduser()):
        if (directory / CARD).is_file() or (directory / "saved_model.pb").is_file():
            return directory
        if text and versions(directory):
            return directory / str(versions(directory)[-1])
    known = names(folder)
    base, _, _ = text.rpartition("/")
    if base in known:
        options = [f"{base}/{number}" for number in known[base]]
        raise ModelError(unknown(f"version of {base}", text, options))
    if Path(text).is_dir():
        raise ModelError(f"{text}: is a folder, but holds no saved model (no {CARD}, and no numbered versions)")
    raise ModelError(unknown("saved model", text, known) + ("" if known else f" (looked in {folder})"))
