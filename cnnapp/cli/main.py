"""The command line. Nothing here imports TensorFlow before a command needs it: ``cnnapp --help`` answers at once."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.markup import escape

from cnnapp.cli.answers.evaluate import evaluate
from cnnapp.cli.answers.explain import explain
from cnnapp.cli.answers.predict import predict
from cnnapp.cli.answers.serve import serve
from cnnapp.cli.console import err, out
from cnnapp.cli.folder_options import Runs, SavedModels, use_folders
from cnnapp.cli.models.export import export
from cnnapp.cli.models.inspect import inspect
from cnnapp.cli.models.list import list_models
from cnnapp.cli.models.verify import verify
from cnnapp.cli.page import ui
from cnnapp.cli.training.check import check
from cnnapp.cli.training.train import train_app
from pipelines.core.errors import CnnAppError, ConfigError

__all__ = ["app", "main"]

# Said before TensorFlow is imported anywhere: its start-up chatter helps nobody who came for an answer.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

app = typer.Typer(
    name="cnnapp",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From labelled images to a served model. Begin with `cnnapp demo`, then `cnnapp ui`.",
)


@app.callback()
def before_the_command(saved_models: SavedModels = None, runs: Runs = None) -> None:
    """Take the global options, which stand before the command."""
    use_folders(saved_models, runs)


app.add_typer(train_app, name="train")

app.command()(evaluate)
app.command()(predict)
app.command()(verify)
app.command()(inspect)
app.command("list")(list_models)
app.command()(check)
app.command()(serve)
app.command()(export)
app.command()(explain)
app.command()(ui)


@app.command()
def demo(
    epochs: Annotated[int | None, typer.Option(help="Fewer epochs, for a quicker look.", hidden=True)] = None,
) -> None:
    """Train the digits classifier, evaluate and export it, answer for some images, and write a report."""
    from pipelines.core.tensorflow_import import import_tensorflow

    import_tensorflow()
    from cnnapp.cli.demo import run

    run(out, epochs)


def main() -> None:
    """Run the command line; say what the user can mend in one line, without a traceback."""
    try:
        app()
    except ConfigError as error:
        err.print(f"[red]error[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except CnnAppError as error:
        err.print(f"[red]error[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
