"""The figures on a model card, as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipelines.artifacts.model_card import ModelCard
from pipelines.reporting.report import BLUE, INK, RED, Picture, png
from pipelines.tasks.registry import find_task

__all__ = ["card_pictures", "history_pictures"]


def card_pictures(card: ModelCard, part: str = "test") -> list[Picture]:
    """Return how good a model is, as pictures.

    Args:
        card: of the model.
        part: of the data: "test" or "validation".

    Returns:
        What the task draws (see :meth:`pipelines.reporting.words.Words.pictures`) of what the card records: models of
        earlier versions recorded less. None where the part was not measured.
    """
    found = card.metrics.get(part)
    return find_task(card.task).words.pictures(found, tuple(card.classes)) if found else []


def history_pictures(card: ModelCard) -> list[Picture]:
    """Draw how training went: the loss, and what else was followed, on training and on validation images.

    Args:
        card: of the model.

    Returns:
        A curve for each figure, with the best epoch, whose weights were saved; none where the card records no epoch.
    """
    epochs = card.history["epochs"]
    best = card.history["best_epoch"]
    caption = f"On training images (solid) and validation images (dashed), epoch by epoch; best epoch: {best}."
    names = [name for name in epochs[0] if not name.startswith("val_")] if epochs else []
    return [Picture(name.replace("_", " "), caption, png(_history(epochs, name, best))) for name in names]


def _history(epochs: list[dict[str, Any]], name: str, best: int) -> Figure:
    figure = Figure(figsize=(4.4, 3.1), layout="constrained")
    axes = figure.subplots()
    for key, label, colour, line in ((name, "training", BLUE, "-"), (f"val_{name}", "validation", RED, "--")):
        values = [np.nan if epoch.get(key) is None else epoch[key] for epoch in epochs]
        marker = "o" if len(epochs) < 3 else None
        axes.plot(range(1, len(epochs) + 1), values, line, color=colour, linewidth=1.5, label=label, marker=marker)
    axes.axvline(best, color=INK, linestyle=":", linewidth=1, label="best epoch")
    axes.set_title(name.replace("_", " "), color=INK)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(fontsize=8, frameon=False)
    return figure
