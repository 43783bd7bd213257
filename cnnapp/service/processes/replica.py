"""One model in a process of Ray Serve: it reads requests, answers them in batches, and writes the answers."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ray import serve

from cnnapp.service import batches, protocol, signatures
from cnnapp.service.limits import Limits
from cnnapp.service.model import LoadedModel
from cnnapp.service.processes import ray_local
from cnnapp.service.protocol import Refusal, Request
from pipelines.core.tensorflow_import import import_tensorflow
from pipelines.reporting import notes

__all__ = ["ModelReplica", "Reply"]

_SMALL = 2**14
_LARGEST = ray_local.LARGEST_MESSAGE - 2**16  # bytes of an answer, with room for what is around it
_AT_ONCE: Callable[[Callable[..., Any]], Any] = serve.batch(max_batch_size=32, batch_wait_timeout_s=0.0)
"""Waits for nobody: those that are to be answered together have gathered before."""


@dataclass(frozen=True)
class Reply:
    """What a model says to a request.

    Args:
        status: of HTTP.
        body: JSON.
        signature: that was asked; empty where that is not known.
        images: that were answered.
        batch: how many images were answered in the same call.
        retry_after: as of :class:`Refusal`.
        reason: likewise.
    """

    status: int
    body: bytes
    signature: str = ""
    images: int = 0
    batch: int = 0
    retry_after: int | None = None
    reason: str = ""


class ModelReplica:
    """What Ray Serve runs: a model, asked by many at once.

    While the model is at work, requests gather; when it is done, all of them are answered together. So a request that
    comes alone is answered at once, and the more come, the larger the batches are.

    Args:
        directory: of the saved model.
        limits: of the service.
        threads: that TensorFlow computes with.
    """

    def __init__(self, directory: str, limits: Limits, threads: int) -> None:
        ray_local.only_here()
        self._together.set_max_batch_size(limits.batch)
        tf = import_tensorflow()
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        logging.getLogger(notes.LOGGER).setLevel(logging.ERROR)  # the command has said them
        self._model = LoadedModel(Path(directory), limits)
        self._metadata = signatures.read_metadata(Path(directory))
        # One thread for the model, so that batches are one after the other; others for what is around it.
        self._compute = ThreadPoolExecutor(1, "model")
        self._prepare = ThreadPoolExecutor(2, "json")
        self._free = asyncio.Event()
        self._free.set()
        self._inside = 0

    def describe(self) -> dict[str, Any]:
        """Say what is loaded, how often it was, and how much memory this process takes."""
        import psutil

        card = self._model.card
        return {
            "task": card.task,
            "metadata": self._metadata,
            "process": os.getpid(),
            "memory": psutil.Process().memory_info().rss,
        }

    async def answer(self, body: bytes, seconds: float) -> Reply:
        """Answer a request.

        Args:
            body: JSON.
            seconds: until nobody waits for the answer any more.
        """
        until, request = time.monotonic() + seconds, None
        try:
            request = await self._in(self._prepare, self._model.read, body)
            outputs, batch = await self._gathered(request, until)
            # A small answer is written sooner than it is handed to another thread.
            small = sum(values.nbytes for values in outputs.values()) < _SMALL
            write = protocol.write_outputs
            written = (
                write(outputs, request.row) if small else await self._in(self._prepare, write, outputs, request.row)
            )
            if len(written) > _LARGEST:
                raise Refusal(
                    400, f"the answer has {len(written):,} bytes; at most {_LARGEST:,} can be sent: ask for less"
                )
            return Reply(200, written, request.signature.name, batches.count(request), batch)
        except Refusal as refusal:
            name = request.signature.name if request else ""
            written = protocol.write_error(refusal.message)
            return Reply(refusal.status, written, name, retry_after=refusal.retry_after, reason=refusal.reason)
        except Exception:
            traceback.print_exc()  # for whoever runs the service; the client has no use for it
            return Reply(500, protocol.write_error("the model failed; the log of the service says why"))

    @staticmethod
    async def _in(pool: ThreadPoolExecutor, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, call, *arguments)

    async def _gathered(self, request: Request, until: float) -> tuple[dict[str, np.ndarray], int]:
        if not self._free.is_set():
            await self._free.wait()
        self._free.clear()
        self._inside += 1
        try:
            found: Any = await self._together(request, until)
        finally:
            self._inside -= 1
            if not self._inside:
                self._free.set()
        if isinstance(found, Refusal):
            raise found
        outputs, batch = found
        return outputs, batch

    @_AT_ONCE
    async def _together(self, requests: list[Request], untils: list[float]) -> list[Any]:
        """Answer requests that came together, those of a kind in one call."""
        found: list[Any] = [Refusal(504, "the request timed out in the queue", reason="seconds")] * len(requests)
        groups: dict[Any, list[int]] = {}
        for number, (request, until) in enumerate(zip(requests, untils, strict=True)):
            if time.monotonic() < until:
                groups.setdefault(batches.kind(request) or number, []).append(number)
        for numbers in groups.values():
            answers = await self._in(self._compute, self._model.answer, [requests[number] for number in numbers])
            for number, answer in zip(numbers, answers, strict=True):
                found[number] = answer
        return found
