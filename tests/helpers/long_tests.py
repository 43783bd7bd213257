"""Tests that take long, and whose shorter siblings, or others that run the same lines, stand for them in `make test`.

All of them run in `make test-all`. ``tests/tools/choose_long.py`` chooses them by what was measured.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["LIST", "LONG"]

LIST = Path(__file__).with_suffix(".txt")
LONG = frozenset(LIST.read_text(encoding="utf-8").splitlines())
