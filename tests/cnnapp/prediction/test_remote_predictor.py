"""The client, against a service that is made up: what TensorFlow Serving would say, and what goes wrong on the way."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnnapp


def output(kind: str, *sizes: int) -> dict[str, Any]:
    return {"dtype": kind, "tensor_shape": {"dim": [{"size": str(size)} for size in sizes], "unknown_rank": False}}


IMAGES = output("DT_STRING", -1)
SCORES = {"inputs": {"image_bytes": IMAGES}, "outputs": {"scores": output("DT_FLOAT", -1, 3)}}
BOXES = {
    "inputs": {"image_bytes": IMAGES, "score_threshold": output("DT_FLOAT"), "scales": output("DT_FLOAT", -1)},
    "outputs": {
        "boxes": output("DT_FLOAT", -1, 2, 4),
        "scores": output("DT_FLOAT", -1, 2),
        "class_ids": output("DT_INT64", -1, 2),
        "class_names": output("DT_STRING", -1, 2),
        "num_detections": output("DT_INT32", -1),
    },
    "defaults": {
        "score_threshold": output("DT_FLOAT") | {"float_val": [0.3], "tensor_content": ""},
        "scales": output("DT_FLOAT", 2)
        | {"float_val": [], "tensor_content": base64.b64encode(np.array([1, 0.1], "<f4").tobytes()).decode()},
    },
}
LABELS = {"inputs": {"class_ids": output("DT_INT64", -1)}, "outputs": {"class_names": output("DT_STRING", -1)}}


class Made(ThreadingHTTPServer):
    """A service whose answers are given beforehand, or made by a function of the request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.signatures: dict[str, Any] = {"serving_default": SCORES}
        self.predict: Any = lambda content: (200, {"outputs": [[0.2, 0.3, 0.5]] * count(content)})
        self.told: tuple[int, bytes, str] | None = None
        self.asked: list[Any] = []
        self.tokens: set[str | None] = set()
        self.connections: set[Any] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Made

    def do_GET(self) -> None:
        self.server.tokens.add(self.headers["Authorization"])
        if self.server.told:
            self.send(*self.server.told)
            return
        spec = {"name": "any", "signature_name": "", "version": "7"}
        self.send(200, {"model_spec": spec, "metadata": {"signature_def": {"signature_def": self.server.signatures}}})

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, content))
        self.server.connections.add(self.client_address)
        self.server.tokens.add(self.headers["Authorization"])
        self.send(*self.server.predict(content))

    def send(self, status: int, content: Any, kind: str = "application/json") -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", kind)
        if status == 503:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def count(content: Any) -> int:
    return len(content["inputs"]["image_bytes"])


@pytest.fixture
def made() -> Iterator[Made]:
    with Made() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_saved_models(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path))


def pictures(number: int) -> list[bytes]:
    found = []
    for grey in range(number):
        buffer = io.BytesIO()
        Image.new("L", (4, 4), grey).save(buffer, "PNG")
        found.append(buffer.getvalue())
    return found


def test_the_task_is_read_from_the_outputs(made):
    remote = cnnapp.connect(made.url, "any/7")
    assert (remote.card.task, remote.card.version, remote.card.classes) == (
        "classification", 7, ("class 0", "class 1", "class 2"),
    )  # fmt: skip
    assert [answer.class_name for answer in remote.predict(pictures(5), batch_size=2)] == ["class 2"] * 5
    assert {path for path, _ in made.asked} == {"/v1/models/any/versions/7:predict"}
    assert [count(content) for _, content in made.asked] == [2, 2, 1]
    assert len(made.connections) == 1
    assert base64.b64decode(made.asked[0][1]["inputs"]["image_bytes"][1]["b64"]) == pictures(2)[1]


