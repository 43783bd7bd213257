"""Ports of this machine that a page or a service listens on."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

from pipelines.errors import ConfigError, ServiceError

__all__ = ["FIRST", "first_free", "listening"]

FIRST = 8501
"""Where the page and the service begin; whichever comes second takes the next."""
_TRIED = 100


@contextlib.contextmanager
def listening(address: str, port: int) -> Iterator[socket.socket]:
    """Hold a port, so that nothing else can listen on it.

    Args:
        address: of this machine.
        port: 0 for any that is free.

    Raises:
        ConfigError: if the address is none of this machine.
        ServiceError: if the port is taken, or not for everybody.
    """
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    # The protocol is named, or asyncio leaves Nagle's algorithm on, which holds every answer back for 40 ms.
    with socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise ConfigError(
                    f"--address: {address} is none of this machine; 127.0.0.1 is for this machine alone, 0.0.0.0 lets "
                    "others in"
                ) from None
            raise ServiceError(
                f"{address}:{port}: cannot be listened on: {error.strerror}; choose another --port, or leave it out "
                f"for the first that is free from {FIRST} on"
            ) from None
        yield listener


def first_free(address: str, first: int = FIRST) -> int:
    """Return the first port that nothing listens on.

    Args:
        address: of this machine.
        first: port to begin at.

    Raises:
        ConfigError: if the address is none of this machine, or none of 100 ports is free.

    Example:
        >>> first_free("127.0.0.1") >= FIRST
        True
    """
    for port in range(first, first + _TRIED):
        with contextlib.suppress(ServiceError), listening(address, port):
            return port
    raise ConfigError(f"--port: none from {first} to {first + _TRIED - 1} is free on {address}; name one")
