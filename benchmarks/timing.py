"""Timing calls by turns, so that a busy machine slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["ratios", "seconds"]

# Seconds; what is faster is repeated. Longer, and small inputs would stay in the processor's cache, as they never do
# in a network, where other layers run in between.
SHORTEST = 0.001
LONGEST = 30.0  # seconds for one comparison; what would take longer gets fewer rounds


def seconds(calls: Sequence[Callable[[], Any]], rounds: int) -> np.ndarray:
    """Return the time of every call in rounds in which all take their turn, `(rounds, calls)`, after a warm-up."""
    repeats, once = [], []
    for call in calls:
        call()
        started = time.perf_counter()
        call()
        once.append(time.perf_counter() - started)
        repeats.append(max(1, round(SHORTEST / once[-1])))
    rounds = min(rounds, max(3, round(LONGEST / sum(once))))
    times = np.empty((rounds, len(calls)))
    for row in times:
        for column, (call, count) in enumerate(zip(calls, repeats, strict=True)):
            started = time.perf_counter()
            for _ in range(count):
                call()
            row[column] = (time.perf_counter() - started) / count
    return times


def ratios(calls: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """Return the time of every call over that of the first: the median over rounds in which all take their turn."""
    times = seconds(calls, rounds)
    return [statistics.median(column) for column in (times / times[:, :1]).T]
