"""Ports of this machine that a page or a service listens on."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket

from pipelines.core.errors import ConfigError, ServiceError

__all__ = ["FIRST", "hold", "is_local"]

FIRST = 8501
"""Where the page and the service begin; whichever comes second takes the next."""
_TRIED = 100


def hold(address: str, port: int | None) -> socket.socket:
    """Listen on a port, so that nothing else can; who connects waits until something is answered there.

    Args:
        address: of this machine.
        port: 0 for any that is free; None for the first that is free from 8501 on.

    Returns:
        The socket, for the caller to close.

    Raises:
        ConfigError: if the address is none of this machine, or none of 100 ports is free.
        ServiceError: if the port is taken, or not for everybody.

    Example:
        >>> with hold("127.0.0.1", None) as listener:
        ...     listener.getsockname()[1] >= FIRST
        True
    """
    if port is not None:
        return _hold(address, port)
    for one in range(FIRST, FIRST + _TRIED):
        with contextlib.suppress(ServiceError):
            return _hold(address, one)
    raise ConfigError(f"--port: none from {FIRST} to {FIRST + _TRIED - 1} is free on {address}; name one")


def _hold(address: str, port: int) -> socket.socket:
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    # The protocol is named, or asyncio leaves Nagle's algorithm on, which holds every answer back for 40 ms.
    listener = socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()  # two that only bind a port both have it
    except OSError as error:
        listener.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(
                f"--address: {address} is none of this machine; 127.0.0.1 is for this machine alone, 0.0.0.0 lets "
                "others in"
            ) from None
        raise ServiceError(
            f"{address}:{port}: cannot be listened on: {error.strerror}; choose another --port, or leave it out "
            f"for the first that is free from {FIRST} on"
        ) from None
    return listener


def is_local(name: str) -> bool:
    """Say whether a name or address stands for this machine wherever it is asked.

    Args:
        name: of a host, in lower case, without brackets.

    Example:
        >>> is_local("localhost"), is_local("::1"), is_local("example.org")
        (True, True, False)
    """
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
