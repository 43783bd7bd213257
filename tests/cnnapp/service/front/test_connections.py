"""The service as clients find it that keep to no rules: raw bytes over sockets, in front of a model that is made up."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
import requests
import uvicorn

from cnnapp.service.front import connections
from cnnapp.service.front.access import Access
from cnnapp.service.front.connections import configure
from cnnapp.service.gateway import Gateway
from cnnapp.service.limits import Limits
from cnnapp.service.processes.replica import Reply

POST = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\n"
WHOLE = POST + b"Content-Length: 2\r\n\r\n{}"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HEAD_SECONDS = 0.6
LARGE = 20 * 2**20


class Model:
    """Answers with what the body asks for."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def answer(self, body: bytes, seconds: float) -> Reply:
        self.asked.append(body)
        if body == b"slow":
            await asyncio.sleep(0.4)
        return Reply(200, b"x" * LARGE if body == b"large" else b'{"predictions":[1]}')

    async def describe(self) -> list[dict[str, Any]]:
        return [{"metadata": {}, "process": 1, "memory": 1}]


class Service:
    """A gateway behind uvicorn, in a thread."""

    def __init__(self, access: Access | None = None, **limits: float) -> None:
        self.model = Model()
        bounds = Limits.parse(**{"header_seconds": HEAD_SECONDS, "seconds": 1.5, "body": 1, "grace": 1} | limits)
        self.gateway = Gateway({"m": {1: self.model}}, bounds, access)
        config = configure(self.gateway.application, bounds, self.gateway.metrics.refused)
        self.server = uvicorn.Server(config)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

        def run() -> None:
            with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
                runner.run(self.server.serve([self.listener]))

        self.thread = threading.Thread(target=run)

    def connect(self, source: str = "127.0.0.1", buffer: int = 0) -> socket.socket:
        made = socket.socket()
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.settimeout(10)
        made.bind((source, 0))
        made.connect(("127.0.0.1", self.port))
        return made

    def send(self, data: bytes, source: str = "127.0.0.1") -> bytes:
        """Send bytes, and return all that comes until the connection is closed or for a moment nothing does."""
        with self.connect(source) as made:
            with contextlib.suppress(OSError):
                made.sendall(data)
            return received(made)

    def refusals(self) -> dict[str, float]:
        page = self.gateway.metrics.page().decode()
        found = re.findall(r'^cnnapp_refusals_total{reason="(\w+)"} (\S+)$', page, re.MULTILINE)
        return {name: float(count) for name, count in found if float(count)}

    def requests_counted(self) -> int:
        return len(self.model.asked)


def received(made: socket.socket, seconds: float = 10.0) -> bytes:
    made.settimeout(seconds)
    found = bytearray()
    with contextlib.suppress(OSError):
        while part := made.recv(2**20):
            found += part
            if b"\r\n\r\n" in found[:500] and b"onnection: close" not in found[:500]:
                made.settimeout(0.3)  # it is kept open for more
    return bytes(found)


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", answer)]


@contextlib.contextmanager
def running(access: Access | None = None, **limits: float) -> Iterator[Service]:
    service = Service(access, **limits)
    service.thread.start()
    try:
        service.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        yield service
    finally:
        service.server.should_exit = True
        service.thread.join(20)
        assert not service.thread.is_alive()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running() as started:
        yield started


def flood(service: Service, head: bytes, part: bytes, most: int = 300 * 2**20) -> tuple[int, bytes]:
    """Send a head and one part after the other; return how many bytes were taken, and the answer."""
    sent = 0
    with service.connect() as made:
        with contextlib.suppress(OSError):
            made.sendall(head)
            while sent < most:
                made.sendall(part)
                sent += len(part)
        return sent, received(made)


HEADERS_WITHOUT_END = {
    "one header": (POST + b"X: ", b"a" * 2**16),
    "many headers": (POST, b"X: aaaaaaaaaa\r\n" * 4096),
    "path": (b"GET /", b"a" * 2**16),
    "empty lines": (b"", b"\r\n" * 2**15),
    "no colon": (POST, b"a" * 2**16),
    "extension of a chunk": (CHUNKED + b"1;x=", b"a" * 2**16),
    "one trailer": (CHUNKED + b"0\r\nX: ", b"a" * 2**16),
    "many trailers": (CHUNKED + b"0\r\n", b"X: aaaaaaaaaa\r\n" * 4096),
}


