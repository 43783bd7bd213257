"""What is loaded and what is refused: the one place that every way to a model goes through.

A model that reaches outside of itself is refused, unless the user trusts whoever made it: ``--trust``, ``trust=True``
in Python, or ``CNNAPP_TRUST=1`` for other processes. What it would run is then printed instead. Where
``CNNAPP_REQUIRE_SIGNED=1`` is set, a model without a valid signature is refused too, trusted or not.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pipelines.artifacts.trust.finding import Finding, listed
from pipelines.artifacts.trust.keras_file import find_in_keras_file
from pipelines.artifacts.trust.saved_model import find_in_saved_model
from pipelines.artifacts.trust.signature import verify_signature
from pipelines.core.errors import ConfigError, ModelError

__all__ = [
    "KEY",
    "REQUIRE_SIGNED",
    "TRUST",
    "admit_keras_file",
    "admit_saved_model",
    "is_trusted",
    "require_signature",
]

TRUST = "CNNAPP_TRUST"
"""The environment variable that allows models to reach outside of themselves. Other processes inherit it."""
REQUIRE_SIGNED = "CNNAPP_REQUIRE_SIGNED"
"""The environment variable that refuses models without a signature."""
KEY = "CNNAPP_SIGNING_KEY"
"""The environment variable that names the file of the public key that signatures are checked with."""

_MOST_PRINTED = 30


def is_trusted(trust: bool | None = None) -> bool:
    """Return whether models may reach outside of themselves.

    Args:
        trust: said by the caller; None leaves it to the environment.

    Raises:
        ConfigError: if the variable has a value that is neither.
    """
    return _is_set(TRUST) if trust is None else trust


def admit_saved_model(directory: Path, trust: bool | None = None) -> None:
    """Look through a saved model before it is loaded.

    Args:
        directory: of the saved model.
        trust: as of :func:`is_trusted`. What was found is then printed to standard error.

    Raises:
        ModelError: if it reaches outside of itself and is not trusted, with what it would run and where; or if its
            graph cannot be read.

    Example:
        >>> admit_saved_model(Path("saved_models/digits/1"))
    """
    _admit(str(directory), find_in_saved_model(directory), trust)


def admit_keras_file(path: Path, trust: bool | None = None) -> None:
    """Look through a `.keras` or `.h5` file before Keras builds anything of it.

    Args:
        path: of the file.
        trust: as of :func:`admit_saved_model`.

    Raises:
        ModelError: as of :func:`admit_saved_model`; or if only signed models are to be loaded: such a file has no
            manifest that could be signed.
    """
    if _is_set(REQUIRE_SIGNED):
        raise ModelError(
            f"{path}: is not signed, and {REQUIRE_SIGNED} asks for that; a Keras file cannot be signed here"
        )
    _admit(str(path), find_in_keras_file(path), trust)


def require_signature(directory: Path) -> None:
    """Refuse a saved model that is not signed, where the environment asks for signatures.

    Args:
        directory: of the saved model.

    Raises:
        ConfigError: if no key to check with is named, or it is none.
        ModelError: if the model has no signature, or it was changed since, or signed with another key.
    """
    if not _is_set(REQUIRE_SIGNED):
        return
    key = os.environ.get(KEY)
    if not key:
        raise ConfigError(
            f"{REQUIRE_SIGNED} is set, and {KEY} is not: name the file of the public key, {KEY}=public.pem"
        )
    verify_signature(directory, Path(key).expanduser())


def _admit(name: str, findings: list[Finding], trust: bool | None) -> None:
    if not findings:
        return
    if not is_trusted(trust):
        raise ModelError(
            f"{name}: is refused, it would run {listed(findings)}; load it with --trust (trust=True in Python) only if "
            "you trust whoever made it"
        )
    # Not to standard output, where the answers are; and whatever else is quiet.
    print(f"trusted: {name} runs what it contains:", file=sys.stderr)
    for finding in findings[:_MOST_PRINTED]:
        print(f"  {finding}", file=sys.stderr)
    if len(findings) > _MOST_PRINTED:
        print(f"  and {len(findings) - _MOST_PRINTED} more", file=sys.stderr)


def _is_set(variable: str) -> bool:
    value = os.environ.get(variable, "").strip().lower()
    if value not in ("", "0", "1", "false", "no", "true", "yes"):
        raise ConfigError(f"{variable}: received {value!r}; expected 1 or 0")
    return value in ("1", "true", "yes")
