"""Bodies of requests, plain and compressed."""

from __future__ import annotations

import asyncio
import gzip
import random
import tracemalloc
import zlib
from typing import Any

import pytest
from starlette.requests import Request

from cnnapp.service.front import bodies
from cnnapp.service.protocol import Refusal

MOST = 4 * 2**20
TEXT = bytes(random.Random(0).choices(b"abcdefghij", k=2**20))


def read(
    data: bytes, encoding: str | None = None, size: int = 10_000, grown: list[int] | None = None, **headers: str
) -> bytes:
    given = headers if encoding is None else headers | {"content-encoding": encoding}
    scope: dict[str, Any] = {
        "type": "http",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
    }
    parts = [data[start : start + size] for start in range(0, len(data), size)]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0) if parts else b"", "more_body": bool(parts)}

    return asyncio.run(bodies.read(Request(scope, receive), MOST, (grown if grown is not None else []).append))


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZip "])
def test_gzip_is_decompressed(encoding: str, size: int):
    text = TEXT[: 500 * size]
    assert read(gzip.compress(text), encoding, size) == text


@pytest.mark.parametrize("encoding", [None, "", "identity"])
def test_plain_bodies_stay_as_they_are(encoding: str | None):
    grown: list[int] = []
    assert read(TEXT, encoding, grown=grown) == TEXT
    assert sum(grown) == len(TEXT)


@pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, gzip", "gzip,identity", "chunked", "x" * 5000])
def test_other_encodings_are_refused(encoding: str):
    with pytest.raises(Refusal, match="expected gzip") as found:
        read(b"{}", encoding)
    assert (found.value.status, found.value.reason) == (415, "encoding")
    assert len(found.value.message) < 200


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "incomplete"),
        (b"{}", "not gzip, or is damaged"),
        (zlib.compress(TEXT), "not gzip"),
        (gzip.compress(TEXT)[:-1], "incomplete"),
        (gzip.compress(TEXT)[:-8] + b"\0" * 8, "damaged"),
        (gzip.compress(TEXT) + b"x", "more behind the end"),
        (gzip.compress(TEXT) * 2, "more behind the end"),
    ],
)
@pytest.mark.parametrize("size", [1000, 2**21])
def test_what_is_not_gzip_is_refused(data: bytes, reason: str, size: int):
    with pytest.raises(Refusal, match=reason) as found:
        read(data, "gzip", size)
    assert found.value.status == 400


def endless(block: bytes, count: int) -> bytes:
    """Return gzip data of blocks that become nothing."""
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block * count


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(b"\0" * 2**23), "more than 200 times"),
        (gzip.compress(TEXT * 5), "more than the 4 MiB"),
        (endless(b"\0\0\0\xff\xff", 2**20), "more than the 4 MiB"),
    ],
    ids=["ratio", "size", "nothing"],
)
@pytest.mark.parametrize("size", [2**16, 2**26])
def test_bombs_are_refused_before_they_go_off(data: bytes, reason: str, size: int):
    tracemalloc.start()
    with pytest.raises(Refusal, match=reason) as found:
        read(data, "gzip", size)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.value.status == 413
    assert most < len(data) * (size > len(data)) + 4 * MOST


def test_a_body_that_says_to_be_too_large_is_not_read():
    with pytest.raises(Refusal, match="more than the 4 MiB") as found:
        read(b"{}", content_length=str(MOST + 1))
    assert (found.value.status, found.value.reason) == (413, "body")


def test_there_may_be_no_room_for_it():
    def full(size: int) -> None:
        raise Refusal(503, "full")

    scope: dict[str, Any] = {"type": "http", "headers": []}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(Refusal, match="full"):
        asyncio.run(bodies.read(Request(scope, receive), MOST, full))
