"""How thorough a run of the tests is: ``CNNAPP_TEST_PROFILE`` is "ci", which is the default, or "full"."""

from __future__ import annotations

import os

__all__ = ["PROFILE", "examples"]

PROFILE = os.environ.get("CNNAPP_TEST_PROFILE") or "ci"
if PROFILE not in ("ci", "full"):
    raise ValueError(f"CNNAPP_TEST_PROFILE: received {PROFILE!r}; expected 'ci' or 'full'")


def examples(full: int, ci: int | None = None) -> int:
    """Return how many examples of a property are drawn.

    Args:
        full: how many `make test-all` draws.
        ci: how many `make test` draws; by default a third, and no fewer than three.
    """
    return full if PROFILE == "full" else min(full, max(3, round(full / 3)) if ci is None else ci)
