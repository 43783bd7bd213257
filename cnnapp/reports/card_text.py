"""What a model card says, in words and tables: what a model is, how good it is, and what it should not be used for."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from pipelines.artifacts.model_card import ModelCard
from pipelines.core.progress import duration
from pipelines.reporting.words import NONE, listed
from pipelines.tasks.registry import find_task

__all__ = ["class_rows", "facts", "figures", "headline", "limits", "software_rows", "unrecorded"]

_NAMED = 5


def facts(card: ModelCard) -> list[tuple[str, str]]:
    """Return what a model is and where it comes from: (what, value).

    Args:
        card: of the model.
    """
    images = card.data["images"]
    counts = ", ".join(f"{images[part]:,} {part}" for part in ("train", "validation", "test") if part in images)
    history = card.history
    ended = {"finished": "", "early": ", stopped early", "interrupted": ", interrupted"}.get(history["stopped"], "")
    return [
        ("Task", card.task),
        *([("Classes", f"{len(card.classes)}: {listed(card.classes)}")] if card.classes else []),
        ("Input", find_task(card.task).words.input(card)),
        ("Trained on", f"{card.data['source']} ({counts} images)"),
        *([("Skipped", _skipped(card.data["skipped"]))] if "skipped" in card.data else []),
        (
            "Training",
            f"{len(history['epochs'])} epochs in {duration(history['seconds'])}{ended}; best epoch: "
            f"{history['best_epoch']}",
        ),
        ("Parameters", f"{card.parameters:,}"),
        ("Created", card.created.replace("T", " ").removesuffix("+00:00") + " UTC"),
        ("Dataset hash", str(card.data["fingerprint"])),
    ]


def _skipped(found: Mapping[str, Any]) -> str:
    """Name the first of the images that were left out of the data because they could not be used."""
    named = "; ".join(f"{one['image']} ({one['part']}): {one['reason']}" for one in found["images"][:_NAMED])
    more = found["count"] - _NAMED
    counted = f"{found['count']:,} {'image' if found['count'] == 1 else 'images'} that cannot be used: {named}"
    return f"{counted}; and {more:,} more, as listed in the file of the card" if more > 0 else counted


def headline(card: ModelCard, part: str = "test") -> str:
    """Return the main figure of a model in a sentence, with its interval where one can be given.

    Args:
        card: of the model.
        part: of the data: "test" or "validation".
    """
    found = card.metrics.get(part)
    if not found:
        return f"It was not measured on {part} images."
    images = f"{found['images']:,} {part} images of {card.data['source']}"
    return find_task(card.task).words.headline(found, images)


def figures(card: ModelCard) -> list[dict[str, str]]:
    """Return the figures of a model as rows of a table, a column for each part that was measured.

    Args:
        card: of the model.

    Returns:
        Rows with ``figure``, and a value for ``test`` and ``validation`` each. Intervals are Wilson's, at 95 %.
    """
    words = find_task(card.task).words
    parts = {part: dict(words.figures(card.metrics[part])) for part in ("test", "validation") if card.metrics.get(part)}
    names = dict.fromkeys(name for found in parts.values() for name in found)
    return [{"figure": name} | {part: found.get(name, NONE) for part, found in parts.items()} for name in names]


def class_rows(card: ModelCard, part: str = "test") -> list[dict[str, str]]:
    """Return a row for each class with its figures, as texts; none where the part was not measured.

    Args:
        card: of the model.
        part: of the data.
    """
    words = find_task(card.task).words
    found = card.metrics.get(part, {}).get("classes", {})
    return [{"class": name} | words.class_row(row) for name, row in found.items()]


def unrecorded(card: ModelCard, part: str = "test") -> list[str]:
    """Return what the card of an earlier version lacks, and how it gets it, in sentences; none where it has all.

    Args:
        card: of the model.
        part: of the data that was measured: "test" or "validation".
    """
    added_later = find_task(card.task).words.added_later
    if added_later is None or added_later[0] in card.metrics[part]:
        return []
    command = f"cnnapp evaluate {card.name}/{card.version} --split {part} --card"
    return [f"An earlier cnnapp made this card, which lacks {added_later[1]}. `{command}` measures that and adds it."]


def limits(card: ModelCard) -> list[str]:
    """Return what a model should not be used for, in sentences that follow from its card.

    Args:
        card: of the model.
    """
    words = find_task(card.task).words
    grey = card.input.get("channels") == 1
    worst = words.worst(card)
    return [
        words.unknown(card),
        f"It was trained on {card.data['source']} alone. Images of another kind (another camera, light, background, "
        "drawing) may be answered worse, and nothing here says by how much: measure on images of your own with "
        f"`cnnapp evaluate {card.name}/{card.version} --data FOLDER`.",
        words.sizes(card) + (" Colour is not seen: what differs by it alone looks the same to it." if grey else ""),
        f"{headline(card)} {words.doubt()}",
        *([worst] if worst else []),
        "Do not let it decide alone where a wrong answer harms somebody: it was measured for no such use.",
    ]


def software_rows(card: ModelCard) -> list[dict[str, str]]:
    """Return the versions a model was made with, beside those that are installed here."""
    return [
        {"software": name, "made with": version, "here": _installed(name)} for name, version in card.software.items()
    ]


def _installed(name: str) -> str:
    if name == "python":
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return NONE
