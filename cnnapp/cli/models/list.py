"""The command ``cnnapp models``, and ``cnnapp list``."""

from __future__ import annotations

from collections.abc import Callable

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


def list_models() -> None:
    """List the saved models: all versions, their task, classes, main figure on test images, data and date."""
    from cnnapp.prediction import model_paths, pins
    from pipelines.artifacts.model_card import read_card

    folder = model_paths.root()
    rows = [["model", "task", "classes", "on test images", "trained on", "created"]]
    for name, numbers in model_paths.names(folder).items():
        pinned = pins.pinned(folder / name)
        for number in numbers:
            try:
                card = read_card(folder / name / str(number))
            except ModelError as error:
                err.print(f"[red]unreadable[/red] {escape(str(error))}", soft_wrap=True)
                continue
            test = card.metrics.get("test", {})
            shown = "".join(_KINDS[kind](test[kind]) for kind in _KINDS if test.get(kind) is not None)
            source = str(card.data.get("source", ""))
            called = f"{name}/{number}{' (pinned)' if number == pinned else ''}"
            row = [called, card.task, str(len(card.classes)), shown, source, card.created[:10]]
            rows.append(row)
    if len(rows) == 1:
        out.print(f"No saved models in {folder}. Train one with `cnnapp train` or `cnnapp demo`.", soft_wrap=True)
        return
    print_rows(f"Saved models in {folder}", rows)
