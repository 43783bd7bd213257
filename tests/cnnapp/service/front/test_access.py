"""Who may ask: names, pages of browsers, tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cnnapp.service.front.access import Access, client_of
from cnnapp.service.front.tokens import Tokens
from cnnapp.service.protocol import Refusal
from pipelines.core.errors import ConfigError

TOKEN = "t" * 30


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    (tmp_path / "tokens.txt").write_text(TOKEN)
    return Tokens(tmp_path / "tokens.txt")


def scope(
    method: str = "POST", path: str = "/v1/models/a:predict", *headers: tuple[str, str], **more: Any
) -> dict[str, Any]:
    given = headers if any(name == "host" for name, _ in headers) else (("host", "localhost"), *headers)
    raw = [(name.encode(), value.encode()) for name, value in given]
    found = {"type": "http", "method": method, "path": path, "headers": raw, "http_version": "1.1"}
    return found | {"client": ("127.0.0.1", 5)} | more


def refusal(access: Access, *headers: tuple[str, str], **more: Any) -> Refusal | None:
    try:
        access.check(scope("POST", "/v1/models/a:predict", *headers, **more))
    except Refusal as found:
        return found
    return None


@pytest.mark.parametrize(
    ("address", "hosts", "taken", "refused"),
    [
        (
            "127.0.0.1", (),
            ["localhost", "LOCALHOST:8501", "127.0.0.1:1", "127.8.9.1", "[::1]:8501", "a.localhost", "localhost.:80"],
            ["evil.example", "evil.example:8501", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1",
             "0.0.0.0",
             "", "localhost:8501:1", "localhost/", "user@localhost", "[::1", "::1", "[::2]", "2130706433",
             "localhost:port",
             "evil.example#localhost", "localhost evil.example"],
        ),
        ("::1", (), ["[::1]:8501", "localhost"], ["evil.example", "[fe80::1]"]),
        ("localhost", (), ["localhost", "127.0.0.1"], ["evil.example"]),
        ("127.0.0.1", ("gpu.example", "*.lab.example"), ["GPU.example:80", "localhost", "a.b.lab.example"],
         ["lab.example", "xgpu.example", "gpu.example.evil", "xlab.example"]),
        ("0.0.0.0", (), ["anything.example", "10.0.0.1", "localhost", ""], ["a b", "[::1", "a:b:c"]),
        ("10.0.0.1", ("gpu.example",), ["gpu.example", "10.0.0.1:8501", "localhost"], ["evil.example", "10.0.0.2"]),
        ("127.0.0.1", ("*",), ["evil.example"], ["a/b"]),
    ],
)  # fmt: skip
def test_names_that_the_service_goes_by(address: str, hosts: tuple[str, ...], taken: list[str], refused: list[str]):
    access = Access(address, hosts)
    assert [one for one in taken if not access.takes_host(one)] == []
    assert [one for one in refused if access.takes_host(one)] == []
    found = refusal(Access("127.0.0.1"), ("host", "evil.example"))
    assert found is not None
    assert (found.status, found.reason) == (403, "host")
    assert "--allow-host" in found.message


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [
        ([("host", "localhost"), ("host", "localhost")], "1.1", 400),
        ([("host", "localhost"), ("host", "evil.example")], "1.0", 400),
        ([("x", "y")], "1.1", 400),
        ([("x", "y")], "0.9", 400),
        ([("x", "y")], "1.0", None),
    ],
)
def test_one_name_is_given(headers: list[tuple[str, str]], version: str, status: int | None):
    given = scope(http_version=version)
    given["headers"] = [(name.encode(), value.encode()) for name, value in headers]
    found = None
    try:
        Access().check(given)
    except Refusal as error:
        found = error.status
    assert found == status


@pytest.mark.parametrize(
    ("origins", "sent", "taken"),
    [
        ((), None, True),
        ((), "http://localhost:3000", False),
        ((), "http://localhost", False),
        ((), "null", False),
        ((), "", False),
        (("http://localhost:3000",), "http://localhost:3000", True),
        (("http://localhost:3000",), "HTTP://LOCALHOST:3000", True),
        (("http://localhost:3000",), "http://localhost:3001", False),
        (("http://localhost:3000",), "https://localhost:3000", False),
        (("http://a.example", "null"), "null", True),
        (("*",), "http://evil.example", True),
    ],
)
def test_pages_whose_scripts_may_ask(origins: tuple[str, ...], sent: str | None, taken: bool):
    found = refusal(Access(origins=origins), *([] if sent is None else [("origin", sent)]))
    assert (found is None) is taken
    if found is not None:
        assert (found.status, found.reason) == (403, "origin")
        assert "--allow-origin" in found.message


def test_a_request_of_another_page_without_its_name_is_refused():
    for site, taken in (("cross-site", False), ("same-site", False), ("same-origin", True), ("none", True)):
        assert (refusal(Access(), ("sec-fetch-site", site)) is None) is taken
    Access().check(scope("GET", "/metrics", ("sec-fetch-site", "cross-site")))  # a link on a page


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ([("authorization", f"Bearer {TOKEN}")], True),
        ([("authorization", "Bearer wrong")], False),
        ([("authorization", f"Bearer {TOKEN}")] * 2, False),
        ([], False),
    ],
)
def test_a_token_is_required_where_there_are_any(tokens: Tokens, headers: list[tuple[str, str]], taken: bool):
    access = Access(tokens=tokens)
    found = refusal(access, *headers)
    assert (found is None) is taken
    if found is not None:
        assert (found.status, found.reason) == (401, "token")
        assert TOKEN not in found.message
    for path in ("/healthz", "/-/healthz"):
        access.check(scope("GET", path))
    for path in ("/metrics", "/healthz/", "/HEALTHZ", "/v1/models/a"):
        with pytest.raises(Refusal):
            access.check(scope("GET", path))


def test_a_client_is_its_token_or_its_address(tokens: Tokens):
    access = Access(tokens=tokens)
    one = access.check(scope("POST", "/v1", ("authorization", f"Bearer {TOKEN}")))
    other = access.check(scope("POST", "/v1", ("authorization", f"Bearer {TOKEN}"), client=("10.0.0.1", 1)))
    assert one == other != Access().check(scope())


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
        ("testclient", "testclient"),
    ],
)
def test_a_network_of_ipv6_is_one_client(address: str, client: str):
    assert client_of({"client": (address, 1)}) == client
    assert client_of({"client": None}) == ""


@pytest.mark.parametrize("host", ["http://a.example", "a.example:80", "", "a b", "*a.example", "a.*", "a/b"])
def test_a_name_that_is_none_is_refused(host: str):
    with pytest.raises(ConfigError, match="--allow-host"):
        Access(hosts=(host,))


@pytest.mark.parametrize("origin", ["localhost:3000", "http://a.example/", "http://", "", "http://a b"])
def test_an_origin_that_is_none_is_refused(origin: str):
    with pytest.raises(ConfigError, match="--allow-origin"):
        Access(origins=(origin,))
