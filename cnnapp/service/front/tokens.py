"""Tokens that say who a client is: a file with one a line, which the service checks and a client sends."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from pathlib import Path

from pipelines.core.errors import ConfigError, DataError
from pipelines.intake.regular_file import read_bounded

__all__ = ["VARIABLE", "Tokens", "read_tokens", "readable_by_others"]

VARIABLE = "CNNAPP_TOKEN_FILE"
"""The variable of the environment that names the file."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,512}=*")  # RFC 6750, and long enough not to be guessed
_LARGEST = 2**20  # bytes of the file
_MAKE = "python -c 'import secrets; print(secrets.token_urlsafe(32))' > tokens.txt"


def read_tokens(path: Path) -> tuple[str, ...]:
    r"""Read a file of tokens.

    Args:
        path: of a text file: one token a line; empty lines and those that begin with ``#`` are passed over.

    Returns:
        The tokens, of which there is at least one.

    Raises:
        ConfigError: if the file cannot be read, or a line is no token. It names the line and never repeats it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "tokens.txt")
        ...     _ = file.write_text("# of the page\n0123456789abcdef\n")
        ...     read_tokens(file)
        ('0123456789abcdef',)
    """
    try:
        lines = read_bounded(path, _LARGEST, "file of tokens").decode().splitlines()
    except DataError as error:
        raise ConfigError(f"--token-file: {error}; make one with: {_MAKE}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"--token-file: {path}: cannot be read: it is not text; make one with: {_MAKE}") from None
    tokens = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        if not _TOKEN.fullmatch(line):
            raise ConfigError(
                f"--token-file: line {number} of {path} is no token: expected at least 16 letters, digits or -._~+/ "
                f"(one token a line); make one with: {_MAKE}"
            )
        tokens.append(line)
    if not tokens:
        raise ConfigError(f"--token-file: {path} has no token; make one with: {_MAKE}")
    return tuple(dict.fromkeys(tokens))


def readable_by_others(path: Path) -> bool:
    """Say whether other users of this machine may read or change a file."""
    return os.name == "posix" and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


class Tokens:
    """The tokens that a service takes.

    Args:
        path: of the file; as for :func:`read_tokens`.

    Raises:
        ConfigError: likewise.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digests: tuple[bytes, ...] = ()
        self.read()

    def read(self) -> int:
        """Read the file (again); return how many tokens there are. If it cannot be read, those from before stay."""
        self._digests = tuple(_digest(token) for token in read_tokens(self.path))
        return len(self._digests)

    def client(self, header: str) -> str | None:
        """Return a name for the client that sent a header ``Authorization``; None for none that is known.

        How long it takes says nothing about the tokens: digests are compared, all of them, each in constant time.
        """
        scheme, _, token = header.strip().partition(" ")
        sent, found = _digest(token.strip()), None
        for known in self._digests:
            if hmac.compare_digest(sent, known):
                found = known
        return None if found is None or scheme.lower() != "bearer" else f"token {found.hex()[:16]}"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
