"""The command that looks a data set over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cnnapp.cli.console import DataDir, err, out
from pipelines.core.errors import ConfigError, DataError, unknown

__all__ = ["check"]

_CHECKS = {"classification": "classes", "detection": "boxes", "segmentation": "masks"}
"""What is looked over, by task."""


def check(
    data: Annotated[str, typer.Argument(help="As for --data: `digits`, `scenes`, `tfds:NAME`, or a path.")],
    data_dir: DataDir = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    ignore: Annotated[int | None, typer.Option(help="For masks: a value that is no class, besides 255.")] = None,
    task: Annotated[
        str | None,
        typer.Option(help="classification, detection or segmentation.", show_default="what the data is for"),
    ] = None,
) -> None:
    """Look a data set over and list all that is wrong with it; the exit status is 1 if anything must be mended.

    Of a set with boxes and masks both are looked over, unless `--task` is given; `--ignore` stands for
    `--task segmentation`.
    """
    if task is not None and task not in _CHECKS:
        raise ConfigError(unknown("task", task, _CHECKS))
    if ignore is not None and task not in (None, "segmentation"):
        raise ConfigError(f"--ignore: is a value of masks; it does not go with --task {task}")
    from pipelines.core.tensorflow_import import import_tensorflow

    import_tensorflow()
    task = task if ignore is None else "segmentation"
    tasks = _tasks(data, data_dir) if task is None else [task]
    serious = False
    for each in tasks:
        if len(tasks) > 1:
            out.print(f"{_CHECKS[each]}:")
        try:
            serious |= _print_checked(_look_over(each, data, data_dir, seed, ignore))
        except DataError as error:
            if len(tasks) == 1:
                raise
            # What is wrong with all boxes says nothing of the masks.
            err.print(f"[red]error[/red] {escape(str(error))}", soft_wrap=True)
            serious = True
    if serious:
        raise typer.Exit(1)


def _tasks(data: str, data_dir: Path | None) -> list[str]:
    """Return what a data set is for."""
    from pipelines.data import detection, segmentation

    known = {
        "detection": detection.is_detection(data, data_dir),
        "segmentation": segmentation.is_segmentation(data, data_dir),
    }
    return [task for task, found in known.items() if found] or ["classification"]


def _look_over(task: str, data: str, data_dir: Path | None, seed: int, ignore: int | None) -> Any:
    from pipelines.core.progress import Reporter
    from pipelines.data.checks import classification
    from pipelines.data.checks import detection as object_checks
    from pipelines.data.checks import segmentation as mask_checks

    if task == "segmentation":
        return mask_checks.check(data, data_dir, seed, Reporter(err), ignore)
    return (object_checks if task == "detection" else classification).check(data, data_dir, seed, Reporter(err))


def _print_checked(found: Any) -> bool:
    """Print what a check found; return whether anything must be mended."""
    for line in found.summary:
        out.print(line, markup=False, soft_wrap=True)
    for problem in found.problems:
        colour = "red" if problem.serious else "yellow"
        word = "error" if problem.serious else "note"
        out.print(f"[{colour}]{word}[/{colour}] {escape(str(problem))}", soft_wrap=True)
    if not found.problems:
        out.print("nothing is wrong")
    return any(problem.serious for problem in found.problems)
