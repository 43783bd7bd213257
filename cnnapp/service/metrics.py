"""What is counted while a service runs, in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

__all__ = ["CONTENT_TYPE", "REASONS", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

REASONS = (
    "body", "body_rest", "connections", "encoding", "header_seconds", "headers", "host", "images", "malformed",
    "memory", "origin", "pixels", "process", "queue", "seconds", "share", "token", "unread",
)  # fmt: skip
"""Why requests and connections are refused: the ``reason`` of a :class:`cnnapp.service.protocol.Refusal`."""

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_MODEL = ("model", "version")


class Metrics:
    """The figures of one service.

    Example:
        >>> metrics = Metrics()
        >>> metrics.answered("digits", 1, "serving_default", 200, 0.01, images=3, batch=8)
        >>> 'cnnapp_images_total{model="digits",signature="serving_default",version="1"} 3.0' in metrics.page().decode()
        True
    """

    def __init__(self) -> None:
        disable_created_metrics()  # a figure each for when counting began, which nobody asks
        self._registry = registry = CollectorRegistry()
        asked = (*_MODEL, "signature")
        self._requests = Counter(
            "cnnapp_requests", "Requests for predictions, by status of HTTP.", (*asked, "status"), registry=registry
        )
        self._seconds = Histogram(
            "cnnapp_request_seconds",
            "From a request's arrival to its answer.",
            asked,
            buckets=_SECONDS,
            registry=registry,
        )
        self._images = Counter("cnnapp_images", "Images that were answered.", asked, registry=registry)
        self._batches = Histogram(
            "cnnapp_batch_images",
            "Images that were answered in the same call as a request.",
            asked,
            buckets=_SIZES,
            registry=registry,
        )
        self._waiting = Gauge("cnnapp_requests_held", "Requests that a model holds now.", _MODEL, registry=registry)
        self._refusals = Counter(
            "cnnapp_refusals", "What was refused, by the limit or check.", ("reason",), registry=registry
        )
        for reason in REASONS:
            self._refusals.labels(reason)
        self._retries = Counter(
            "cnnapp_retries", "Requests asked again of another process, as theirs had ended.", _MODEL, registry=registry
        )
        self._memory = Gauge(
            "cnnapp_replica_memory_bytes",
            "Memory that a model's process takes.",
            (*_MODEL, "process"),
            registry=registry,
        )
        self._loads = Gauge("cnnapp_model_loads", "How often a model was loaded.", _MODEL, registry=registry)
        self._loaded: dict[tuple[str, str], set[str]] = {}
        self._alive: dict[tuple[str, str], set[str]] = {}

    def answered(
        self, model: str, version: int, signature: str, status: int, seconds: float, images: int = 0, batch: int = 0
    ) -> None:
        """Count a request.

        Args:
            model: name, empty where there is none such.
            version: likewise 0.
            signature: likewise empty.
            status: of HTTP.
            seconds: from its arrival to its answer.
            images: that were answered.
            batch: how many were answered in the same call.
        """
        asked = (model, str(version), signature)
        self._requests.labels(*asked, str(status)).inc()
        self._seconds.labels(*asked).observe(seconds)
        if images:
            self._images.labels(*asked).inc(images)
            self._batches.labels(*asked).observe(batch)

    def held(self, model: str, version: int, count: int) -> None:
        """Note how many requests a model holds."""
        self._waiting.labels(model, str(version)).set(count)

    def refused(self, reason: str) -> None:
        """Count a refusal.

        Args:
            reason: one of :data:`REASONS`; empty for a refusal by none of these limits and checks.
        """
        if reason:
            self._refusals.labels(reason).inc()

    def retried(self, model: str, version: int) -> None:
        """Count a request that is asked of another process."""
        self._retries.labels(model, str(version)).inc()

    def described(self, model: str, version: int, told: Sequence[Mapping[str, Any]]) -> None:
        """Note what the processes of a model say of themselves; those that say nothing any more are forgotten.

        Args:
            model: name.
            version: likewise.
            told: as of :meth:`ModelReplica.describe`, by every process that there is.
        """
        key = (model, str(version))
        alive = {str(one["process"]) for one in told}
        for gone in self._alive.get(key, set()) - alive:
            self._memory.remove(*key, gone)
        for one in told:
            self._memory.labels(*key, str(one["process"])).set(one["memory"])
        self._alive[key] = alive
        self._loaded[key] = self._loaded.get(key, set()) | alive
        self._loads.labels(*key).set(len(self._loaded[key]))

    def page(self) -> bytes:
        """Return all figures, as text."""
        return generate_latest(self._registry)
