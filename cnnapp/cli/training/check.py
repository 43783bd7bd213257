"""The command that validates a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cnnapp.cli.console import DataDir, err, out, say
from pipelines.core.errors import ConfigError, DataError
from pipelines.tasks.registry import find_task, task_names
from pipelines.training.task import Task

__all__ = ["check"]


def check(
    data: Annotated[str, typer.Argument(help="As for --data of `cnnapp train`: a name, `tfds:NAME`, or a path.")],
    data_dir: DataDir = None,
    seed: Annotated[int, typer.Option(help="Random seed of the split.")] = 0,
    ignore: Annotated[int | None, typer.Option(help="For masks: a value to ignore, besides 255.")] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Check it for this task alone, by its name in `cnnapp train`.",
            show_default="every task it has labels for",
        ),
    ] = None,
) -> None:
    """Validate a data set and list every problem; the exit status is 1 if there are errors.

    A set with boxes and masks is checked for both, unless `--task` is given.

    Example: `cnnapp check photos/`
    """
    further = {} if ignore is None else {"ignore": ignore}
    chosen = _named(task, further) if task is not None else None
    from pipelines.core.tensorflow_import import import_tensorflow

    import_tensorflow()
    tasks = [chosen] if chosen is not None else _recognised(data, data_dir, further)
    serious = False
    for each in tasks:
        if len(tasks) > 1:
            say(f"{each.labels}:")
        try:
            serious |= _print_checked(_checked(each, data, data_dir, seed, further))
        except DataError as error:
            if len(tasks) == 1:
                raise
            # What is wrong with all boxes says nothing of the masks.
            err.print(f"[red]error[/red] {escape(str(error))}", soft_wrap=True)
            serious = True
    if serious:
        raise typer.Exit(1)


def _named(name: str, further: dict[str, Any]) -> Task:
    """Return the task of that name, which must take the further options."""
    task = find_task(name)
    for option in further:
        if option not in task.config.model_fields:
            raise ConfigError(f"--{option}: cannot be combined with --task {name}, which has no such option")
    return task


def _recognised(data: str, data_dir: Path | None, further: dict[str, Any]) -> list[Task]:
    """Return the tasks that a data set has labels for: of those that take the further options, if there are any.

    Where no task recognises it, it is checked for the first of the table, which takes any folder of images.
    """
    known = [find_task(name) for name in task_names()]
    able = [task for task in known if all(option in task.config.model_fields for option in further)]
    return [task for task in able if task.recognises(data, data_dir)] or able[:1]


def _checked(task: Task, data: str, data_dir: Path | None, seed: int, further: dict[str, Any]) -> Any:
    from pipelines.core.progress import Reporter

    return task.check(data, data_dir, seed, Reporter(err), **further)


def _print_checked(found: Any) -> bool:
    """Print what a check found; return whether anything must be mended."""
    for line in found.summary:
        say(line, markup=False, soft_wrap=True)
    for problem in found.problems:
        colour = "red" if problem.serious else "yellow"
        word = "error" if problem.serious else "note"
        out.print(f"[{colour}]{word}[/{colour}] {escape(str(problem))}", soft_wrap=True)
    if not found.problems:
        say("No problems found.")
    return any(problem.serious for problem in found.problems)