@pytest.mark.parametrize("kind", HEADERS_WITHOUT_END)
def test_headers_without_end_are_cut_off(service, kind: str):
    before = psutil.Process().memory_info().rss
    began = time.monotonic()
    sent, answer = flood(service, *HEADERS_WITHOUT_END[kind])
    assert sent < 300 * 2**20 or time.monotonic() - began < 5
    assert not answer or statuses(answer) in ([431], [400]), answer
    assert psutil.Process().memory_info().rss - before < 16 * 2**20
    assert statuses(service.send(WHOLE)) == [200]


def test_headers_of_64_kib_are_taken_and_no_more(service):
    for size, status in ((60_000, 200), (66_000, 431), (200_000, 431)):
        for header in (b"X: " + b"a" * size + b"\r\n", b"X: aaaaaaaaa\r\n" * (size // 14)):
            answer = service.send(POST + header + b"Content-Length: 2\r\n\r\n{}")
            assert statuses(answer) == [status]
    assert b"more than the 64 KiB of headers" in answer
    assert service.refusals()["headers"] >= 4


def drip(service: Service, head: bytes, rest: bytes, every: float = 0.05) -> tuple[float, bytes]:
    """Send a head, then byte after byte; return when the connection was closed, and the answer."""
    began, answer = time.monotonic(), b""
    with service.connect() as made, contextlib.suppress(OSError):
        made.sendall(head)
        for byte in rest:
            made.settimeout(every)
            with contextlib.suppress(TimeoutError):
                part = made.recv(2**16)
                answer += part
                if not part:
                    return time.monotonic() - began, answer
            made.sendall(bytes([byte]))
    return time.monotonic() - began, answer


@pytest.mark.parametrize(
    ("head", "rest"),
    [(POST + b"X: ", b"a" * 200), (b"", POST * 10), (b"", b"\r\n" * 100), (WHOLE, b"\r\n" * 100), (WHOLE, POST * 10)],
    ids=["header", "request line", "empty lines", "empty lines behind a request", "the next request"],
)
def test_headers_that_come_byte_by_byte_have_their_time(service, head: bytes, rest: bytes):
    seconds, answer = drip(service, head, rest)
    assert seconds < 5 * HEAD_SECONDS + connections._LINGER
    assert statuses(answer)[-1] == 408


@pytest.mark.parametrize("part", [b"", b"POST", POST, POST + b"Content-Length"])
def test_a_connection_that_stops_is_closed(service, part: bytes):
    began = time.monotonic()
    answer = service.send(part)
    assert statuses(answer) == ([408] if part else [])
    assert HEAD_SECONDS * 0.8 < time.monotonic() - began < HEAD_SECONDS + connections._LINGER + 1


def test_half_a_body_has_the_time_of_the_request(service):
    answer = service.send(POST + b"Content-Length: 10\r\n\r\n{")
    assert statuses(answer) == [504]
    seconds, answer = drip(service, POST + b"Content-Length: 1000\r\n\r\n", b"a" * 200)
    assert statuses(answer) == [504]
    assert seconds < 1.5 + HEAD_SECONDS + 1  # what is left of the body has a time of its own
    assert service.refusals()["seconds"] >= 2


def test_what_is_left_of_a_refused_body_is_not_waited_for(service):
    """Nor does the answer get lost for a client that sends on before it reads."""
    seconds, answer = drip(service, POST + b"Content-Length: 9999999\r\n\r\n", b"a" * 200)
    assert statuses(answer) == [413]
    assert seconds < HEAD_SECONDS + 1
    answer = service.send(POST + b"Content-Length: 3000000\r\n\r\n" + b"a" * 3_000_000 + WHOLE)
    assert statuses(answer) == [413, 200]
    answer = service.send(CHUNKED + b"100000\r\n" + b"a" * 2**20 + b"\r\n1\r\na\r\n0\r\n\r\n" + WHOLE)
    assert statuses(answer) == [413, 200]


def test_an_answer_that_is_not_read_has_a_time(service):
    with service.connect(buffer=2**12) as made:
        made.sendall(POST + b"Content-Length: 5\r\n\r\nlarge")
        until = time.monotonic() + 30
        while service.refusals().get("unread", 0) < 1:
            assert time.monotonic() < until
            time.sleep(0.05)
    assert len(service.send(POST + b"Content-Length: 5\r\n\r\nlarge")) > LARGE  # whoever reads has it


def test_answers_that_are_not_read_have_a_size(monkeypatch):
    monkeypatch.setattr(connections, "_UNREAD", 2.1 * LARGE)
    with running(seconds=30) as service, contextlib.ExitStack() as stack:
        greedy = [stack.enter_context(service.connect(buffer=2**12)) for _ in range(4)]
        modest = stack.enter_context(service.connect("127.0.0.2"))
        for number, made in enumerate((*greedy, modest)):
            made.sendall(POST + b"Content-Length: 5\r\n\r\nlarge")
            until = time.monotonic() + 20
            while service.refusals().get("unread", 0) < max(0, number - 1) or service.requests_counted() < number + 1:
                assert time.monotonic() < until
                time.sleep(0.05)
        assert len(received(modest)) > LARGE
        assert service.refusals() == {"unread": 3}


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
MALFORMED = {
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}" + SMUGGLED,
    "the same length twice": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "signed length": POST + b"Content-Length: +2\r\n\r\n{}",
    "negative length": POST + b"Content-Length: -2\r\n\r\n{}",
    "huge length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "length of hexadecimal": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "chunked with a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a length and chunked": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked, identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "folded header": POST + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
    "bytes in a name": POST + b"X-\x80\xff: a\r\nContent-Length: 2\r\n\r\n{}",
    "space in a name": POST + b"X Y: a\r\nContent-Length: 2\r\n\r\n{}",
    "NUL in a value": POST + b"X: a\0b\r\nContent-Length: 2\r\n\r\n{}",
    "CR in a value": POST + b"X: a\rY: b\r\nContent-Length: 2\r\n\r\n{}",
    "LF alone": POST.replace(b"\r\n", b"\n") + b"Content-Length: 2\n\n{}",
    "no colon": POST + b"XX\r\nContent-Length: 2\r\n\r\n{}",
    "size of a chunk": CHUNKED + b"ZZ\r\n{}\r\n0\r\n\r\n",
    "prefix of a chunk's size": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "huge chunk": CHUNKED + b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "chunk with LF alone": CHUNKED + b"2\n{}\n0\n\n",
    "chunk longer than its size": CHUNKED + b"2\r\n{}{}\r\n0\r\n\r\n",
    "NUL in an extension": CHUNKED + b"2;\0\r\n{}\r\n0\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.7": b"GET /healthz HTTP/3.7\r\nHost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bytes in a path": b"GET /\x80\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "NUL in a path": b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 200,
    "noise": bytes(range(256)) * 8,
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_can_be_read_in_two_ways_is_refused(service, kind: str):
    """Nothing behind it is taken for a request of its own."""
    asked = service.requests_counted()
    answer = service.send(MALFORMED[kind])
    assert statuses(answer) == [400]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert service.requests_counted() == asked
    assert statuses(service.send(WHOLE)) == [200]


def test_requests_one_behind_the_other_are_answered_in_order(service):
    answer = service.send(POST + b"Content-Length: 4\r\n\r\nslow" + WHOLE * 3)
    assert statuses(answer) == [200] * 4
    answer = service.send(WHOLE * 2 + b"\0garbage\r\n\r\n")
    assert statuses(answer)[:2] == [200, 200]
    answer = service.send(POST + b"Content-Length: 4\r\n\r\nslow\0garbage\r\n\r\n")
    assert statuses(answer) == [200]  # the answer that is under way is not cut off


def test_other_protocols_are_not_spoken(service):
    for protocol in (b"websocket", b"h2c"):
        head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: " + protocol
        key = b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        assert statuses(service.send(head + key)) == [200]
    answer = service.send(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}")
    assert statuses(answer) == [100, 200]
    answer = service.send(POST + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
    assert statuses(answer) == [413]


def test_idle_connections_make_room_for_others():
    with running(connections=20, header_seconds=30) as service, contextlib.ExitStack() as stack:
        greedy = [stack.enter_context(service.connect()) for _ in range(60)]
        for number, made in enumerate(greedy):
            with contextlib.suppress(OSError):
                made.sendall(POST if number % 2 else b"")
        for source in ("127.0.0.2", "127.0.0.1"):
            began = time.monotonic()
            assert statuses(service.send(WHOLE, source)) == [200]
            assert time.monotonic() - began < 5
        assert service.refusals()["connections"] >= 40


def test_connections_whose_requests_are_answered_stay():
    with running(connections=4, queue=8) as service, contextlib.ExitStack() as stack:
        busy = [stack.enter_context(service.connect()) for _ in range(4)]
        for made in busy:
            made.sendall(POST + b"Content-Length: 4\r\n\r\nslow")
        time.sleep(0.15)
        answer = service.send(WHOLE)
        assert statuses(answer) == [503]
        assert b"retry-after: 1" in answer
        assert [statuses(received(made)) for made in busy] == [[200]] * 4


def test_many_idle_connections_do_not_hold_up_the_end():
    with running(header_seconds=30) as service, contextlib.ExitStack() as stack:
        for part in (b"", b"POST", WHOLE) * 5:
            stack.enter_context(service.connect()).sendall(part)
        time.sleep(0.2)
        began = time.monotonic()
        service.server.should_exit = True
        service.thread.join(10)
        assert time.monotonic() - began < 3


def ask(url: str, **how: Any) -> requests.Response:
    return requests.post(f"{url}/v1/models/m:predict", timeout=10, **how)


def test_bodies_may_be_compressed_and_large_answers_are(service):
    url = f"http://127.0.0.1:{service.port}"
    packed = {"Content-Encoding": "gzip"}
    assert ask(url, data=gzip.compress(b"zipped"), headers=packed).status_code == 200
    assert service.model.asked[-1] == b"zipped"
    assert ask(url, data=gzip.compress(b"a" * 2**21), headers=packed).status_code == 413
    refused = ask(url, data=b"a", headers={"Content-Encoding": "br"})
    assert (refused.status_code, refused.headers["accept-encoding"]) == (415, "gzip")
    large = ask(url, data=b"large")
    assert (large.headers["content-encoding"], len(large.content)) == ("gzip", LARGE)
    assert int(large.headers["content-length"]) < LARGE / 10
    plain = ask(url, data=b"large", headers={"Accept-Encoding": "identity"})
    assert ("content-encoding" not in plain.headers, len(plain.content)) == (True, LARGE)
    assert "content-encoding" not in ask(url, data=b"small").headers


def test_scripts_of_pages_are_let_in_by_name():
    page = "http://localhost:3000"
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    with running(Access(origins=(page,))) as service:
        url = f"http://127.0.0.1:{service.port}"
        answer = ask(url, data=b"{}", headers={"Origin": page})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, page)
        asked = requests.options(f"{url}/v1/models/m:predict", headers={"Origin": page} | preflight, timeout=10)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, page)
        for origin in ("http://evil.example", "null"):
            refused = ask(url, data=b"{}", headers={"Origin": origin})
            assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (403, False)
            refused = requests.options(f"{url}/v1/models/m:predict", headers={"Origin": origin} | preflight, timeout=10)
            assert refused.status_code == 403
        assert service.refusals() == {"origin": 4}


def hold(service: Service, source: str, count: int, body: bytes) -> Callable[[], list[list[int]]]:
    """Send requests of one client at the same time; return how to have the answers."""
    made = [service.connect(source) for _ in range(count)]
    for one in made:
        one.sendall(POST + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def answers() -> list[list[int]]:
        found = [statuses(received(one)) for one in made]
        for one in made:
            one.close()
        return found

    return answers


def test_a_greedy_client_does_not_keep_a_modest_one_out():
    with running(queue=16, batch=1, seconds=20) as service:
        greedy = hold(service, "127.0.0.1", 16, b"slow")
        time.sleep(0.1)
        began = time.monotonic()
        for _ in range(3):
            assert statuses(service.send(WHOLE, "127.0.0.2")) == [200]
        assert time.monotonic() - began < 8 * 0.4 + 1
        found = greedy()
        assert found.count([200]) + found.count([503]) == 16
        assert found.count([503]) == service.refusals()["share"] <= 3
