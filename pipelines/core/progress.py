"""Progress of long work: a live bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

__all__ = ["Meter", "Reporter", "duration"]

_SECONDS_BETWEEN_LINES = 20.0


def duration(seconds: float) -> str:
    """Write a duration as people read it.

    Example:
        >>> duration(4.2), duration(75), duration(4000)
        ('4s', '1m15s', '1h06m')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


class Reporter:
    """Where a run says what it does.

    Args:
        console: a rich console; standard error by default.
        quiet: say nothing at all; :attr:`quiet_by_default` by default.

    Attributes:
        quiet_by_default: of every reporter that is not told otherwise; the command line sets it for ``--quiet``.
    """

    quiet_by_default: ClassVar[bool] = False

    def __init__(self, console: Console | None = None, quiet: bool | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.quiet = self.quiet_by_default if quiet is None else quiet

    def say(self, message: str) -> None:
        """Print one line."""
        if not self.quiet:
            self.console.print(message, markup=False, soft_wrap=True)

    @contextmanager
    def meter(self, description: str, total: int, unit: str = "images") -> Iterator[Meter]:
        """Show how far a piece of work has come.

        Args:
            description: what is being done.
            total: how many units there are.
            unit: what is counted.

        Yields:
            A meter to advance.
        """
        live = self.console.is_terminal and not self.quiet
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            _Speed(unit),
            _TimeLeft(),
        )
        bar = Progress(*columns, console=self.console, transient=True, disable=not live)
        with bar:
            meter = Meter(self, bar, description, total, unit)
            yield meter
            meter.finish()


class Meter:
    """One piece of work under way; made by :meth:`Reporter.meter`."""

    def __init__(self, reporter: Reporter, bar: Progress, description: str, total: int, unit: str) -> None:
        self._reporter, self._bar, self._unit = reporter, bar, unit
        self._description, self._total, self._done, self._note = description, total, 0, ""
        self._task = bar.add_task(description, total=total, note="")
        self._started = self._said = time.monotonic()

    def advance(self, count: int = 1, description: str | None = None, note: str | None = None) -> None:
        """Count units as done, with what is being done now and a note such as the loss."""
        self._done += count
        self._description = description or self._description
        self._note = self._note if note is None else note
        self._bar.update(self._task, completed=self._done, description=self._description, note=self._note)
        now = time.monotonic()
        if self._bar.disable and now - self._said > _SECONDS_BETWEEN_LINES:
            self._said = now
            speed = self._done / (now - self._started)
            left = duration((self._total - self._done) / speed) if speed else "?"
            parts = [f"{self._done}/{self._total}", self._note, f"{speed:,.0f} {self._unit}/s", f"{left} left"]
            self._reporter.say(f"  {self._description}  " + "  ".join(part for part in parts if part))

    def reach(self, done: int, total: int) -> None:
        """Say how many units are done, and how many there are, where that was not known before."""
        self._total = total
        self._bar.update(self._task, total=total)
        self.advance(done - self._done)

    def say(self, message: str) -> None:
        """Print one line above the bar."""
        self._said = time.monotonic()
        self._reporter.say(message)

    def finish(self) -> None:
        """Take the bar away."""
        self._bar.remove_task(self._task)


class _Speed(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} {self._unit}/s" if task.speed else "")


class _TimeLeft(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.time_remaining is None else f"{duration(task.time_remaining)} left")
