"""The global options that say where saved models and records of training lie."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from pipelines.core import workspace

__all__ = ["Runs", "SavedModels", "use_folders"]

SavedModels = Annotated[
    Path | None,
    typer.Option(
        "--saved-models",
        metavar="FOLDER",
        help=f"Where saved models are written and looked for (or {workspace.SAVED_MODELS}).",
        show_default="saved_models here; then the installed ones",
        rich_help_panel="Global options",
    ),
]
Runs = Annotated[
    Path | None,
    typer.Option(
        "--runs",
        metavar="FOLDER",
        help=f"Where records and checkpoints of training are kept (or {workspace.RUNS}).",
        show_default="runs here",
        rich_help_panel="Global options",
    ),
]


def use_folders(saved_models: Path | None, runs: Path | None) -> None:
    """Use other folders than those of the working directory, in this process and in those that it starts.

    Args:
        saved_models: of saved models; None leaves it as it is.
        runs: of records of training; likewise.
    """
    for variable, folder in ((workspace.SAVED_MODELS, saved_models), (workspace.RUNS, runs)):
        if folder is not None:
            # Absolute: another process may stand in another folder.
            os.environ[variable] = os.path.abspath(folder.expanduser())
