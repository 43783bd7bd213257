"""The errors a user can cause and can mend.

::

    CnnAppError
    ├── DataError     a data set or an image: names the file and the field
    │   └── ImageTooLargeError   an image that can only be processed in tiles
    ├── ModelError    a saved model that cannot be trusted or read
    ├── ConfigError   an option that does not exist or does not fit
    └── ServiceError  a service that does not answer, or not as it should

The command line and the page catch ``CnnAppError`` and nothing else. A message states what was received, what was
expected, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CnnAppError",
    "ConfigError",
    "DataError",
    "ImageTooLargeError",
    "ModelError",
    "ServiceError",
    "unknown",
]


class CnnAppError(Exception):
    """Any error whose message is meant for the user."""


class DataError(CnnAppError):
    """A data set or an image that cannot be used as it is."""


class ImageTooLargeError(DataError):
    """An image that is too large to be processed at once, but can be processed in tiles."""


class ModelError(CnnAppError):
    """A saved model that is missing, damaged, altered, or not one of ours."""


class ConfigError(CnnAppError):
    """An option that does not exist, or a value that it cannot take."""


class ServiceError(CnnAppError):
    """A service that cannot be reached, is too busy, or does not answer as it should."""


def unknown(what: str, received: str, options: Iterable[str]) -> str:
    """Say what exists, and the name nearest to the one received.

    Args:
        what: the kind of thing that was looked for, e.g. ``"model"``.
        received: the name as the user wrote it.
        options: every name that exists.

    Returns:
        One sentence or two, for the message of an error.

    Example:
        >>> unknown("model", "lenet", ["convnet", "lenet5"])
        "unknown model 'lenet'; available: convnet, lenet5. Did you mean 'lenet5'?"
    """
    names = sorted(str(option) for option in options)
    listed = ", ".join(names) if names else "none"
    near = difflib.get_close_matches(received, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {received!r}; available: {listed}.{hint}"
