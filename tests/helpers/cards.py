"""Cards of saved models, edited as their authors could: with a manifest that lists them as they are then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.artifacts import manifest
from pipelines.artifacts.model_card import CARD

__all__ = ["as_earlier_versions", "edit_card"]


def edit_card(directory: Path, change: Callable[[dict[str, Any]], object], seal: bool = True) -> None:
    """Change the record of a card in place; without ``seal`` the manifest is left as it was."""
    record = json.loads((directory / CARD).read_text())
    change(record)
    (directory / CARD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    if seal:
        manifest.seal(directory)


def as_earlier_versions(directory: Path) -> None:
    """Take the manifest away, and let the card say that there was none."""
    edit_card(directory, lambda record: record.update(format=1), seal=False)
    (directory / manifest.MANIFEST).unlink()
