"""Names of saved models: each is one plain component of a path, on every system, and of a URL."""

from __future__ import annotations

import unicodedata

from pipelines.core.errors import ConfigError

__all__ = ["LONGEST", "check_name", "fault_of", "is_component"]

LONGEST = 120
"""Bytes of a name in UTF-8. Files are named after models, with more behind the name, and take 255."""

_EXPECTED = "expected letters, digits, '-', '_' and '.', beginning with a letter or digit"
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}


def fault_of(name: str) -> str | None:
    """Say why a name is not one safe component of a path; None if it is one.

    Letters and digits may be of any script. What merely looks like them, or is written like a separator once it is
    normalised (``½`` holds a slash), counts as what it is normalised to.

    Args:
        name: as it was received.

    Returns:
        A clause that says what was expected.

    Example:
        >>> fault_of("garden-birds.2"), fault_of("../x") is None
        (None, False)
    """
    plain = unicodedata.normalize("NFKC", name)
    if not plain or not all(letter.isalnum() or letter in "-_." for letter in name + plain) or not name[0].isalnum():
        return _EXPECTED
    if plain.isdecimal():
        return f"{_EXPECTED}, and not a number alone (numbers are versions)"
    if plain.endswith("."):
        return f"{_EXPECTED}, and no dot at its end, which Windows drops"
    if plain.partition(".")[0].upper() in _DEVICES:
        return f"{_EXPECTED}, and no name of a device of Windows"
    if len(name.encode()) > LONGEST:
        return f"at most {LONGEST} bytes in UTF-8"
    return None


def check_name(name: str) -> None:
    """Refuse a name of a saved model that is not one safe component of a path.

    Args:
        name: as it was received.

    Raises:
        ConfigError: saying which names are taken.

    Example:
        >>> check_name("garden-birds")
    """
    fault = fault_of(name)
    if fault is not None:
        shown = name if len(name) <= 80 else f"{name[:80]}…"
        raise ConfigError(f"name: received {shown!r}; {fault}")


def is_component(name: str) -> bool:
    """Return whether a file's name stays in the folder that it is looked for in, on every system.

    Args:
        name: such as a list of files has it; laxer than the name of a model.

    Example:
        >>> is_component("input-0.png"), is_component("../x"), is_component("C:x")
        (True, False, False)
    """
    return name not in ("", ".", "..") and not any(letter in "/\\:" or ord(letter) < 32 for letter in name)