@pytest.mark.parametrize("number", [3, 256, 300])
def test_names_are_asked_for_until_there_are_no_more(made, number: int):
    names = [f"bird {one}" for one in range(number)]
    made.signatures = {"serving_default": SCORES, "labels": LABELS}
    made.predict = lambda content: (
        200, {"outputs": [names[one] if one < number else "" for one in content["inputs"]["class_ids"]]},
    )  # fmt: skip
    assert cnnapp.connect(made.url, "any").card.classes == tuple(names)
    assert len(made.asked) == number // 256 + 1
    assert {content["signature_name"] for _, content in made.asked} == {"labels"}


def test_names_come_from_a_saved_model_of_the_same_name(made, trained, monkeypatch):
    """Where it has as many classes as the service's scores; the version may be another."""
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(trained.path.parent.parent))
    made.signatures = {"serving_default": SCORES | {"outputs": {"scores": output("DT_FLOAT", -1, 2)}}}
    assert cnnapp.connect(made.url, "shapes").card.classes == ("cross", "disc")
    made.signatures = {"serving_default": SCORES}
    assert cnnapp.connect(made.url, "shapes").card.classes == ("class 0", "class 1", "class 2")


def test_every_optional_input_is_sent_and_names_are_learned_from_answers(made):
    """TensorFlow Serving's REST takes no request that leaves one out."""
    made.signatures = {"serving_default": BOXES}
    boxes = {
        "boxes": [[[0, 0, 2, 2], [0, 0, 0, 0]]], "scores": [[0.75, 0]], "class_ids": [[4, 0]],
        "class_names": [["owl", ""]], "num_detections": [1],
    }  # fmt: skip
    made.predict = lambda content: (200, {"outputs": boxes})
    remote = cnnapp.connect(made.url, "any")
    assert remote.card.input["options"] == {"score_threshold": 0.3, "scales": [1.0, 0.1]}
    (found,) = remote.predict(pictures(1), score_threshold=0.5)
    assert [(one.class_name, one.class_id, one.score) for one in found] == [("owl", 4, 0.75)]
    sent = made.asked[-1][1]["inputs"]
    assert (sent["score_threshold"], sent["scales"]) == (0.5, [1.0, 0.1])


