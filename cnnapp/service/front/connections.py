"""Connections of clients: uvicorn's protocol, with bounds on what a client may leave undone.

uvicorn reads HTTP by llhttp, which is strict, but waits for headers as long, and takes them as large, as a client
likes. Here

- headers, the lines between chunks and what follows a chunked body have a size; headers a time, from the connection or
  the end of the request before;
- what is left of a body after an early answer has a time; answers that clients do not read, a time and a size;
- there are so many connections at most: those of the client that has most make room for others', as long as no request
  of theirs is being answered.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Literal

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cnnapp.service.front.access import client_of
from cnnapp.service.limits import Limits
from cnnapp.service.protocol import Refusal, write_error

__all__ = ["Connection", "Connections", "configure"]

State = Literal["head", "request", "rest", "idle", "sending", "closing"]

_UNREAD = 2**29  # bytes of answers that clients have not taken yet; one answer may be more
_PROGRESS = 2**20  # bytes that a client must take of its answer in the time of a request
_UNDONE = {"rest": "body_rest", "sending": "unread"}  # reasons for which connections are cut that nobody is told
_LINGER = 1.0  # seconds, in which a client that is refused may read why


def configure(application: Any, limits: Limits, refused: Callable[[str], None]) -> uvicorn.Config:
    """Return how uvicorn is to serve an application.

    Args:
        application: of ASGI.
        limits: of the service.
        refused: called with the reason of each refusal that the application does not hear of.
    """
    protocol: Any = functools.partial(Connection, connections=Connections(limits, refused))
    return uvicorn.Config(
        application,
        http=protocol,
        ws="none",
        log_level="error",
        access_log=False,
        lifespan="off",
        # Addresses that clients say of themselves are believed where the operator names the proxy that says them.
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(limits.grace)),
    )


class Connections:
    """All connections of a service.

    Args:
        limits: of the service.
        refused: called with the reason of each refusal.
    """

    def __init__(self, limits: Limits, refused: Callable[[str], None]) -> None:
        self.limits, self.refused = limits, refused
        self._open: dict[str, dict[Connection, None]] = {}
        self.count = 0

    def __contains__(self, one: Connection) -> bool:
        """Say whether a connection was admitted and is still there."""
        return one in self._open.get(one.peer, {})

    def admit(self, new: Connection) -> bool:
        """Count a connection, if there is room for it or room can be made."""
        if self.count >= self.limits.connections and not self._make_room():
            return False
        self._open.setdefault(new.peer, {})[new] = None
        self.count += 1
        return True

    def leave(self, gone: Connection) -> None:
        """Forget a connection."""
        of_client = self._open.get(gone.peer, {})
        if gone in of_client:
            del of_client[gone]
            self.count -= 1
        if not of_client:
            self._open.pop(gone.peer, None)

    def _make_room(self) -> bool:
        for peer in sorted(self._open, key=lambda one: -len(self._open[one])):
            for one in self._open[peer]:  # the oldest first
                if one.state in ("idle", "head", "rest", "closing"):
                    one.cut("connections")
                    return True
        return False

    def bound_unread(self) -> None:
        """Cut connections whose answers are not read, of the client that has most, until they are few enough."""
        while True:
            sending = {
                peer: [one for one in of_client if one.state == "sending"] for peer, of_client in self._open.items()
            }
            unread = {peer: sum(one.unread for one in ones) for peer, ones in sending.items()}
            if sum(unread.values()) <= _UNREAD or sum(map(len, sending.values())) == 1:
                return
            sending[max(unread, key=lambda peer: unread[peer])][0].cut("unread")


class Connection(HttpToolsProtocol):
    """A connection of a client.

    Args:
        connections: that it is one of.
        **given: as uvicorn gives it.
    """

    def __init__(self, *, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._all = connections
        self._most = int(connections.limits.headers * 2**10)
        self._refusal: Refusal | None = None
        self._begun = self._body_left = False  # of the request that is being read
        self._ended = False
        self._silent = 0  # bytes that brought neither the end of the headers nor a part of the body
        self._timer: asyncio.TimerHandle | None = None
        self._unread_before = 0
        self.peer = ""
        self.state: State = "idle"

    @property
    def unread(self) -> int:
        """Bytes of answers that the client has not taken yet."""
        return self.transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it."""
        super().connection_made(transport)
        self.peer = client_of({"client": self.client})
        if self._all.admit(self):
            self._watch("head")
        else:
            self.refuse(Refusal(503, "the service has too many connections; retry later", 1, "connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._watch("idle")
        self._all.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        if self._ended:
            return
        self._silent += len(data)
        super().data_received(data)
        if self._ended:
            return
        if self._silent > self._most:
            self.refuse(self._large_head())
        else:
            self._look()

    def on_message_begin(self) -> None:
        """Begin with a request."""
        super().on_message_begin()
        self._begun, self._body_left = True, False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those after a chunked body are of no use here."""
        if not self._body_left:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Answer a request, if its headers are not too large."""
        self._silent, self._body_left = 0, True
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self._most:
            self._refusal = self._large_head()
            raise ValueError  # which ends the parser's work
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._silent = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._silent, self._begun, self._body_left = 0, False, False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for what comes next."""
        super().on_response_complete()
        if self.unread:
            self._unread_before = self.unread
            self._watch("sending")
            self._all.bound_unread()
        else:
            self._look()

    def send_400_response(self, msg: str) -> None:
        """Say why there is no answer, as JSON."""
        self.refuse(self._refusal or Refusal(400, f"{msg} Expected HTTP/1.1", reason="malformed"))

    def refuse(self, refusal: Refusal) -> None:
        """Say why there is no answer, and close the connection; an answer that is under way is finished first."""
        self._all.refused(refusal.reason)
        self._ended = True
        under_way = self.cycle is not None and not self.cycle.response_complete
        if under_way and not self._body_left:
            self.cycle.keep_alive = False
            return
        if under_way:  # whoever reads the body is told that no more of it comes
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = write_error(refusal.message)
        head = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}", "content-type: application/json"]
        head += [f"content-length: {len(body)}", "connection: close"]
        head += [] if refusal.retry_after is None else [f"retry-after: {refusal.retry_after}"]
        self.transport.write("\r\n".join([*head, "", ""]).encode() + body)
        if self in self._all and self.transport.can_write_eof():
            # What still comes is passed over for a moment: closed at once, a connection loses the answer as well.
            self.transport.write_eof()
            self._watch("closing")
        else:
            self.transport.close()

    def _large_head(self) -> Refusal:
        text = f"the request has more than the {self._all.limits.headers:g} KiB of headers that this service takes"
        return Refusal(431, text, reason="headers")

    def _look(self) -> None:
        """Find out what is waited for now."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._watch("request")
        elif self._body_left:
            self._watch("rest")
        elif self._begun or self._silent or self.cycle is None:
            self._watch("head")
        else:
            self._watch("idle")  # uvicorn closes it after some seconds

    def _watch(self, state: State) -> None:
        if state == self.state:
            return
        self.state = state
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._arm()

    def _arm(self) -> None:
        head, whole = self._all.limits.header_seconds, self._all.limits.seconds
        seconds = {"head": head, "rest": head, "sending": whole, "closing": _LINGER}.get(self.state)
        if seconds is not None:
            self._timer = self.loop.call_later(seconds, self._over)

    def _over(self) -> None:
        self._timer = None
        if self.state == "head" and (self._begun or self._silent):
            seconds = self._all.limits.header_seconds
            self.refuse(Refusal(408, f"the headers did not come within {seconds:g} seconds", reason="header_seconds"))
        elif self.state == "sending" and not self.unread:
            self._look()
        elif self.state == "sending" and self._unread_before - self.unread >= _PROGRESS:
            self._unread_before = self.unread
            self._arm()
        else:
            self.cut(_UNDONE.get(self.state, ""))

    def cut(self, reason: str) -> None:
        """Close the connection without a word."""
        self._all.refused(reason)
        self._all.leave(self)
        self.transport.abort()
