"""What the commands share: where they print, how much, and the options that several of them take."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.reporting import notes

__all__ = [
    "DataDir",
    "Model",
    "ScalesOption",
    "Settings",
    "err",
    "notes_shown",
    "out",
    "print_rows",
    "say",
    "settings",
]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@dataclass
class Settings:
    """How much the command line prints.

    Args:
        verbose: TensorFlow's own log, and tracebacks of errors.
        quiet: errors and results alone.
    """

    verbose: bool = False
    quiet: bool = False


settings = Settings()
"""Those of the command that runs; set by :mod:`cnnapp.cli.global_options`."""

DataDir = Annotated[Path | None, typer.Option(help="Folder that holds prepared tensorflow-datasets.")]
Model = Annotated[
    str, typer.Argument(help="A saved model: its name, name/version, or the path of its folder.", metavar="MODEL")
]
ScalesOption = Annotated[
    str | None,
    typer.Option("--scales", help="For detection: image pyramid, such as 1,0.7,0.5.", show_default="the model's own"),
]


def say(message: str, **how: Any) -> None:
    """Print what is not the result itself; nothing with ``--quiet``.

    Args:
        message: to print.
        **how: as for :meth:`rich.console.Console.print`.
    """
    if not settings.quiet:
        out.print(message, **how)


def print_rows(title: str, rows: list[list[str]]) -> None:
    """Print a table; the first row is its head."""
    table = Table(title=escape(title), title_justify="left")
    for number, column in enumerate(rows[0]):
        table.add_column(escape(column), no_wrap=number == 0)  # a name that is cut short names nothing
    for row in rows[1:]:
        table.add_row(*map(escape, row))
    out.print(table)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if not settings.quiet:
            err.print(f"[yellow]note[/yellow] {escape(record.getMessage())}", soft_wrap=True)


@contextlib.contextmanager
def notes_shown() -> Iterator[None]:
    """Print notes on standard error as this command line prints, each once; none with ``--quiet``."""
    logger, handler = logging.getLogger(notes.LOGGER), _Notes()
    passed_on, logger.propagate = logger.propagate, False
    notes.forget()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = passed_on
