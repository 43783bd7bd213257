"""The options that stand before a command, ``cnnapp -q train ...``, and behind it as well."""

from __future__ import annotations

import functools
import inspect
import os
import platform
from collections.abc import Callable
from typing import Annotated, Any

import typer

from cnnapp.cli.console import out, settings
from cnnapp.cli.folder_options import Runs, SavedModels, use_folders
from pipelines.artifacts.trust import policy
from pipelines.core import device_choice
from pipelines.core.progress import Reporter

__all__ = ["before_the_command", "with_globals"]

_PANEL = "Global options"

Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show TensorFlow's own log, and tracebacks.", rich_help_panel=_PANEL)
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print only errors and the result or its path.", rich_help_panel=_PANEL),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="Compute on: auto, cpu, gpu (all GPUs) or gpu:N (one of them).",
        metavar="DEVICE",
        envvar=device_choice.VARIABLE,
        show_default="auto",
        show_envvar=False,
        rich_help_panel=_PANEL,
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help=f"Load a model that runs more than its own operations, after printing what (or {policy.TRUST}=1).",
        rich_help_panel=_PANEL,
    ),
]


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        others = ", ".join(f"{name} {version(name.lower())}" for name in ("TensorFlow", "Keras"))
        out.print(f"cnnapp {version('cnnapp')} ({others}, Python {platform.python_version()})")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
]


def before_the_command(
    version: Version = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    device: Device = None,
    saved_models: SavedModels = None,
    runs: Runs = None,
) -> None:
    """Take the global options."""
    settings.verbose = settings.quiet = False
    use_folders(saved_models, runs)
    _take(verbose, quiet, device)


def with_globals(command: Callable[..., None], loads: bool = False) -> Callable[..., None]:
    """Return a command that takes the global options behind its name too: ``cnnapp train classification ... -q``.

    Args:
        command: a function with the annotations of typer.
        loads: whether it loads models, and takes ``--trust``.
    """
    own = inspect.signature(command, eval_str=True)
    further = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, default, annotation in (
            ("verbose", False, Verbose),
            ("quiet", False, Quiet),
            ("device", None, Device),
            ("saved_models", None, SavedModels),
            ("runs", None, Runs),
        )
    ]
    if loads:
        further.append(inspect.Parameter("trust", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Trust))

    @functools.wraps(command)
    def run(**given: Any) -> None:
        _take(given.pop("verbose", False), given.pop("quiet", False), given.pop("device", None))
        use_folders(given.pop("saved_models", None), given.pop("runs", None))
        if given.pop("trust", False):
            os.environ[policy.TRUST] = "1"  # which other processes inherit
        command(**given)

    parameters = [*own.parameters.values(), *further]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _take(verbose: bool, quiet: bool, device: str | None) -> None:
    settings.verbose |= verbose
    settings.quiet |= quiet
    Reporter.quiet_by_default = settings.quiet
    if verbose:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
    if device is not None:
        # Read where TensorFlow is imported; other processes inherit it.
        os.environ[device_choice.VARIABLE] = device_choice.check(device.lower())
