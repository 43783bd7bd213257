"""The commands that keep order among training runs: list, compare, resume, clean."""

from __future__ import annotations

import shutil
import time
from typing import Annotated, Any

import typer

from cnnapp.cli.console import out, print_rows, say
from cnnapp.cli.global_options import with_globals
from cnnapp.cli.training import run_folders
from cnnapp.cli.training.run_folders import Run
from cnnapp.cli.training.train import start
from pipelines.core import workspace
from pipelines.core.errors import ConfigError
from pipelines.tasks.registry import find_task

__all__ = ["clean", "compare", "list_runs", "resume", "runs_app"]

_MIB = 2**20
_DAY = 24 * 60 * 60
_NOT_ASKED_FOR = ("resume", "log_dir", "data_dir")
"""Options that say where things lie, and not what is trained."""

runs_app = typer.Typer(
    invoke_without_command=True, help="List training runs; compare, resume and clean them. Without a command: list."
)

Runs = Annotated[list[str], typer.Argument(help="Names of runs, or paths of their folders.", metavar="NAME...")]


@runs_app.callback()
def _without_command(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        list_runs()


@runs_app.command("list")
@with_globals
def list_runs() -> None:
    """List training runs: how far they are, their best figure on the validation images, and what can be resumed."""
    rows = [["run", "task", "epochs", "best on validation", "last change", "MiB", "status"]]
    for run in run_folders.all_runs():
        done = f"{len(run.epochs)}/{run.planned}" if run.planned else str(len(run.epochs))
        changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.changed))
        task = run.config.task if run.config and run.config.task else ""
        rows.append([run.name, task, done, _best(run), changed, f"{run.size / _MIB:.1f}", run.status])
    if len(rows) == 1:
        out.print(f"No runs in {workspace.runs()}. `cnnapp train` starts one.", soft_wrap=True)
        return
    print_rows(f"Runs in {workspace.runs()}", rows)


def _best(run: Run) -> str:
    if run.best is None:
        return ""
    epoch, figure, value = run.best
    return f"{figure.replace('_', ' ')} {value:.4f} (epoch {epoch})"


@runs_app.command()
@with_globals
def compare(names: Runs) -> None:
    """Compare runs: their figures in the best epoch, and the options in which they differ.

    Example: `cnnapp runs compare birds birds-muon`
    """
    if len(names) < 2:
        raise ConfigError("compare: received one run; name at least two, such as `cnnapp runs compare first second`")
    runs = [run_folders.find_run(name) for name in names]
    columns = [[_figures(run) for run in runs], [_texts(run.options) for run in runs]]
    head = [run.name for run in runs]
    for title, found, differing in (
        ("Figures of the best epoch", columns[0], False),
        ("Options that differ", columns[1], True),
    ):
        keys = list(dict.fromkeys(key for each in found for key in each))
        rows = [[key, *(each.get(key, "") for each in found)] for key in keys]
        rows = [row for row in rows if not differing or len(set(row[1:])) > 1]
        print_rows(title, [["", *head], *(rows or [["(none)", *[""] * len(head)]])])


def _figures(run: Run) -> dict[str, str]:
    figures = {"status": run.status, "epochs done": str(len(run.epochs))}
    if run.best is not None:
        figures["best epoch"] = str(run.best[0])
        for name, value in run.epochs[run.best[0] - 1].items():
            part, name = ("validation", name.removeprefix("val_")) if name.startswith("val_") else ("training", name)
            figures[f"{part} {name.replace('_', ' ')}"] = f"{value:.4f}"
    if run.record:
        figures["seconds"] = f"{run.record['seconds']:.0f}"
    return figures


def _texts(options: dict[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in options.items() if name not in _NOT_ASKED_FOR}


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else "" if value is None else str(value)


@with_globals
def resume(
    name: Annotated[str, typer.Argument(help="Name of the run, or the path of its folder.", metavar="NAME")],
) -> None:
    """Resume an interrupted run from its last complete epoch, with the options it was started with.

    Example: `cnnapp runs resume birds`
    """
    run = run_folders.find_run(name)
    if run.status == "finished":
        raise ConfigError(f"{name}: is finished; its model is {run.saved_model or 'saved'}")
    if run.config is None or run.config.task is None or run.config.name is None:
        raise ConfigError(
            f"{name}: {run.folder / run_folders.CONFIG} does not say with which options it was started; give its "
            "`cnnapp train` command again, with --resume"
        )
    task = find_task(run.config.task)
    options = run.config.options_for(task.name, task.config)
    start(task, run.config.name, task.config.parse(**options | {"log_dir": run.folder, "resume": True}))


runs_app.command("resume")(resume)


@runs_app.command()
@with_globals
def clean(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names of runs.", metavar="[NAME]...", show_default="every finished run"),
    ] = None,
    older_than: Annotated[
        float | None, typer.Option(min=0, help="Only runs that have not changed for so many days.", metavar="DAYS")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove the folders of runs: their logs and states. Saved models stay.

    Without names, finished runs are removed; those that could still be resumed have to be named.

    Example: `cnnapp runs clean --older-than 30`
    """
    found = [run_folders.find_run(name) for name in dict.fromkeys(names)] if names else run_folders.all_runs()
    if not names:
        found = [run for run in found if run.status == "finished"]
    if older_than is not None:
        found = [run for run in found if run.changed < time.time() - older_than * _DAY]
    if not found:
        say(f"Nothing to remove in {workspace.runs()}.", soft_wrap=True)
        return
    for run in found:
        out.print(f"{run.folder}  {run.size / _MIB:.1f} MiB, {run.status}", markup=False, soft_wrap=True)
    freed = sum(run.size for run in found) / _MIB
    if not yes:
        typer.confirm(f"Remove {_count(len(found))} and free {freed:.1f} MiB?", abort=True)
    for run in found:
        try:
            shutil.rmtree(run.folder)
        except OSError as error:
            raise ConfigError(f"{run.folder}: cannot be removed: {error.strerror}") from None
    say(f"Removed {_count(len(found))}, {freed:.1f} MiB.")


def _count(number: int) -> str:
    return f"{number} run{'' if number == 1 else 's'}"
