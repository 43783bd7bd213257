"""The command ``cnnapp models``, and ``cnnapp list``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.markup import escape

from cnnapp.cli.console import err, out, print_rows
from pipelines.core.errors import ModelError
from pipelines.core.percent import percent

__all__ = ["list_models"]

_KINDS: dict[str, Callable[[float], str]] = {
    "accuracy": lambda value: f"accuracy {percent(value)}",
    "ap50": lambda value: f"AP50 {value:.3f}",
    "mean_iou": lambda value: f"mean IoU {value:.3f}",
}
"""The figures that stand for a model, as they are written."""
_COLUMNS = ["model", "task", "classes", "on test images", "trained on", "created"]


def list_models() -> None:
    """List the saved models of the working directory, and those that came with the installation."""
    from cnnapp.prediction import model_paths
    from pipelines.artifacts.model_card import versions

    meant = model_paths.homes()
    found = False
    for place in model_paths.places():
        rows = [
            _row(home, number, hidden=meant[name] != home)
            for name, home in model_paths.homes(place).items()
            for number in versions(home)
        ]
        if shown := [row for row in rows if row]:
            print_rows(f"Saved models in {place}", [_COLUMNS, *shown])
        found |= bool(shown)
    if not found:
        out.print(model_paths.none_in(), markup=False, soft_wrap=True)


def _row(home: Path, number: int, hidden: bool) -> list[str]:
    """Return what a version is called and says of itself; nothing, with the reason on the screen, if it cannot be read.

    Args:
        home: the folder of all versions.
        number: of the version.
        hidden: whether its name means another model, so that only its path leads to it.
    """
    from cnnapp.prediction import pins
    from pipelines.artifacts.model_card import check_files, read_card

    directory = home / str(number)
    try:
        card = read_card(directory)
        if problems := check_files(directory, card, contents=False):
            raise ModelError(f"{directory}: {problems[0]}")
    except ModelError as error:
        err.print(f"[red]unreadable[/red] {escape(str(error))}", soft_wrap=True)
        return []
    test = card.metrics.get("test", {})
    figure = "".join(_KINDS[kind](test[kind]) for kind in _KINDS if test.get(kind) is not None)
    mark = " (hidden by the one above)" if hidden else " (pinned)" if number == pins.pinned(home) else ""
    called = f"{home.name}/{number}{mark}"
    return [called, card.task, str(len(card.classes)), figure, str(card.data.get("source", "")), card.created[:10]]
