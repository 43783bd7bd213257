"""The gateway, in front of models that are made up: routes, limits and figures."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from cnnapp.service.front.access import Access
from cnnapp.service.front.tokens import Tokens
from cnnapp.service.gateway import Gateway, ProcessEnded
from cnnapp.service.limits import Limits
from cnnapp.service.protocol import Refusal, to_json
from pipelines.core.errors import ConfigError


@dataclass
class Reply:
    status: int = 200
    body: bytes = b'{"predictions":[1]}'
    signature: str = "serving_default"
    images: int = 1
    batch: int = 3
    retry_after: int | None = None
    reason: str = ""


@dataclass
class Model:
    """Answers when it is let to."""

    number: int = 0
    others: tuple[int, ...] = ()
    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[bytes] = field(default_factory=list)
    ill: Exception | None = None
    ends: list[bool] = field(default_factory=list)
    reply: Reply = field(default_factory=Reply)

    async def answer(self, body: bytes, seconds: float) -> Any:
        self.asked.append(body)
        await self.open.wait()
        if self.ill:
            raise self.ill
        if self.ends:
            raise ProcessEnded(had_request=self.ends.pop(0))
        return self.reply

    async def describe(self) -> list[dict[str, Any]]:
        if self.ill:
            raise self.ill
        numbers = (self.number, *self.others)
        return [{"metadata": {"signature_def": {}}, "process": number, "memory": 7} for number in numbers]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        return json.loads(self.body)["error"]


async def ask(gateway: Gateway, method: str, path: str, *parts: bytes, **headers: str) -> Answer:
    """Ask without any network."""
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = {"host": "localhost"} | headers
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "http_version": "1.1", "scheme": "http", "root_path": "",
    }  # fmt: skip
    await gateway.application(scope, receive, send)
    heads = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], heads, b"".join(message.get("body", b"") for message in sent[1:]))


def one_model(**limits: float) -> tuple[Gateway, Model]:
    model = Model()
    model.open.set()
    return Gateway({"digits": {1: model}}, Limits.parse(**limits)), model


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"),
        ("POST", "/v1/foo", 400, "Malformed request"),
        ("GET", "/v1/models", 400, "Missing model name"),
        ("POST", "/v1/models", 400, "Malformed request"),
        ("GET", "/v1/models/digits:predict", 400, "Malformed request"),
        ("POST", "/v1/models/digits/versions/HELLO:predict", 400, "Malformed request"),
        ("POST", "/v1/models/digits/version/1:predict", 400, "Malformed request"),
        ("POST", "/v1/models/nothing:predict", 404, "Latest(nothing); there is: digits/1"),
        ("POST", "/v1/models/digits/versions/5:predict", 404, "Specific(digits, 5)"),
        ("POST", f"/v1/models/digits/versions/{2**70}:predict", 404, "Specific(digits"),
        ("POST", f"/v1/models/digits/versions/{'9' * 5000}:predict", 400, "Malformed request"),
        ("GET", f"/v1/models/digits/versions/{'9' * 5000}", 400, "Malformed request"),
        ("GET", "/v1/models/digits/versions/\u0661", 400, "Malformed request"),
        ("GET", "/v1/models/nothing", 404, "Latest(nothing)"),
        ("GET", "/v1/models/digits/versions/5", 404, "Specific(digits, 5)"),
        ("GET", "/v1/models/nothing/metadata", 404, "Latest(nothing)"),
        ("POST", "/v1/models/digits/labels/stable:predict", 400, "Unrecognized servable version label: stable"),
        ("POST", "/v1/models/digits:classify", 400, "no signature for classify"),
        ("PUT", "/v1/models/digits:predict", 404, "Not Found"),
        ("GET", "/elsewhere", 404, "Not Found: GET /elsewhere"),
    ],
)
def test_what_is_not_there_is_refused_as_by_tensorflow_serving(method, path, status, reason):
    answer = asyncio.run(ask(one_model()[0], method, path))
    assert answer.status == status
    assert reason in answer.error
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.body) < 400


def test_the_newest_version_answers_where_none_is_named():
    async def check() -> None:
        models = {number: Model(number) for number in (2, 10)}
        for model in models.values():
            model.open.set()
        gateway = Gateway({"a b": models}, Limits.parse())
        assert (await ask(gateway, "POST", "/v1/models/a b:predict", b"newest")).status == 200
        assert (await ask(gateway, "POST", "/v1/models/a b/versions/2:predict", b"old", b"er")).status == 200
        assert (models[10].asked, models[2].asked) == ([b"newest"], [b"older"])
        told = json.loads((await ask(gateway, "GET", "/V1/Models/a b")).body)["model_version_status"]
        assert [one["version"] for one in told] == ["10", "2"]
        told = json.loads((await ask(gateway, "GET", "/v1/models/a b/metadata")).body)
        assert told["model_spec"] == {"name": "a b", "signature_name": "", "version": "10"}

    asyncio.run(check())


@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_is_too_large_is_refused(told):
    gateway, model = one_model(body=0.5)
    headers = {"content_length": str(2**20)} if told else {}
    answer = asyncio.run(ask(gateway, "POST", "/v1/models/digits:predict", b"x" * 2**19, b"x", **headers))
    assert (answer.status, model.asked) == (413, [])
    assert "more than the 0.5 MiB" in answer.error


def test_a_request_that_takes_too_long_is_given_up():
    gateway, model = one_model(seconds=0.05)
    model.open.clear()
    answer = asyncio.run(ask(gateway, "POST", "/v1/models/digits:predict", b"{}"))
    assert answer.status == 504
    assert "0.05 seconds" in answer.error


def test_more_requests_than_a_model_holds_are_told_to_come_again():
    async def check() -> None:
        gateway, model = one_model(queue=2)
        model.open.clear()
        held = [asyncio.create_task(ask(gateway, "POST", "/v1/models/digits:predict", b"{}")) for _ in range(2)]
        await asyncio.sleep(0.01)
        answer = await ask(gateway, "POST", "/v1/models/digits:predict", b"{}")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert b'cnnapp_requests_held{model="digits",version="1"} 2.0' in gateway.metrics.page()
        model.open.set()
        assert [(await one).status for one in held] == [200, 200]
        assert (await ask(gateway, "POST", "/v1/models/digits:predict", b"{}")).status == 200

    asyncio.run(check())


@pytest.mark.parametrize("path", ["/healthz", "/-/healthz"])
def test_health_is_that_of_every_model(path):
    gateway, model = one_model()
    assert asyncio.run(ask(gateway, "GET", path)).status == 200
    model.ill = Refusal(503, "the model's process has ended")
    answer = asyncio.run(ask(gateway, "GET", path))
    assert (answer.status, answer.body) == (503, b"the model's process has ended")
    status = json.loads(asyncio.run(ask(gateway, "GET", "/v1/models/digits")).body)["model_version_status"][0]
    assert (status["state"], status["status"]["error_code"]) == ("LOADING", "UNAVAILABLE")
    model.ill, gateway.stopping = None, True
    assert asyncio.run(ask(gateway, "GET", path)).status == 503
    assert asyncio.run(ask(gateway, "POST", "/v1/models/digits:predict", b"{}")).status == 503


def test_what_a_model_says_is_passed_on():
    gateway, model = one_model()
    model.reply = Reply(503, to_json({"error": "later"}), retry_after=4)
    answer = asyncio.run(ask(gateway, "POST", "/v1/models/digits:predict", b"{}"))
    assert (answer.status, answer.error, answer.headers["retry-after"]) == (503, "later", "4")


@pytest.mark.parametrize("path", ["/metrics", "/monitoring/prometheus/metrics"])
def test_figures_count_requests_images_and_loads(path):
    gateway, model = one_model()
    for name in ("digits", "digits", "nothing", "else"):
        asyncio.run(ask(gateway, "POST", f"/v1/models/{name}:predict", b"{}"))
    model.number, model.others = 5, (4,)
    asyncio.run(ask(gateway, "GET", path))
    model.number = 6  # as after a restart of one of two
    answer = asyncio.run(ask(gateway, "GET", path))
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.body.decode().splitlines()
    asked = 'model="digits",signature="serving_default"'
    assert f'cnnapp_requests_total{{{asked},status="200",version="1"}} 2.0' in lines
    assert f'cnnapp_images_total{{{asked},version="1"}} 2.0' in lines
    assert f'cnnapp_request_seconds_count{{{asked},version="1"}} 2.0' in lines
    assert f'cnnapp_batch_images_sum{{{asked},version="1"}} 6.0' in lines
    # Names that anybody may make up have no figures of their own.
    assert 'cnnapp_requests_total{model="",signature="",status="404",version="0"} 2.0' in lines
    assert 'cnnapp_model_loads{model="digits",version="1"} 3.0' in lines
    memory = [line for line in lines if line.startswith("cnnapp_replica_memory_bytes")]
    of = 'cnnapp_replica_memory_bytes{{model="digits",process="{}",version="1"}} 7.0'
    assert sorted(memory) == [of.format(4), of.format(6)]


def test_what_nobody_thought_of_is_an_error_that_is_counted(capsys):
    gateway, model = one_model()
    model.ill = ValueError("secret")
    for method, path in (("POST", "/v1/models/digits:predict"), ("GET", "/v1/models/digits/metadata")):
        answer = asyncio.run(ask(gateway, method, path))
        assert (answer.status, answer.error) == (500, "the service failed; its log says why")
        assert "ValueError: secret" in capsys.readouterr().err
    asked = 'model="digits",signature="",status="500",version="1"'
    assert f"cnnapp_requests_total{{{asked}}} 1.0" in gateway.metrics.page().decode()


def test_a_request_that_is_cut_off_is_told_so_and_counted():
    async def check() -> None:
        gateway, model = one_model()
        model.open.clear()
        cut = asyncio.create_task(ask(gateway, "POST", "/v1/models/digits:predict", b"{}"))
        await asyncio.sleep(0.01)
        cut.cancel()
        answer = await cut
        assert (answer.status, "has stopped" in answer.error) == (503, True)
        page = gateway.metrics.page().decode()
        assert 'cnnapp_requests_total{model="digits",signature="",status="503",version="1"} 1.0' in page
        assert 'cnnapp_requests_held{model="digits",version="1"} 0.0' in page

    asyncio.run(check())


@pytest.mark.parametrize(
    ("ends", "status", "asked", "retries"),
    [([True], 200, 2, 1), ([False] * 3, 200, 4, 0), ([False, True, False], 200, 4, 1), ([True, True], 503, 2, 2)],
)
def test_a_request_whose_process_ended_is_asked_again(
    monkeypatch, ends: list[bool], status: int, asked: int, retries: int
):
    """Once, where it may be why the process ended; and as often as none is there yet."""
    monkeypatch.setattr("cnnapp.service.gateway._PAUSE", 0.0)
    gateway, model = one_model()
    model.ends = ends
    answer = asyncio.run(ask(gateway, "POST", "/v1/models/digits:predict", b"{}"))
    assert (answer.status, len(model.asked)) == (status, asked)
    page = gateway.metrics.page().decode()
    assert not retries or f'cnnapp_retries_total{{model="digits",version="1"}} {retries}.0' in page
    if status == 503:
        assert "two processes ended" in answer.error
        assert answer.headers["retry-after"] == "2"
        assert refusals(gateway) == {"process": 1}


def test_a_process_that_is_not_back_in_time_costs_the_request():
    gateway, model = one_model(seconds=0.3)
    model.ends = [False] * 1000
    answer = asyncio.run(ask(gateway, "POST", "/v1/models/digits:predict", b"{}"))
    assert (answer.status, refusals(gateway)) == (504, {"seconds": 1})


def refusals(gateway: Gateway) -> dict[str, float]:
    page = gateway.metrics.page().decode()
    found = re.findall(r'^cnnapp_refusals_total{reason="(\w+)"} (\S+)$', page, re.MULTILINE)
    return {name: float(count) for name, count in found if float(count)}


def test_refusals_are_counted_by_their_reason(tmp_path):
    (tmp_path / "tokens").write_text("t" * 20)
    access = Access(tokens=Tokens(tmp_path / "tokens"))
    model = Model()
    gateway = Gateway({"digits": {1: model}}, Limits.parse(body=0.001, queue=1, seconds=0.1), access)
    model.reply = Reply(400, b"{}", reason="images")
    token = {"authorization": f"Bearer {'t' * 20}"}

    async def check() -> None:
        path = "/v1/models/digits:predict"
        held = asyncio.create_task(ask(gateway, "POST", path, b"{}", **token))
        await asyncio.sleep(0.01)
        found = [
            await ask(gateway, "POST", path, b"{}", **how)
            for how in ({"host": "evil.example"}, {"origin": "http://evil.example"}, {}, token)
        ]
        assert [one.status for one in found] == [403, 403, 401, 503]
        assert found[2].headers["www-authenticate"] == 'Bearer realm="cnnapp"'
        assert (await held).status == 504
        assert (await ask(gateway, "POST", path, b"x" * 2000, **token)).status == 413
        assert (await ask(gateway, "POST", path, b"x", content_encoding="br", **token)).status == 415
        model.open.set()
        assert (await ask(gateway, "POST", path, b"x", **token)).status == 400
        assert (await ask(gateway, "GET", "/healthz")).status == 200
        assert (await ask(gateway, "GET", "/metrics")).status == 401

    asyncio.run(check())
    names = ["host", "origin", "queue", "seconds", "body", "encoding", "images"]
    assert refusals(gateway) == dict.fromkeys(names, 1) | {"token": 2}


@pytest.mark.parametrize(
    "wrong", [{"body": 0}, {"images": 0}, {"headers": 0}, {"header_seconds": 0}, {"connections": 0}]
)
def test_new_limits_that_cannot_be_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong)).replace("_", "-")):
        Limits.parse(**wrong)


@pytest.mark.parametrize("wrong", [{"body": 0}, {"queue": 0}, {"pixels": -1}, {"nothing": 1}])
def test_limits_that_cannot_be_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Limits.parse(**wrong)
