"""Figures that a later version measures, added to the card of a model that an earlier one saved.

A card records how good a model was when it was exported. What was not measured then may be added, by measuring again on
the same data; it is believed where every figure that is on the card comes out as it stands there.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pipelines.artifacts.model_card import ModelCard, read_card, write_card
from pipelines.core.errors import ConfigError, DataError, ModelError
from pipelines.data import Splits

__all__ = ["TOLERANCE", "add_figures", "completed", "refuse_other_data"]

TOLERANCE = 1e-6
"""How far a figure may lie from the one on the card, as a share of it; counts must be equal."""


def refuse_other_data(card: ModelCard, splits: Splits[Any], part: str) -> None:
    """Refuse to measure for a card on anything but the data that it names.

    Args:
        card: of the model.
        splits: the data.
        part: of which the figures are wanted.

    Raises:
        ConfigError: if the card has no figures of such a part.
        DataError: if the data are not those that the model was trained and measured with.
    """
    if not card.metrics.get(part):
        parts = ", ".join(name for name, found in card.metrics.items() if found) or "no part"
        raise ConfigError(
            f"the card of {card.name}/{card.version} has figures for {parts}, but none for {part} to add to"
        )
    if splits.fingerprint != card.data["fingerprint"]:
        raise DataError(
            f"{splits.source}: is not the data that {card.name}/{card.version} was measured on "
            f"({card.data['source']}, dataset hash {card.data['fingerprint'][:12]}…; this one has "
            f"{splits.fingerprint[:12]}…); figures are added to a card only for the same images"
        )


def add_figures(directory: Path, part: str, measured: dict[str, Any]) -> tuple[str, ...]:
    """Add to the card of a saved model what was measured and is not on it. Nothing that is there is changed.

    Args:
        directory: of the saved model.
        part: of the data: "test" or "validation".
        measured: the figures of that part, all of them.

    Returns:
        The names of the figures that gained something; none where the card had them all, and was left as it was.

    Raises:
        ModelError: if a figure on the card came out otherwise, named; or if the card cannot be written.
    """
    card = read_card(directory)
    recorded = card.metrics[part]
    try:
        figures = completed(recorded, measured)
    except ValueError as error:
        raise ModelError(
            f"{directory}: measured again on the {part} images, {error}; the card is unchanged. The images or the "
            "arithmetic of this machine differ from those of the first measurement"
        ) from None
    added = tuple(name for name, value in figures.items() if name not in recorded or value != recorded[name])
    if added:
        write_card(directory, card.model_copy(update={"metrics": card.metrics | {part: figures}}))
    return added


def completed(recorded: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """Return figures as they were recorded, with those added that were only measured now, in their places.

    Args:
        recorded: plain values by name, in dictionaries and lists.
        measured: likewise. What it lacks, because it is no longer measured, stays as it was recorded.

    Returns:
        In the order of ``measured``.

    Raises:
        ValueError: naming the first figure that is in both and differs.

    Example:
        >>> completed({"images": 3, "ap": 0.5}, {"images": 3, "ap50": 0.75, "ap": 0.50000001})
        {'images': 3, 'ap50': 0.75, 'ap': 0.5}
    """
    _refuse_difference("", recorded, measured)
    figures: dict[str, Any] = _joined(recorded, measured)
    return figures


def _refuse_difference(name: str, recorded: Any, measured: Any) -> None:
    if isinstance(recorded, dict) and isinstance(measured, dict):
        for key in (key for key in recorded if key in measured):
            _refuse_difference(f"{name}.{key}".lstrip("."), recorded[key], measured[key])
    elif isinstance(recorded, list) and isinstance(measured, list) and len(recorded) == len(measured):
        for one, other in zip(recorded, measured, strict=True):
            _refuse_difference(name, one, other)
    elif not _equal(recorded, measured):
        raise ValueError(f"{name} is {measured}, and {recorded} on its card")


def _equal(recorded: Any, measured: Any) -> bool:
    if isinstance(recorded, float) and isinstance(measured, (int, float)):
        return math.isclose(recorded, measured, rel_tol=TOLERANCE, abs_tol=1e-12)
    return bool(recorded == measured)


def _joined(recorded: Any, measured: Any) -> Any:
    if not (isinstance(recorded, dict) and isinstance(measured, dict)):
        return recorded
    # In the order of what is measured, so that of two cards of the same figures the one reads like the other.
    joined = {key: _joined(recorded[key], value) if key in recorded else value for key, value in measured.items()}
    return joined | {key: value for key, value in recorded.items() if key not in measured}
