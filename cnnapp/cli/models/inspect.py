"""The command ``cnnapp inspect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from cnnapp.cli.answers.batch_predict import write_file
from cnnapp.cli.console import err, out

__all__ = ["inspect"]


def inspect(
    model: Annotated[
        str, typer.Argument(help="A saved model (name, name/version or path), or a .keras file.", metavar="MODEL")
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write it to this file as JSON; - prints it.")
    ] = None,
    input_size: Annotated[
        str | None, typer.Option(help="Assume this input size (HxW).", show_default="the model's own")
    ] = None,
    picture: Annotated[Path | None, typer.Option("--draw", help="Draw the network into this PNG file.")] = None,
) -> None:
    """Show the layers of a network: shape, parameters, cost for one image, and receptive field of each.

    *Sees* is the side of the receptive field in pixels of the input, *jump* the distance of neighbouring units in those
    pixels, *centre* the pixel at the centre of the first unit's receptive field.

    Example: `cnnapp inspect digits --draw digits.png`
    """
    from pipelines.core import extras
    from pipelines.core.tensorflow_import import import_tensorflow

    if picture is not None:
        extras.need("--draw", "train", "matplotlib")
    import_tensorflow()
    from cnnapp.reports import inspection

    size = inspection.parse_size(input_size) if input_size else None
    found = inspection.inspect(model, size)
    if json_file is not None:
        text = json.dumps(found.to_json(), indent=1)
        if str(json_file) == "-":
            out.print(text, markup=False, soft_wrap=True)
        else:
            write_file(json_file, text)
    if json_file is None or str(json_file) != "-":
        _print_layers(found.title, inspection.COLUMNS, found.rows(), inspection.OPTIONAL)
    if found.note:
        err.print(f"[yellow]note[/yellow] {escape(found.note)}", soft_wrap=True)
    if picture is not None:
        from cnnapp.reports.inspection_plot import draw

        draw(found, picture)
        err.print(f"picture: {picture}", markup=False, soft_wrap=True)


def _print_layers(title: str, columns: tuple[str, ...], rows: list[list[str]], optional: tuple[int, ...]) -> None:
    widths = [max(map(len, column)) + 3 for column in zip(columns, *rows, strict=True)]
    shown = list(range(len(columns)))
    for column in optional:
        if sum(widths[index] for index in shown) > out.width:
            shown.remove(column)
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for index in shown:
        # Numbers stay in one piece; where it is still too narrow the names are folded.
        table.add_column(columns[index], justify="left" if index < 2 else "right", overflow="fold", no_wrap=index > 1)
    for row in rows[:-1]:
        table.add_row(*(escape(row[index]) for index in shown))
    table.add_section()
    table.add_row(*(escape(rows[-1][index]) for index in shown), style="bold")
    out.print(table)
    if len(shown) < len(columns):
        err.print("The terminal is too narrow for every column; a wider one, or --json, shows all.")
