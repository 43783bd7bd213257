"""A model that Ray Serve runs, for the gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from grpc.aio import AioRpcError
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from cnnapp.service.gateway import ProcessEnded
from cnnapp.service.protocol import Refusal

__all__ = ["Deployment"]


class Deployment:
    """A model that Ray Serve runs.

    Args:
        handle: of its deployment.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def answer(self, body: bytes, seconds: float) -> Any:
        """Ask one of its processes; the router of Ray passes over those that it knows to have ended."""
        with _ending():
            response = self._handle.answer.remote(body, seconds)
            try:
                return await response
            except asyncio.CancelledError:
                response.cancel()
                raise

    async def describe(self) -> list[dict[str, Any]]:
        """Ask all of its processes what they are."""
        try:
            with _ending():
                found = await self._handle.broadcast("describe").results_async(return_exceptions=True)
                told = [one for one in found if not isinstance(one, BaseException)]
                if not told:
                    raise found[0] if found else ConnectionError
                return told
        except ProcessEnded:
            raise Refusal(503, "the model's process has ended; a new one is being started", retry_after=2) from None


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """Tell what Ray raises apart: a process that ended with the request, one that is not there, and what is broken."""
    try:
        yield
    except RayServeException:  # there is no process now
        raise ProcessEnded(had_request=False) from None
    except (RayError, ConnectionError):
        raise ProcessEnded(had_request=True) from None
    except AioRpcError as error:
        raise Refusal(500, f"the model's process could not be asked: {error.details()}") from None
