"""What clients talk to, as an ASGI application: TensorFlow Serving's REST routes, health and figures."""

from __future__ import annotations

import asyncio
import re
import time
import traceback
from collections.abc import Mapping
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from cnnapp.service.front import bodies
from cnnapp.service.front.access import HEALTH, Access, Gate
from cnnapp.service.front.fair_queue import FairQueue
from cnnapp.service.limits import Limits
from cnnapp.service.metrics import CONTENT_TYPE, Metrics
from cnnapp.service.protocol import Refusal, to_json, write_error

__all__ = ["Gateway", "Model", "ProcessEnded"]

_ASK = re.compile(r"(?i)/v1/models/([^/:]+)(?:/versions/([0-9]{1,30})|/labels/([^/:]+))?:(predict|classify|regress)")
_TELL = re.compile(r"(?i)/v1/models(?:/([^/:]+))?(?:/versions/([0-9]{1,30})|/labels/([^/:]+))?(?:/(metadata))?")
_JSON = "application/json"
_SHOWN = 200  # characters of a path that an error repeats
_PATIENCE = 5.0  # seconds, in which a healthy model says that it is there
_TRIES = 2  # processes that may have ended while they had a request
_PAUSE = 0.1  # seconds, before a model is asked again
_LARGE = 2**16  # bytes of an answer that is worth to be compressed, where the client asks for that
_BODIES = 8  # times the largest body: what the requests that a model holds may have together
_HEADERS = {401: {"WWW-Authenticate": 'Bearer realm="cnnapp"'}, 415: {"Accept-Encoding": "gzip"}}


class ProcessEnded(Exception):
    """A model's process ended before it answered.

    Args:
        had_request: whether the request had come to it, and may be why it ended.
    """

    def __init__(self, had_request: bool) -> None:
        super().__init__(had_request)
        self.had_request = had_request


class Model(Protocol):
    """A model behind the gateway, wherever it runs."""

    async def answer(self, body: bytes, seconds: float) -> Any:
        """Return a :class:`cnnapp.service.processes.replica.Reply`; raise ProcessEnded where there is none."""

    async def describe(self) -> list[dict[str, Any]]:
        """Return what each of the model's processes says of itself; raise a Refusal where none is there."""


