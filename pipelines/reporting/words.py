"""What cards and reports say of a model: for any task, from the figures that were measured alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pipelines.core.percent import percent
from pipelines.reporting.statistics import wilson_interval

if TYPE_CHECKING:
    from pipelines.reporting.report import Picture

__all__ = ["NONE", "SURE", "Described", "Found", "Words", "colour_of", "count", "listed", "number", "share"]

SURE = "95 % interval"
NONE = "–"
_MOST_NAMES, _WORST = 12, 3

Found = Mapping[str, Any]
"""The figures of one part of the data, as on a card: ``card.metrics["test"]``."""


class Described(Protocol):
    """What is said of a model; :class:`pipelines.artifacts.model_card.ModelCard` has it, and more."""

    @property
    def name(self) -> str:
        """The name of the model."""

    @property
    def version(self) -> int:
        """Its version."""

    @property
    def classes(self) -> Sequence[str]:
        """Names, in the order of the class ids."""

    @property
    def input(self) -> Mapping[str, Any]:
        """What the network is shown."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Figures, by the part of the data that they were measured on."""

    @property
    def data(self) -> Mapping[str, Any]:
        """Where the images came from: ``source``."""


class Words:
    """What cards and reports say of models of a task.

    What stands here does for any task: it makes a table of whatever numbers were measured. A task says better what it
    can: its main figure in a sentence, what a model should not be used for, its pictures.

    Example:
        >>> words = Words()
        >>> words.figures({"images": 1200, "mean_error": 0.25, "error_95": [0.2, 0.3]})
        [('images', '1,200'), ('mean error', '0.2500')]
        >>> words.headline({"images": 1200, "mean_error": 0.25}, "1,200 test images of rooms")
        'Mean error is 0.2500 on 1,200 test images of rooms.'
    """

    added_later: ClassVar[tuple[str, str] | None] = None
    """A figure that not all versions recorded, and how it is worded."""
    by_class: ClassVar[tuple[str, str, str] | None] = None
    """The figure that classes are put in order by, what says whether a class occurs among the images, and how the
    figure is worded, with ``{}`` for it.
    """

    # === What a model is ===

    def input(self, card: Described) -> str:
        """Say what the network is shown of an image."""
        kind = colour_of(card)
        if {"height", "width"} <= set(card.input):
            return f"{card.input['height']} x {card.input['width']} pixels in {kind}"
        return f"images of any size in {kind}"

    # === How good it is ===

    def headline(self, found: Found, images: str) -> str:
        """Say the main figure in a sentence, with its interval where one can be given.

        Args:
            found: the figures.
            images: what they were measured on, in words.
        """
        figures = [(name, value) for name, value in self.figures(found) if name != "images"]
        if not figures:
            return f"It was measured on {images}."
        name, value = figures[0]
        return f"{name[:1].upper()}{name[1:]} is {value} on {images}."

    def figures(self, found: Found) -> list[tuple[str, str]]:
        """Return the figures by their names, as texts; the same names for every part of the data."""
        return [(name.replace("_", " "), number(value)) for name, value in found.items() if _is_number(value)]

    def class_row(self, row: Found) -> dict[str, str]:
        """Return the figures of one class, as the cells of a table by their columns."""
        return {name.replace("_", " "): number(value) for name, value in row.items() if _is_number(value)}

    def pictures(self, found: Found, classes: tuple[str, ...]) -> list[Picture]:
        """Draw how good the model is; of what can be drawn, what the card records.

        Args:
            found: the figures.
            classes: the names of all classes.
        """
        from pipelines.reporting.report import recorded_reliability

        return recorded_reliability(found)

    # === What it should not be used for ===

    def unknown(self, card: Described) -> str:
        """Say what becomes of an image that shows nothing the model knows."""
        return "It answers for any image, also for one that shows something else than those it was trained on."

    def sizes(self, card: Described) -> str:
        """Say which sizes of things it was made for."""
        if {"height", "width"} <= set(card.input):
            return (
                f"It sees {card.input['height']} x {card.input['width']} pixels. Details that are lost when an image "
                "is brought to that size cannot count, however large the image is."
            )
        return (
            f"It was trained on things of the size that they have in {card.data['source']}; much smaller or larger "
            "ones are seen badly."
        )

    def doubt(self) -> str:
        """Say how far the main figure can be trusted."""
        return "That holds for images like those, and for no others."

    def worst(self, card: Described) -> str | None:
        """Name the classes with the worst figures on test images; None where none stand out."""
        if self.by_class is None:
            return None
        key, counted, what = self.by_class
        found = card.metrics.get("test", {}).get("classes", {})
        rows = [(name, row[key]) for name, row in found.items() if row[counted] and row[key] is not None]
        worst = sorted(rows, key=lambda pair: pair[1])[: min(_WORST, len(rows) // 2)]
        named = ", ".join(f"{name} ({what.format(self.class_figure(value))})" for name, value in worst if value < 1)
        return f"Of its classes the worst on test images are: {named}." if named else None

    def class_figure(self, value: float) -> str:
        """Return the figure of ``by_class`` as a text."""
        return f"{value:.3f}"


def colour_of(card: Described) -> str:
    """Return whether the network sees colour, as a word."""
    return "grey" if card.input.get("channels") == 1 else "colour"


def listed(names: Sequence[str], most: int = _MOST_NAMES) -> str:
    """Return names with commas between them, and how many more there are.

    Example:
        >>> listed(["cat", "dog", "owl"], 2)
        'cat, dog and 1 more'
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def number(value: float | None) -> str:
    """Return a figure as a text: a count as it is, a fraction in four digits, a dash for none."""
    if value is None:
        return NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def count(found: Found, name: str) -> str:
    """Return one of the counts among the figures as a text."""
    return f"{found[name]:,}"


def share(right: int, total: int) -> str:
    """Return a share in per cent, with Wilson's interval.

    Example:
        >>> share(9, 10)
        '90.0 % (59.6 % to 98.2 %)'
    """
    if not total:
        return NONE
    low, high = wilson_interval(right, total)
    return f"{percent(right / total, 1)} ({percent(low, 1)} to {percent(high, 1)})"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
