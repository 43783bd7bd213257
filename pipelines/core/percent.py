"""Shares as percentages, written in one form everywhere: ``99.64 %``."""

from __future__ import annotations

__all__ = ["percent"]


def percent(share: float, digits: int = 2) -> str:
    """Write a share as a percentage, with a space before the sign (ISO 31-0).

    Args:
        share: 1 for all.
        digits: behind the decimal point.

    Example:
        >>> percent(0.99642)
        '99.64 %'
        >>> percent(0.5, 0)
        '50 %'
    """
    return f"{share:.{digits}%}"[:-1] + " %"
