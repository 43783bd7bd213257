"""Heavy work on the page: it waits for its turn, says how many are before it, and what it finds is kept."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from typing import TypeVar

import streamlit as st

from cnnapp.sessions.work_queue import Job
from pipelines.core.errors import DataError
from pipelines.images import image_io
from ui.components import visit

__all__ = ["DRAWING", "SMALL", "Report", "is_light", "kept", "later", "run", "stream"]

T = TypeVar("T")

Report = Callable[[float, str], None]
"""Called by work with how far it is, 0 to 1, and in words; it ends there when it is not wanted any more."""

DRAWING = "drawing"
"""The lane of what is drawn beside what the page computes: neither takes the other's place."""
_PAGE = "page"
_POLL = 0.2
_LIGHT = 4_000_000
"""Pixels of an image that is opened and drawn in a moment."""
SMALL = 2**18
"""Pixels of an image that a network sees all of in a moment."""
_NOTHING = object()


def stream(work: Callable[[Report], Iterator[T]], light: bool = False, lane: str = _PAGE) -> Iterator[T]:
    """Do work that finds one thing after another, when it is its turn.

    Args:
        work: gives what it finds, and reports how far it is. It runs in another thread, and so draws nothing.
        light: whether it takes but a moment: it waits for nobody then.
        lane: takes the place of what waits in the same lane.

    Yields:
        What is found, as it is found.

    Raises:
        ServiceError: if too many wait, or it took too long.
    """
    bar = st.empty()
    if light:

        def report(progress: float, text: str) -> None:
            bar.progress(min(progress, 1.0), text)

        yield from work(report)
        bar.empty()
        return
    session = visit.current()
    job: Job[T] = session.queue.submit(session.key, lambda job: work(job.report), lane)
    try:
        over = False
        while True:
            found = job.take(_POLL)
            yield from found
            if over and not found:
                break
            # Drawing is also where Streamlit leaves a run that somebody clicked away from.
            bar.progress(*_progress(job))
            # Asked before it is taken again, so that what is found at the very end is taken as well.
            over = job.over
    finally:
        job.cancel()
    bar.empty()


def _progress(job: Job[T]) -> tuple[float, str]:
    progress, text = job.progress
    if job.running or job.over:
        return min(progress, 1.0), text
    place = job.place
    before = "you are next" if place == 0 else f"{place} before you"
    return min(progress, 1.0), f"Waiting for a turn: {before}"


def run(what: str, function: Callable[[], T], light: bool = False, lane: str = _PAGE) -> T:
    """Do work that finds one thing, when it is its turn.

    Args:
        what: is said to be done, such as ``"Drawing the image"``.
        function: runs in another thread, and so draws nothing.
        light: as for :func:`stream`.
        lane: likewise.

    Raises:
        ServiceError: as of :func:`stream`.
    """
    if light:
        return function()

    def work(report: Report) -> Iterator[T]:
        report(0.0, what)
        yield function()

    (found,) = stream(work, lane=lane)
    return found


def kept(key: tuple[Hashable, ...], what: str, function: Callable[[], T], light: bool = False, lane: str = _PAGE) -> T:
    """Return what was found before, or find it, as :func:`run` does, and keep it for the session.

    Args:
        key: of what is found; the first item says what it is.
        what: as for :func:`run`.
        function: likewise.
        light: likewise.
        lane: likewise.
    """
    memory = visit.current().memory
    found = memory.get(key, _NOTHING)
    if found is _NOTHING:
        found = run(what, function, light, lane)
        memory.keep(key, found)
    result: T = found
    return result


def later(function: Callable[[], T], light: bool = False) -> Callable[[], T]:
    """Return a function that does heavy work when it is its turn, such as a download, beside what the page itself does.

    Args:
        function: does it.
        light: as for :func:`stream`.
    """
    session, lane = visit.current(), uuid.uuid4().hex

    def made() -> T:
        if light:
            return function()
        (found,) = session.queue.submit(session.key, lambda job: (function() for _ in range(1)), lane)
        return found

    return made


def is_light(*images: bytes, most: int = _LIGHT) -> bool:
    """Return whether what is done with images takes but a moment: by default, opening and drawing them.

    Args:
        *images: encoded.
        most: pixels, of all together, of which it does.
    """
    pixels = 0
    for image in images:
        with suppress(DataError):  # refused in a moment
            height, width = image_io.size_of(image, "")
            pixels += height * width
    return pixels <= most
