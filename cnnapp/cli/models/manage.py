"""The commands that keep order among saved models: list, rename, delete, undo, pin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cnnapp.cli.console import out, say
from cnnapp.cli.global_options import with_globals
from cnnapp.cli.models.list import list_models
from cnnapp.prediction import model_paths, pins
from pipelines.artifacts.model_card import versions
from pipelines.core.errors import ConfigError, ModelError, unknown
from pipelines.storage.names import check_name

__all__ = ["delete", "empty_trash", "models_app", "pin", "rename", "undo", "unpin"]

_MIB = 2**20

models_app = typer.Typer(
    invoke_without_command=True,
    help="List saved models; rename, delete and pin them. Without a command: list.",
)

Name = Annotated[str, typer.Argument(help="Name of a saved model.", metavar="NAME")]


@models_app.callback()
def _without_command(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        list_models()


models_app.command("list")(with_globals(list_models))


def _home(name: str) -> Path:
    """Return the folder of the versions of a model that lies where models are written.

    Raises:
        ModelError: if there is none of that name, with the nearest one; or if it came with the installation.
    """
    root = model_paths.root()
    if name in model_paths.names(root):
        return root / name
    if name in model_paths.homes():
        elsewhere = model_paths.homes()[name]
        raise ModelError(
            f"{name}: came with the installation and stays as it is; copy {elsewhere} into {root} to change it"
        )
    raise ModelError(unknown("saved model", name, model_paths.names(root)))


@models_app.command()
@with_globals
def rename(name: Name, new: Annotated[str, typer.Argument(help="Its new name.", metavar="NEW")]) -> None:
    """Rename a saved model, with all its versions.

    Example: `cnnapp models rename birds garden-birds`
    """
    from pipelines.core.tensorflow_import import import_tensorflow

    home = _home(name)
    check_name(new)
    import_tensorflow()
    from cnnapp.cli.models import rename as renaming

    out.print(renaming.rename(home.parent, name, new), markup=False, soft_wrap=True)


@models_app.command()
@with_globals
def delete(
    names: Annotated[
        list[str], typer.Argument(help="Names, for all versions, or name/version for one.", metavar="NAME...")
    ],
) -> None:
    """Move saved models to the trash; `cnnapp models undo` puts the last ones back.

    Example: `cnnapp models delete birds/1 trials`
    """
    from cnnapp.cli.models import trash

    wanted = list(dict.fromkeys(_deletable(name.rstrip("/")) for name in names))
    # A version need not be moved by itself where its model is moved as a whole.
    wanted = [name for name in wanted if "/" not in name or name.split("/")[0] not in wanted]
    trash.delete(model_paths.root(), wanted)
    say(f"Deleted {', '.join(wanted)}. `cnnapp models undo` puts back what was deleted last.", soft_wrap=True)


def _deletable(name: str) -> str:
    """Return what to move: the whole model where the version is its only one."""
    base, _, version = name.partition("/")
    home = _home(base)
    if not version:
        return base
    there = versions(home)
    if version not in map(str, there):
        raise ModelError(unknown(f"version of {base}", name, [f"{base}/{number}" for number in there]))
    if len(there) == 1:
        return base
    if pins.pinned(home) == int(version):
        raise ConfigError(f"{name}: is pinned; pin another version, or `cnnapp models unpin {base}`")
    return name


@models_app.command()
@with_globals
def undo() -> None:
    """Put back what `cnnapp models delete` deleted last."""
    from cnnapp.cli.models import trash

    restored = trash.undo(model_paths.root())
    say(f"Put back {', '.join(restored.names)}.", soft_wrap=True)


@models_app.command("empty-trash")
@with_globals
def empty_trash(yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Remove deleted models for good, to free their space."""
    from cnnapp.cli.models import trash

    root = model_paths.root()
    found = trash.deletions(root)
    if not found:
        say("The trash is empty.")
        return
    for each in found:
        out.print(f"{', '.join(each.names)}  deleted {each.when[:10]}, {each.size / _MIB:.1f} MiB", soft_wrap=True)
    freed = sum(each.size for each in found) / _MIB
    if not yes:
        typer.confirm(f"Remove them for good and free {freed:.1f} MiB?", abort=True)
    trash.empty(root)
    say(f"Freed {freed:.1f} MiB.")


@models_app.command()
@with_globals
def pin(name: Name, version: Annotated[int, typer.Argument(help="Number of the version.", metavar="VERSION")]) -> None:
    """Let NAME stand for one of its versions, for predict, serve, the page and Python; otherwise it is the newest.

    Example: `cnnapp models pin birds 2`
    """
    pins.pin(_home(name), version)
    say(f"{name} now means {name}/{version}.")


@models_app.command()
@with_globals
def unpin(name: Name) -> None:
    """Let NAME stand for its newest version again."""
    home = _home(name)
    was = pins.unpin(home)
    say(f"{name} now means {name}/{pins.chosen_version(home)}." if was else f"{name} was not pinned.")
