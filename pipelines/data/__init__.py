"""Sources of labelled images behind one name, as given to ``--data``: a module a task, and one a format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.core.lazy import lazily
from pipelines.data.splits import SPLIT_NAMES, Example, Split, Splits, everything

if TYPE_CHECKING:
    from pipelines.data.classification import load

__all__ = ["SPLIT_NAMES", "Example", "Split", "Splits", "everything", "load"]

__getattr__ = lazily(__name__, {"load": "pipelines.data.classification"})
