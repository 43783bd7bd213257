"""The body of a request: as large as it may be, plain or compressed with gzip."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator

from starlette.requests import Request

from cnnapp.service.protocol import Refusal

__all__ = ["read"]

_STEP = 2**20  # bytes that are decompressed between looks at what else is to be done
_RATIO = 200  # of what was sent to what it becomes
_FREE = 2**20  # bytes that it may become whatever the ratio
_TAKEN = {"": False, "identity": False, "gzip": True, "x-gzip": True}


async def read(request: Request, most: int, grow: Callable[[int], None] = lambda _: None) -> bytes:
    """Read a body, and decompress it.

    Args:
        request: of HTTP.
        most: bytes that it may have, as it was sent and decompressed.
        grow: called with the number of bytes that are held in addition, as they come.

    Returns:
        What was meant.

    Raises:
        Refusal: with status 413 for more than that, or what decompresses to far more than was sent; 415 for another
            encoding; 400 for what is not gzip.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in _TAKEN:
        raise Refusal(415, f"Content-Encoding: received {encoding[:40]!r}; expected gzip, or none", reason="encoding")
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > most:
        raise _too_large(most)
    unpack = _Gunzip(most) if _TAKEN[encoding] else None
    parts: list[bytes] = []
    size = 0

    def take(part: bytes) -> None:
        nonlocal size
        size += len(part)
        if size > most:
            raise _too_large(most)
        grow(len(part))
        parts.append(part)

    async for part in request.stream():
        if unpack is None:
            take(part)
            continue
        for unpacked in unpack.feed(part):
            take(unpacked)
            await asyncio.sleep(0)
    if unpack is not None:
        unpack.end()
    return b"".join(parts)


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the request has more than the {most / 2**20:g} MiB that this service takes", reason="body")


class _Gunzip:
    """gzip, in steps of bounded size."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._sent = self._got = 0

    def feed(self, part: bytes) -> Iterator[bytes]:
        """Decompress a part of the body."""
        self._sent += len(part)
        if self._sent > self._most:  # also of parts that become nothing
            raise _too_large(self._most)
        while part:
            if self._stream.eof:
                raise Refusal(400, "Content-Encoding: there is more behind the end of the gzip data", reason="encoding")
            try:
                unpacked = self._stream.decompress(part, _STEP)
            except zlib.error:
                raise Refusal(400, "Content-Encoding: the body is not gzip, or is damaged", reason="encoding") from None
            part = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            self._got += len(unpacked)
            if self._got > _FREE + _RATIO * self._sent:
                raise Refusal(
                    413,
                    f"the body becomes more than {_RATIO} times as large when it is decompressed; send it uncompressed",
                    reason="encoding",
                )
            yield unpacked

    def end(self) -> None:
        """Check that nothing is missing."""
        if not self._stream.eof:
            raise Refusal(400, "Content-Encoding: the gzip data are incomplete", reason="encoding")
