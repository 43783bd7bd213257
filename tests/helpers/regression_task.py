"""A fourth task, written outside the packages, as ``CNNAPP_IMPORT=regression_task`` makes it known: on import."""

from __future__ import annotations

from cnnapp.results.table import ANSWERS
from pipelines.tasks.registry import TASKS

__all__: list[str] = []

TASKS["regression"] = "regression.task:Regression"
ANSWERS["regression"] = "regression.answer:Number"

try:
    from ui.components.panels import PANELS
except ImportError:  # the page need not be installed where a model is trained or served
    pass
else:
    PANELS["regression"] = "regression.panel:NumberPanel"
