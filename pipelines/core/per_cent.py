"""Shares of a whole, in the one form that everything here has: number, space, sign."""

from __future__ import annotations

__all__ = ["per_cent"]


def per_cent(share: float, digits: int = 1) -> str:
    """Return a share in per cent.

    Args:
        share: 1 is the whole.
        digits: behind the point.

    Example:
        >>> per_cent(0.9964), per_cent(0.5, 0), per_cent(0.03125, 2)
        ('99.6 %', '50 %', '3.12 %')
    """
    return f"{share:.{digits}%}"[:-1] + " %"