class Gateway:
    """Answers over HTTP for some models.

    Args:
        models: by name and version.
        limits: of the service.
        access: who may ask; anybody on this machine by default.
        replicas: processes of each model.
    """

    def __init__(
        self,
        models: Mapping[str, Mapping[int, Model]],
        limits: Limits,
        access: Access | None = None,
        replicas: int = 1,
    ) -> None:
        self._models, self._limits = models, limits
        self.metrics = Metrics()
        self.stopping = False
        self._queues = {
            (name, version): self._queue(name, version, replicas) for name in models for version in models[name]
        }
        figures = [Route(path, self._figures) for path in ("/metrics", "/monitoring/prometheus/metrics")]
        health = [Route(path, self._health) for path in HEALTH]
        routes = Starlette(
            routes=[*figures, *health, Route("/{rest:path}", self._serve, methods=["GET", "POST"])],
            exception_handlers={405: _not_found},
        )
        packed = GZipMiddleware(routes, minimum_size=_LARGE, compresslevel=1, thread_minimum_size=_LARGE)
        self.application = Gate(packed, access or Access(), self._refuse)

    def _queue(self, name: str, version: int, replicas: int) -> FairQueue:
        """Make the queue of a model. It gets one call's requests and those of the next; the others wait their turn."""
        limits, body = self._limits, int(self._limits.body * 2**20)
        window = max(1, min(2 * limits.batch * replicas, limits.queue // 2))
        return FairQueue(
            limits.queue,
            window,
            room=_BODIES * body,
            window_room=2 * replicas * body,
            changed=lambda held: self.metrics.held(name, version, held),
        )

    async def _refuse(self, refusal: Refusal, scope: Any, receive: Any, send: Any) -> None:
        await self._refused(refusal)(scope, receive, send)

    def _refused(self, refusal: Refusal) -> Response:
        self.metrics.refused(refusal.reason)
        return _refused(refusal)

    async def _serve(self, request: Request) -> Response:
        path = request.scope["path"]
        if not path.lower().startswith("/v1/"):
            return await _not_found(request)
        asked = (_ASK if request.method == "POST" else _TELL).fullmatch(path)
        try:
            if asked is None:
                raise Refusal(400, f"Malformed request: {request.method} {path[:_SHOWN]}")
            if request.method == "POST":
                return await self._predict(request, *asked.groups())
            return await self._tell(*asked.groups())
        except Refusal as refusal:
            return self._refused(refusal)
        except Exception:
            return _failed()

    def _find(self, name: str | None, version: str | None, label: str | None) -> tuple[str, list[int]]:
        """Return a model's name and the versions that are meant, the newest last."""
        if not name:
            raise Refusal(400, f"Missing model name in request; there is: {', '.join(self._models)}")
        if label is not None:
            raise Refusal(400, f"Unrecognized servable version label: {label}; versions have numbers here")
        there = sorted(self._models.get(name, ()))
        if not there or (version is not None and int(version) not in there):
            known = ", ".join(f"{one}/{number}" for one in self._models for number in sorted(self._models[one]))
            which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise Refusal(404, f"Servable not found for request: {which}; there is: {known}")
        return name, there if version is None else [int(version)]

    async def _tell(self, name: str | None, version: str | None, label: str | None, part: str | None) -> Response:
        name, versions = self._find(name, version, label)
        if part is None:
            told = [await self._status(name, number) for number in reversed(versions)]
            return _json({"model_version_status": told})
        description = await self._described(name, versions[-1])
        spec = {"name": name, "signature_name": "", "version": str(versions[-1])}
        return _json({"model_spec": spec, "metadata": description["metadata"]})

    async def _status(self, name: str, version: int) -> dict[str, Any]:
        try:
            await self._described(name, version)
        except Refusal as refusal:
            status = {"error_code": "UNAVAILABLE", "error_message": refusal.message}
            return {"version": str(version), "state": "LOADING", "status": status}
        return {"version": str(version), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}

    async def _described(self, name: str, version: int) -> dict[str, Any]:
        try:
            told = await asyncio.wait_for(self._models[name][version].describe(), _PATIENCE)
        except TimeoutError:
            raise Refusal(503, f"{name}/{version} does not answer", retry_after=1) from None
        self.metrics.described(name, version, told)
        return told[0]

    async def _predict(
        self, request: Request, name: str, version: str | None, label: str | None, method: str
    ) -> Response:
        started = time.perf_counter()
        found, number, signature, images, batch = "", 0, "", 0, 0
        try:
            found, versions = self._find(name, version, label)
            number = versions[-1]
            if method.lower() != "predict":
                raise Refusal(400, f"{found} has no signature for {method}; its signatures are for predict")
            reply = await self._answer(request, found, number, started)
            signature, images, batch = reply.signature, reply.images, reply.batch
            self.metrics.refused(reply.reason)
            response = _response(reply.status, reply.body, reply.retry_after)
        except Refusal as refusal:
            response = self._refused(refusal)
        except asyncio.CancelledError:  # what outlasts the grace of a service that is stopped
            response = _refused(Refusal(503, "the service has stopped before there was an answer", retry_after=1))
        except Exception:
            response = _failed()
        self.metrics.answered(
            found, number, signature, response.status_code, time.perf_counter() - started, images, batch
        )
        return response

    async def _answer(self, request: Request, name: str, version: int, started: float) -> Any:
        if self.stopping:
            raise Refusal(503, "the service is stopping", retry_after=1)
        seconds, most = self._limits.seconds, int(self._limits.body * 2**20)
        try:
            async with self._queues[name, version].place(request.state.caller, seconds) as place:
                body = await bodies.read(request, most, place.grow)
                await place.turn()
                return await self._reply(name, version, body, started + seconds)
        except ClientDisconnect:
            raise Refusal(499, "the client disconnected") from None
        except TimeoutError:
            raise Refusal(504, f"the request timed out after {seconds:g} seconds", reason="seconds") from None

    async def _reply(self, name: str, version: int, body: bytes, until: float) -> Any:
        """Ask a model, and again where its process ends: a prediction changes nothing, and may be computed twice."""
        tries = 0
        while True:
            try:
                return await self._models[name][version].answer(body, until - time.perf_counter())
            except ProcessEnded as ended:
                tries += ended.had_request
                if ended.had_request:
                    self.metrics.retried(name, version)
            if tries == _TRIES:
                raise Refusal(
                    503, f"{name}/{version}: two processes ended while they had this request", 2, reason="process"
                )
            await asyncio.sleep(_PAUSE)

    async def _health(self, request: Request) -> Response:
        """Say whether every model answers; also where Ray's own proxy would say it."""
        ill = ["the service is stopping"] if self.stopping else []
        told = await asyncio.gather(*(self._described(*key) for key in self._queues), return_exceptions=True)
        ill += [str(problem) for problem in told if isinstance(problem, BaseException)]
        if ill:
            return Response("; ".join(ill), 503, media_type="text/plain")
        return Response("success", media_type="text/plain")

    async def _figures(self, request: Request) -> Response:
        # A model that does not answer keeps the figures it had.
        await asyncio.gather(*(self._described(*key) for key in self._queues), return_exceptions=True)
        return Response(self.metrics.page(), headers={"content-type": CONTENT_TYPE})


async def _not_found(request: Request, error: Exception | None = None) -> Response:
    return _response(404, write_error(f"Not Found: {request.method} {request.scope['path'][:_SHOWN]}"))


def _json(content: Any) -> Response:
    return _response(200, to_json(content))


def _refused(refusal: Refusal) -> Response:
    return _response(refusal.status, write_error(refusal.message), refusal.retry_after)


def _failed() -> Response:
    traceback.print_exc()  # for whoever runs the service; the client has no use for it
    return _refused(Refusal(500, "the service failed; its log says why"))


def _response(status: int, body: bytes, retry_after: int | None = None) -> Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    headers |= _HEADERS.get(status, {})
    return Response(body, status, headers, _JSON)
