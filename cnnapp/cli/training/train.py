"""The command that trains, one for each task of the table; their options are the fields of the configurations."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from cnnapp.cli.console import out, settings
from cnnapp.cli.global_options import with_globals
from cnnapp.cli.training import config_file, run_folders
from cnnapp.cli.training.options import parameters
from pipelines.core import extras, workspace
from pipelines.core.errors import ConfigError
from pipelines.core.progress import duration
from pipelines.tasks.registry import find_task, task_names
from pipelines.training.config import TrainingConfig
from pipelines.training.task import Task

__all__ = ["TaskCommands", "start", "train_app"]

_GIB = 2**30


class TaskCommands(TyperGroup):
    """A command for each task of the table, made when it is asked for: plug-in tasks have theirs as well."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the tasks."""
        return list(task_names())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command that trains a task; a name that is none is answered with the nearest one."""
        return _command(find_task(cmd_name))


train_app = typer.Typer(
    cls=TaskCommands,
    no_args_is_help=True,
    help="Train a model and export it as the next version of its name. `cnnapp train TASK --help` lists the options.",
)


@functools.cache
def _command(task: Task) -> Any:
    """Return the command of a task."""

    def train(ctx: typer.Context, **given: Any) -> None:
        _run(task, ctx, given)

    first = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    signature = inspect.Signature([first, *parameters(task.config)])
    train.__signature__ = signature  # type: ignore[attr-defined]
    train.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
    data = task.config.model_fields["data"].default
    single = typer.Typer(rich_markup_mode="markdown", add_completion=False)
    single.command(
        task.name,
        cls=TyperCommand,
        add_help_option=False,
        short_help=f"Train for {task.name}: {task.summary}.",
        help=(
            f"Train for {task.name}: {task.summary}.\n\n"
            "Options that are left out are chosen from the training data, and printed. Ctrl-C ends the training and "
            "keeps what was learned; --resume continues a run that was stopped or killed.\n\n"
            f"Example: `cnnapp train {task.name} --data {data} --name my-model --dry-run`"
        ),
    )(with_globals(train))
    return typer.main.get_command(single)


def _run(task: Task, ctx: typer.Context, given: dict[str, Any]) -> None:
    """Put the options together, from the file and from the command line, and do what is asked."""
    asked = {name: value for name, value in given.items() if _is_given(ctx, name)}
    print_config, dry_run = asked.pop("print_config", False), asked.pop("dry_run", False)
    name, path = asked.pop("name", None), asked.pop("config_file", None)
    options = asked
    if path is not None:
        file = config_file.read(path)
        options = file.options_for(task.name, task.config) | asked
        name = name or file.name
    # Wrong options are said at once, before seconds go by importing TensorFlow.
    config = task.config.parse(**options)
    if print_config:
        out.print(config_file.to_yaml(task.name, name, config), markup=False, soft_wrap=True, end="")
        return
    missing = [flag for flag, there in (("--data", "data" in options), ("--name", name or dry_run)) if not there]
    if missing:
        ctx.fail(f"Missing option '{missing[0]}'.")
    if dry_run:
        _estimate(task, config)
    else:
        start(task, str(name), config)


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP")


def start(task: Task, name: str, config: TrainingConfig) -> None:
    """Train, and print the path of the saved model alone on standard output, for scripts.

    Args:
        task: what is learned.
        name: of the saved model.
        config: the options. Where it names no folder, the run is kept in one of its name.

    Raises:
        ConfigError: as :func:`pipelines.training.recipe.train`.
        DataError: likewise.
    """
    extras.need("training", "train")
    from pipelines.core.tensorflow_import import import_tensorflow

    import_tensorflow()
    from cnnapp.prediction import model_paths
    from pipelines.training import recipe
    from pipelines.training.session import check_name

    check_name(name)
    folder = config.log_dir or workspace.runs() / name
    # The folder of the run is left open where it is the usual one, for whoever trains by this file under another name.
    text = config_file.to_yaml(task.name, name, config.model_copy(update={"resume": False, "overwrite": False}))
    with run_folders.recorded(folder, text, resumed=config.resume):
        trained = recipe.train(task, name, root=model_paths.root(), **dict(config) | {"log_dir": folder})
    out.print(trained.path, soft_wrap=True)


def _estimate(task: Task, config: TrainingConfig) -> None:
    """Measure a few steps, and print what the whole would take."""
    extras.need("training", "train")
    from pipelines.core.tensorflow_import import import_tensorflow

    import_tensorflow()
    from pipelines.training import recipe

    if config.resume:
        raise ConfigError("--dry-run: estimates a whole training; leave out --resume")
    found = recipe.estimate(task, **dict(config))
    rows = {
        "time": f"at most {duration(found.seconds)}, without validation",
        "steps": f"{found.steps:,} in {found.epochs} epochs, {1000 * found.step_seconds:,.3g} ms each",
        "memory": f"{found.memory_bytes / _GIB:.1f} GiB in this process, decoded images included",
        "parameters": f"{found.parameters:,}",
    }
    for title, text in rows.items():
        out.print(f"{title:<12}{text}", markup=False, soft_wrap=True)
    if not settings.quiet:
        out.print("Nothing was trained or written; leave out --dry-run to train.", soft_wrap=True)