def test_a_token_is_sent_with_every_request(made, tmp_path, monkeypatch):
    """Also where a .netrc has an entry for the host."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    cnnapp.connect(made.url, "any", token="t" * 20).predict(pictures(1))
    assert made.tokens == {f"Bearer {'t' * 20}"}
    made.tokens.clear()
    (tmp_path / "tokens.txt").write_text(f"# first\n{'u' * 20}\n{'v' * 20}\n")
    monkeypatch.setenv("CNNAPP_TOKEN_FILE", str(tmp_path / "tokens.txt"))
    cnnapp.connect(made.url, "any").predict(pictures(1))
    assert made.tokens == {f"Bearer {'u' * 20}"}
    monkeypatch.setenv("CNNAPP_TOKEN_FILE", str(tmp_path / "none.txt"))
    with pytest.raises(cnnapp.ConfigError, match="no such file"):
        cnnapp.connect(made.url, "any")


def test_a_service_that_wants_a_token_is_told_apart(made):
    made.told = (401, {"error": "Authorization: expected 'Bearer' and a token; received none"}, "application/json")
    with pytest.raises(cnnapp.ServiceError, match="requires a token that it knows; give the file"):
        cnnapp.connect(made.url, "any")


def test_a_busy_service_is_asked_again(made):
    answers = iter([503, 503, 200])
    made.predict = lambda content: (next(answers), {"outputs": [[0, 0, 1]]})
    assert cnnapp.connect(made.url, "any").predict(pictures(1))[0].class_id == 2
    assert len(made.asked) == 3


def test_a_service_that_stays_busy_is_given_up(made, monkeypatch):
    monkeypatch.setattr("cnnapp.prediction.remote_predictor._TRIES", 2)
    made.predict = lambda content: (503, {"error": "full"})
    with pytest.raises(cnnapp.ServiceError, match="status 503: full"):
        cnnapp.connect(made.url, "any").predict(pictures(1))
    assert len(made.asked) == 3


@pytest.mark.parametrize("status", [400, 413, 504])
def test_only_the_images_that_are_refused_have_no_answer(made, status: int):
    bad = base64.b64encode(pictures(4)[3]).decode()

    def predict(content: Any) -> tuple[int, Any]:
        if any(one["b64"] == bad for one in content["inputs"]["image_bytes"]):
            return status, {"error": "no such image"}
        return 200, {"outputs": [[1, 0, 0]] * count(content)}

    made.predict = predict
    found = dict(cnnapp.connect(made.url, "any").predict_each(pictures(7), names="abcdefg"))
    assert [name for name, answer in found.items() if isinstance(answer, cnnapp.DataError)] == ["d"]
    assert str(found["d"]) == "d: no such image"


@pytest.mark.parametrize(
    ("status", "content", "error", "reason"),
    [
        (404, {"error": "Servable not found"}, cnnapp.ModelError, "Servable not found"),
        (500, b"<html>", cnnapp.ServiceError, "status 500: Internal Server Error"),
        (404, b"<html>", cnnapp.ServiceError, "status 404: Not Found"),
        (200, b"<html>", cnnapp.ServiceError, "not as TensorFlow Serving does"),
        (200, {"predictions": [1]}, cnnapp.ServiceError, "not as its metadata says"),
        (200, {"outputs": [["a"]]}, cnnapp.ServiceError, "not as its metadata says"),
    ],
)
def test_an_answer_that_is_none_is_named(made, status, content, error, reason):
    made.predict = lambda _: (status, content)
    with pytest.raises(error, match=reason):
        cnnapp.connect(made.url, "any").predict(pictures(1))


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "http://127.0.0.1:99999", "http://[::1", "127.0.0.1:0"])
def test_what_is_no_url_is_refused_before_anybody_is_asked(url: str):
    with pytest.raises(cnnapp.ConfigError, match="expected one such as http://"):
        cnnapp.connect(url, "any")


@pytest.mark.parametrize("status", [200, 404, 405])
def test_a_page_is_named_as_what_answers(made, status: int):
    made.told = status, b"<!doctype html>", "text/html; charset=utf-8"
    with pytest.raises(cnnapp.ServiceError, match="with a web page, as `cnnapp ui` does; `cnnapp serve` says its URL"):
        cnnapp.connect(made.url, "any")


def test_the_place_in_a_request_is_not_told_to_who_gave_one_image(made):
    made.predict = lambda content: (400, {"error": "image_bytes[0]: cannot be decoded"})
    with pytest.raises(cnnapp.DataError, match=r"^[0-9]+ bytes: cannot be decoded$"):
        cnnapp.connect(made.url, "any").predict(pictures(1))


def test_a_service_that_says_nothing_is_given_up(made):
    let_go = threading.Event()
    made.predict = lambda _: (let_go.wait(5), (200, {}))[1]
    with pytest.raises(cnnapp.ServiceError, match=r"no answer within 0\.2 seconds|cannot be reached"):
        cnnapp.connect(made.url, "any", seconds=0.2).predict(pictures(1))
    let_go.set()


@pytest.mark.parametrize(
    ("signatures", "error", "reason"),
    [
        ({"serving_default": SCORES | {"inputs": {"x": IMAGES}}}, cnnapp.ModelError, "takes no encoded images"),
        ({"serving_default": SCORES | {"outputs": {"y": IMAGES}}}, cnnapp.ModelError, "gives y; no task"),
        ({}, cnnapp.ServiceError, "not as TensorFlow Serving does"),
    ],
)
def test_a_model_of_no_known_task_is_refused(made, signatures, error, reason):
    made.signatures = signatures
    with pytest.raises(error, match=reason):
        cnnapp.connect(made.url, "any")
