"""Who may ask a service: names that it is called by, pages whose scripts may ask, and tokens."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware

from cnnapp.service.front.tokens import Tokens
from cnnapp.service.ports import is_local
from cnnapp.service.protocol import Refusal
from pipelines.core.errors import ConfigError

__all__ = ["HEALTH", "Access", "Gate", "client_of"]

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]
Refuse = Callable[[Refusal, Scope, Any, Any], Awaitable[None]]

HEALTH = ("/healthz", "/-/healthz")
"""Paths that need no token: they tell nothing but that the service is there."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/@\[\]]*)(?::\d{0,5})?")
_NAME = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[?[0-9a-f:.]+\]?")
_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^\s/@?#]+")


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Args:
        address: that the service listens on. On one that only this machine reaches, it goes by this machine's own names
            alone: a page of another name that leads there (DNS rebinding) is refused.
        hosts: more names that it goes by, as of ``Host``; ``*.example.org`` for all below a name, ``*`` for any.
        origins: of web pages whose scripts may ask, as of ``Origin``; ``*`` for any.
        tokens: one of which must be sent; None where none is needed.

    Raises:
        ConfigError: if a host or an origin is none.

    Example:
        >>> Access("127.0.0.1", hosts=("gpu.example.org",)).takes_host("GPU.example.org:8501")
        True
        >>> Access("127.0.0.1").takes_host("rebound.example.org:8501")
        False
    """

    address: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    tokens: Tokens | None = None

    def __post_init__(self) -> None:
        """Check the names."""
        for host in self.hosts:
            if not _NAME.fullmatch(host.lower()):
                raise ConfigError(
                    f"--allow-host: received {host!r}; expected a name without scheme and port, such as gpu.example.org"
                )
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin.lower()):
                raise ConfigError(
                    f"--allow-origin: received {origin!r}; expected scheme, name and port of a page, such as "
                    "https://page.example.org or http://localhost:3000"
                )

    @property
    def local(self) -> bool:
        """Whether only this machine reaches the address."""
        return is_local(self.address)

    def takes_host(self, host: str) -> bool:
        """Say whether the service goes by a name, as of the header ``Host``."""
        found = _HOST.fullmatch(host.strip().lower())
        if found is None:
            return False
        if not self.hosts and not self.local:
            return True  # others reach it, by names that are not known here
        name = _bare(found[1])
        if is_local(name) or name == _bare(self.address):
            return True
        allowed = [_bare(one.lower()) for one in self.hosts]
        return any(one in ("*", name) or (one.startswith("*.") and name.endswith(one[1:])) for one in allowed)

    def takes_origin(self, origin: str) -> bool:
        """Say whether scripts of a page may ask, as of the header ``Origin``."""
        return any(one in ("*", origin.lower()) for one in map(str.lower, self.origins))

    def check(self, scope: Scope) -> str:
        """Check a request's headers.

        Args:
            scope: of ASGI.

        Returns:
            A name for the client: of its token, else its address.

        Raises:
            Refusal: with status 400, 401 or 403.
        """
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 and (hosts or scope.get("http_version") != "1.0"):
            raise Refusal(400, f"Host: received {len(hosts)} of these headers; expected one", reason="host")
        if hosts and not self.takes_host(hosts[0]):
            raise Refusal(
                403,
                f"Host: this service does not go by the name {hosts[0][:100]!r}; `cnnapp serve --allow-host` adds one",
                reason="host",
            )
        origins = headers.getlist("origin")
        cross = headers.get("sec-fetch-site") in ("cross-site", "same-site") and scope["method"] not in ("GET", "HEAD")
        if (cross and not origins) or not all(map(self.takes_origin, origins)):
            raise Refusal(
                403,
                f"Origin: scripts of {', '.join(origins)[:100] or 'another page'!r} may not ask; "
                "`cnnapp serve --allow-origin` lets them",
                reason="origin",
            )
        peer = client_of(scope)
        # A browser asks without a token whether it may send one.
        if self.tokens is None or scope["path"] in HEALTH or _asks_leave(scope["method"], headers):
            return peer
        sent = headers.getlist("authorization")
        client = self.tokens.client(sent[0]) if len(sent) == 1 else None
        if client is None:
            found = "one that is not known" if sent else "none"
            raise Refusal(401, f"Authorization: expected 'Bearer' and a token; received {found}", reason="token")
        return client


class Gate:
    """An ASGI application behind the checks of :class:`Access`; it finds the client under ``caller`` in its state.

    Args:
        application: that is asked where they are passed.
        access: who may ask.
        refuse: answers the others.
    """

    def __init__(self, application: Application, access: Access, refuse: Refuse) -> None:
        self._access, self._refuse = access, refuse
        self._application: Any = application
        if access.origins:
            self._application = CORSMiddleware(
                application,
                allow_origins=list(access.origins),
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-encoding", "content-type"],
                expose_headers=["retry-after"],
                allow_private_network=True,
            )

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer as ASGI asks."""
        try:
            caller = self._access.check(scope)
        except Refusal as refusal:
            await self._refuse(refusal, scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._application(scope, receive, send)


def client_of(scope: Scope) -> str:
    """Return what stands for a client without a token: its address, or the network that one client has of IPv6."""
    host = (scope.get("client") or ("",))[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 6 and address.ipv4_mapped is None and not address.is_loopback:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


def _asks_leave(method: str, headers: Headers) -> bool:
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def _bare(name: str) -> str:
    return name.strip("[]").rstrip(".")
