"""From the fields of a configuration to the options of a command: nothing of a task is listed by hand here."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.core.options import GROUPS, Option, options_of
from pipelines.training.config import TrainingConfig

__all__ = ["COMMON", "parameters"]

COMMON = "Common options"
"""Heading of the options that are used most."""

_NAME = Annotated[
    str | None,
    typer.Option(help="Name of the saved model. Required, here or in --config.", rich_help_panel=COMMON),
]


def _show_help(ctx: typer.Context, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        typer.echo(ctx.get_help())
        raise typer.Exit


_OWN: dict[str, tuple[Any, Any]] = {
    "config_file": (
        Annotated[
            Path | None,
            typer.Option(
                "--config",
                help="Read options from this file (YAML, JSON, or a saved model's model_card.json); options on the "
                "command line win over it.",
                metavar="FILE",
                rich_help_panel=GROUPS["run"],
            ),
        ],
        None,
    ),
    "print_config": (
        Annotated[
            bool,
            typer.Option(
                "--print-config",
                help="Print the whole configuration as YAML, in the form that --config reads, and stop.",
                rich_help_panel=GROUPS["run"],
            ),
        ],
        False,
    ),
    "dry_run": (
        Annotated[
            bool,
            typer.Option(
                "--dry-run",
                help="Load the data, measure a few training steps, print an estimate of time and memory, and stop.",
                rich_help_panel=GROUPS["run"],
            ),
        ],
        False,
    ),
    # Typer's own would stand in a panel before all others.
    "show_help": (
        Annotated[
            bool,
            typer.Option(
                "--help",
                "-h",
                help="Show this message and exit.",
                is_eager=True,
                callback=_show_help,
                rich_help_panel=GROUPS["run"],
            ),
        ],
        False,
    ),
}
"""The options of the command itself."""


def parameters(config: type[TrainingConfig]) -> list[inspect.Parameter]:
    """Return the parameters of a command that fills a configuration, the common ones first, the others by group.

    Args:
        config: the class of the configuration. Each of its fields is an option of the same name.
    """
    options = list(options_of(config).values())
    common = [each for each in options if each.common]
    data = [_parameter(each) for each in common if each.required]
    further = [_parameter(each) for each in common if not each.required]
    grouped = [_parameter(each) for each in options if not each.common]
    own = [_made(name, default, annotation) for name, (annotation, default) in _OWN.items()]
    return [*data, _made("name", None, _NAME), *further, *grouped, *own]


def _parameter(option: Option) -> inspect.Parameter:
    """Return the parameter of an option. What it is given is checked by the configuration, which knows more."""
    text = f"{option.help} Required, here or in --config." if option.required else option.help
    default = None if option.required or option.default is None else _default(option)
    info = typer.Option(
        help=text,
        metavar=_metavar(option),
        show_default=option.otherwise if default is None and option.otherwise else not option.required,
        rich_help_panel=COMMON if option.common else GROUPS[option.group],
    )
    kind = option.kind if default is not None else option.kind | None
    return _made(option.name, default, Annotated[kind, info])


def _default(option: Option) -> Any:
    return option.text(option.default) if option.kind is str else option.default


def _metavar(option: Option) -> str | None:
    return option.joined.shown if option.joined is not None else None


def _made(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
