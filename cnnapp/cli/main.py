"""The command line. Nothing here imports TensorFlow before a command needs it: ``cnnapp --help`` answers at once."""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from cnnapp.cli.answers.evaluate import evaluate
from cnnapp.cli.answers.explain import explain
from cnnapp.cli.answers.predict import predict
from cnnapp.cli.answers.serve import serve
from cnnapp.cli.console import err, notes_shown, out, settings
from cnnapp.cli.global_options import before_the_command, with_globals
from cnnapp.cli.models.export import export
from cnnapp.cli.models.inspect import inspect
from cnnapp.cli.models.list import list_models
from cnnapp.cli.models.manage import models_app
from cnnapp.cli.models.sign import sign
from cnnapp.cli.models.verify import verify
from cnnapp.cli.page import ui
from cnnapp.cli.training.check import check
from cnnapp.cli.training.runs import runs_app
from cnnapp.cli.training.train import train_app
from pipelines.core.errors import CnnAppError, ConfigError

__all__ = ["app", "main"]

# Said before TensorFlow is imported anywhere: its start-up log helps nobody who came for an answer.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

app = typer.Typer(
    name="cnnapp",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From labelled images to a served model. Start with `cnnapp demo`, then `cnnapp ui`.",
)
app.callback()(before_the_command)

_TRAIN, _USE, _KEEP = "Train", "Use a model", "Manage"


@app.command(rich_help_panel=_TRAIN)
@with_globals
def demo(
    epochs: Annotated[int | None, typer.Option(help="Fewer epochs, for a quicker look.", hidden=True)] = None,
) -> None:
    """Train the digits classifier, evaluate and export it, run it on some images, and write a report."""
    from pipelines.core.tensorflow_import import import_tensorflow

    import_tensorflow()
    from cnnapp.cli.demo import run

    folder = run(Console(quiet=True) if settings.quiet else out, epochs)
    if settings.quiet:
        out.print(folder / "report.html", soft_wrap=True)


app.command(rich_help_panel=_TRAIN)(with_globals(check))
app.add_typer(train_app, name="train", rich_help_panel=_TRAIN)
app.add_typer(runs_app, name="runs", rich_help_panel=_TRAIN)
app.command(rich_help_panel=_USE)(with_globals(predict, loads=True))
app.command(rich_help_panel=_USE)(with_globals(evaluate, loads=True))
app.command(rich_help_panel=_USE)(with_globals(explain, loads=True))
app.command(rich_help_panel=_USE)(with_globals(serve, loads=True))
app.command(rich_help_panel=_USE)(with_globals(ui, loads=True))
app.command(rich_help_panel=_KEEP)(with_globals(verify, loads=True))
app.command(rich_help_panel=_KEEP)(with_globals(sign))
app.command(rich_help_panel=_KEEP)(with_globals(inspect, loads=True))
app.command(rich_help_panel=_KEEP)(with_globals(export, loads=True))
app.add_typer(models_app, name="models", rich_help_panel=_KEEP)
app.command("list", rich_help_panel=_KEEP)(with_globals(list_models))


def main() -> None:
    """Run the command line; say what the user can mend in one line, and with ``-v`` where it came from."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # Names of files need not be text, and are printed all the same.
            stream.reconfigure(errors="backslashreplace")
    try:
        with notes_shown():
            app()
    except CnnAppError as error:
        if settings.verbose:
            traceback.print_exc()
        err.print(f"[red]error[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
