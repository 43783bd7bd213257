"""A report of how good a model is: figures, tables and pictures, ready to be written out."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.reporting.statistics import Calibration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BLUE", "INK", "RED", "Picture", "Report", "png", "recorded_reliability", "reliability_picture", "shortened"]

INK, BLUE, RED = "#222222", "#3567b0", "#c0392b"
"""The colours of lines and bars, which all pictures share."""


@dataclass(frozen=True)
class Picture:
    """A figure of a report: a PNG, with the sentence that belongs under it.

    Args:
        title: what it shows.
        caption: how it is to be read.
        png: the figure.
        description: what is to be seen in it, for those who do not see it, where the caption does not say so.
    """

    title: str
    caption: str
    png: bytes
    description: str = ""

    @property
    def alt(self) -> str:
        """What stands for the picture where it is not seen."""
        return f"{self.title}. {self.description or self.caption}"


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Args:
        title: what was evaluated on what.
        figures: plain values, as they go into ``report.json``.
        tables: by title: a list of rows, the first of which names the columns.
        pictures: in the order to show them.
    """

    title: str
    figures: dict[str, Any]
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG, cut to what is drawn."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", facecolor="white")
    return buffer.getvalue()


def reliability_picture(found: Calibration) -> Picture:
    """Draw how often answers are right against how sure they were.

    Args:
        found: the bins.

    Returns:
        Bars of accuracy a bin with the diagonal of a perfectly calibrated model, and the number of answers below.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5.5))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    middles = (found.edges[:-1] + found.edges[1:]) / 2
    width = float(found.edges[1] - found.edges[0]) * 0.92
    above.bar(middles, np.nan_to_num(found.accuracy), width, color=BLUE, label="accuracy")
    above.plot([0, 1], [0, 1], "--", color=INK, linewidth=1, label="perfectly calibrated")
    above.plot(found.confidence, found.accuracy, "o", color=RED, markersize=4, label="mean score of the bin")
    above.set_ylabel("accuracy")
    above.set_ylim(0, 1)
    above.legend(loc="upper left", fontsize=8)
    below.bar(middles, found.count, width, color="#9aa5b1")
    below.set_ylabel("predictions")
    below.set_xlabel("score of the predicted class")
    below.set_xlim(0, 1)
    caption = f"Expected calibration error {found.error:.3f}: 0 means that scores equal probabilities."
    return Picture("Reliability", caption, png(figure))


def recorded_reliability(found: Mapping[str, Any]) -> list[Picture]:
    """Draw the reliability that a card records; nothing where it records none.

    Args:
        found: ``expected_calibration_error``, and ``calibration`` with ``confidence``, ``accuracy`` and a count (of
            images or pixels, for example) for each bin.
    """
    bins = found.get("calibration")
    if not bins or found["expected_calibration_error"] is None:
        return []
    counted = next(key for key in bins if key not in ("confidence", "accuracy"))
    count = np.array(bins[counted])
    confidence, accuracy = (
        np.array([np.nan if one is None else one for one in bins[key]]) for key in ("confidence", "accuracy")
    )
    edges = np.linspace(0.0, 1.0, len(count) + 1)
    return [reliability_picture(Calibration(found["expected_calibration_error"], edges, confidence, accuracy, count))]


def shortened(name: str, longest: int = 22) -> str:
    """Return a name, without its middle where it is longer than there is room for.

    Example:
        >>> shortened("traffic light, number 31", 12)
        'traffic…r 31'
    """
    tail = longest // 3
    return name if len(name) <= longest else f"{name[: longest - tail - 1].rstrip()}…{name[-tail:].lstrip()}"
