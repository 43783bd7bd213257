"""What the commands share: where they print, and the options that several of them take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["DataDir", "Model", "ScalesOption", "err", "out", "print_rows"]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

DataDir = Annotated[Path | None, typer.Option(help="Where prepared tensorflow-datasets lie.")]
Model = Annotated[str, typer.Argument(help="A name under saved_models/, name/version, or a path.", metavar="MODEL")]
ScalesOption = Annotated[
    str | None,
    typer.Option("--scales", help="For detection: the pyramid, such as 1,0.7,0.5.", show_default="the model's own"),
]


def print_rows(title: str, rows: list[list[str]]) -> None:
    """Print a table; the first row is its head."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(rows[0]):
        table.add_column(escape(column), no_wrap=number == 0)  # a name that is cut short names nothing
    for row in rows[1:]:
        table.add_row(*map(escape, row))
    out.print(table)
