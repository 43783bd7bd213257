"""Where saved models are: by name, by name and version, or by path."""

from __future__ import annotations

import os
from pathlib import Path

from cnnapp.prediction import pins
from pipelines.artifacts.model_card import CARD, faults, versions
from pipelines.core import workspace
from pipelines.core.errors import ModelError, unknown

__all__ = ["VARIABLE", "homes", "installed", "listed", "names", "none_in", "places", "resolve", "root"]

VARIABLE = workspace.SAVED_MODELS
"""The environment variable that names another folder of saved models, the only one then."""


def root() -> Path:
    """Return the folder that saved models are written to: what the variable names, or ``saved_models`` here.

    It need not exist.
    """
    return workspace.saved_models()


def installed() -> Path:
    """Return the folder of the models that came with the installation: in the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    packed = package / "saved_models"
    return packed if packed.is_dir() else package.parent / "saved_models"


def places() -> list[Path]:
    """Return the folders that models are looked for in by name, in this order.

    They are :func:`root` and :func:`installed`; where the variable names a folder, that one alone.
    """
    first, second = root(), installed()
    alone = bool(os.environ.get(VARIABLE)) or first.resolve() == second
    return [first] if alone else [first, second]


def homes(folder: Path | None = None) -> dict[str, Path]:
    """Return the saved models: by name the folder of its versions.

    A model of the working directory hides an installed one of its name, with all versions.

    Args:
        folder: of the saved models; by default all of :func:`places`.
    """
    found: dict[str, Path] = {}
    for place in places() if folder is None else [folder]:
        for path in place.iterdir() if place.is_dir() else ():
            # What begins with a dot is not finished, or deleted.
            if not path.name.startswith(".") and path.is_dir() and versions(path):
                found.setdefault(path.name, path)
    return dict(sorted(found.items()))


def names(folder: Path | None = None) -> dict[str, list[int]]:
    """Return the saved models: their versions by name, both ascending.

    Args:
        folder: as of :func:`homes`.
    """
    return {name: versions(home) for name, home in homes(folder).items()}


def listed(folder: Path | None = None) -> list[str]:
    """Return every version of every saved model as ``name/version``: by name, the one first that the name stands for.

    Args:
        folder: as of :func:`homes`.
    """
    return [f"{name}/{number}" for name, home in homes(folder).items() for number in pins.in_order(home)]


def resolve(name: str | os.PathLike[str], folder: Path | None = None) -> Path:
    """Find the directory of a saved model.

    Args:
        name: ``"digits"`` (its pinned version, or the newest), ``"digits/1"``, or a path, of a version or of all
            versions.
        folder: as of :func:`homes`.

    Returns:
        The directory that holds ``saved_model.pb``.

    Raises:
        ModelError: if there is none; with the names that exist, and the nearest one.
    """
    text = os.fspath(name)
    try:
        found = _found(text, folder)
    except (OSError, ValueError):  # no system takes it for a path: too long, or with a zero in it
        found = None
    if found is not None:
        return found
    known = names(folder)
    base, _, number = text.rpartition("/")
    if base in known and number in map(str, known[base]):
        directory = homes(folder)[base] / number
        raise ModelError(f"{directory}: is broken: {next(iter(faults(directory)), 'it cannot be read')}")
    if base in known:
        options = [f"{base}/{number}" for number in known[base]]
        raise ModelError(unknown(f"version of {base}", text, options))
    if "\0" not in text and os.path.isdir(text):
        raise ModelError(f"{text}: is a folder, but holds no saved model (no {CARD}, and no numbered versions)")
    if not known:
        raise ModelError(f"{text}: there is no such saved model. {none_in(folder)}")
    raise ModelError(unknown("saved model", text, known))


def _found(text: str, folder: Path | None) -> Path | None:
    for directory in _candidates(text, folder):
        if (directory / CARD).is_file() or (directory / "saved_model.pb").is_file():
            return directory
        if text and (version := pins.chosen_version(directory)) is not None:
            return directory / str(version)
    return None


def _candidates(text: str, folder: Path | None) -> list[Path]:
    """Return where a name may lead to, the first that is there being meant; last, what it is as a path."""
    found: list[Path] = []
    model = Path(text).parts[:1]
    for place in places() if folder is None else [folder]:
        found.append(place / text)
        if model and versions(place.joinpath(*model)):
            break  # which hides those of its name in the other places
    return [*found, Path(text).expanduser()]


def none_in(folder: Path | None = None) -> str:
    """Say that there is no saved model, where they were looked for, and what to do.

    Args:
        folder: as of :func:`homes`.
    """
    looked = " and ".join(str(place) for place in (places() if folder is None else [folder]))
    return (
        f"No saved models in {looked}. Train one with `cnnapp train` or `cnnapp demo`, or name the folder they are in: "
        "`cnnapp --saved-models FOLDER`"
    )
