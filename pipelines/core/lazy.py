"""Names of a package that are imported when they are first used, so that the package itself imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazily"]


def lazily(package: str, table: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package (PEP 562).

    Args:
        package: its ``__name__``.
        table: from a public name to the module that has it.

    Example:
        >>> get = lazily("here", {"DataError": "pipelines.core.errors"})
        >>> get("DataError").__name__
        'DataError'
    """

    def get(name: str) -> Any:
        if name not in table:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(table[name]), name)

    return get
