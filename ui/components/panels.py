"""The one table from task to what the page shows of its answers. Adding one is a class, and a row."""

from __future__ import annotations

from cnnapp.results.table import imported
from pipelines.core.plugins import load_plugins
from ui.components.panel import Panel

__all__ = ["PANELS", "find_panel"]

PANELS: dict[str, str] = {
    "classification": "ui.components.classifications:ClassPanel",
    "detection": "ui.components.detections:ObjectPanel",
    "segmentation": "ui.components.segmentations:PixelPanel",
}
"""From the name of a task to its panel, as ``module:class``. A task without a row has the panel that is for any."""


def find_panel(task: str) -> Panel:
    """Return what the page shows of the answers of a task.

    Args:
        task: as on cards.
    """
    load_plugins()
    return imported(PANELS[task])() if task in PANELS else Panel()
