"""Packages that only some commands need: whether they are there, and what to install where they are not."""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from pipelines.core.errors import ConfigError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = ["has", "install_command", "need"]

_OWN = "cnnapp"
_MODULES = {"pyopenssl": "OpenSSL", "scikit-learn": "sklearn", "tensorflow-serving-api": "tensorflow_serving"}
"""What a package is imported as, where that is not its name."""


def need(what: str, extra: str, *packages: str) -> None:
    """Refuse to go on without what an extra of cnnapp brings. Call it before the first step, not in the middle.

    Args:
        what: needs it, as the subject of a sentence: "training".
        extra: the name of the extra, as in pyproject.toml.
        *packages: those of the extra that are needed, by the names that they are installed by; all by default.

    Raises:
        ConfigError: if one of them is not installed, with the command that installs what is missing.

    Example:
        >>> need("a number", "train", "numpy")
    """
    missing = _missing(extra, packages)
    if not missing:
        return
    names = [each.name for each in missing]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    raise ConfigError(
        f"{what} needs {listed}, of cnnapp's extra {extra!r}, and {'it is' if len(names) == 1 else 'they are'} not "
        f"installed; install {'it' if len(names) == 1 else 'them'} with: {_command(missing)}"
    )


def has(extra: str, *packages: str) -> bool:
    """Return whether what an extra brings is installed; arguments as of :func:`need`."""
    return not _missing(extra, packages)


def install_command(extra: str) -> str:
    """Return the command that installs all that an extra brings.

    It names the packages, not ``cnnapp[extra]``: cnnapp may have been installed from a file, and an index knows another
    package of that name, or none.

    Args:
        extra: as of :func:`need`.
    """
    return _command(_of(extra, ()))


def _missing(extra: str, packages: tuple[str, ...]) -> list[Requirement]:
    return [each for each in _of(extra, packages) if not _installed(each.name)]


def _command(requirements: list[Requirement]) -> str:
    return " ".join(["pip install", *(f"'{each}'" for each in requirements)])


def _of(extra: str, packages: tuple[str, ...]) -> list[Requirement]:
    """Return what an extra brings, of some packages; of those that it does not name, the bare names."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found = {canonicalize_name(each.name): each for each in map(Requirement, _brought_by(extra))}
    if not packages:
        return list(found.values())
    return [found.get(canonicalize_name(name)) or Requirement(name) for name in packages]


@cache
def _brought_by(extra: str) -> tuple[str, ...]:
    """Return the requirements of an extra as they are installed, without their markers; those of extras in it, too."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(_OWN) or []
    except metadata.PackageNotFoundError:  # the code is run from where it lies
        return ()
    found: dict[str, None] = {}
    for each in map(Requirement, lines):
        if each.marker is None or each.marker.evaluate({"extra": ""}) or not each.marker.evaluate({"extra": extra}):
            continue
        each.marker = None
        for text in (str(each),) if each.name != _OWN else (one for name in each.extras for one in _brought_by(name)):
            found[text] = None
    return tuple(sorted(found))


def _installed(package: str) -> bool:
    module = _MODULES.get(package.lower(), package.lower().replace("-", "_"))
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # a module without a specification: it was put there by hand, and is there
        return True
