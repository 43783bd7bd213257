"""Code from outside that adds rows to the tables: tasks, backbones, answers, panels."""

from __future__ import annotations

import os
from importlib import import_module

from pipelines.core.errors import ConfigError

__all__ = ["VARIABLE", "load_plugins"]

VARIABLE = "CNNAPP_IMPORT"
"""The environment variable that names modules, with commas between them."""

_loaded: set[str] = set()


def load_plugins() -> None:
    """Import the modules that ``CNNAPP_IMPORT`` names, once each. Every table calls this before it is read.

    Such a module adds its rows when it is imported::

        from pipelines.tasks.registry import TASKS

        TASKS["regression"] = "my_package.regression:Regression"

    The variable reaches other processes: the service, ``cnnapp verify``, the page.

    Raises:
        ConfigError: if one cannot be imported.
    """
    for name in filter(None, (part.strip() for part in os.environ.get(VARIABLE, "").split(","))):
        if name in _loaded:
            continue
        _loaded.add(name)  # before the import: it may read the tables itself
        try:
            import_module(name)
        except ImportError as error:
            _loaded.discard(name)
            raise ConfigError(
                f"{VARIABLE}: {name!r} cannot be imported: {error}. Name modules that Python finds from here, such as "
                "package.module, with commas between them (PYTHONPATH says where it looks)"
            ) from None
