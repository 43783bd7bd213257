"""What a user should know of something that works all the same, said once."""

from __future__ import annotations

import functools
import logging

__all__ = ["LOGGER", "forget", "note"]

LOGGER = "cnnapp"
"""The logger that notes go to; without handlers, as in a script, Python prints them on standard error."""


@functools.lru_cache(maxsize=4096)
def note(text: str) -> None:
    """Say something once in this process.

    Args:
        text: a sentence that names what it is about.

    Example:
        >>> note("digits/1: was saved by an earlier version")
    """
    logging.getLogger(LOGGER).warning("%s", text)


def forget() -> None:
    """Say again what was said: another command begins."""
    note.cache_clear()
