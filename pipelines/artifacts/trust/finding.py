"""What was found in a model that reaches outside of it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding", "listed"]

_SHOWN = 3


@dataclass(frozen=True, order=True)
class Finding:
    """Something in a model that reaches files, processes, the network or Python, or of which that is not known.

    Args:
        what: its name: of an operation, a layer, a file.
        does: what it does, as the end of a sentence: "reads files".
        where: in the model.
    """

    what: str
    does: str
    where: str

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.what} ({self.does}) in {self.where}"


def listed(findings: list[Finding]) -> str:
    """Return findings in one line: of each kind the first, and how many there are besides.

    Args:
        findings: at least one.

    Example:
        >>> listed([Finding("ReadFile", "reads files", f"function f{number}") for number in range(9)])
        'ReadFile (reads files) in function f0, and 8 more'
    """
    kinds = list({(each.what, each.does): each for each in reversed(findings)}.values())[::-1]
    shown = kinds[:_SHOWN]
    more = len(findings) - len(shown)
    return "; ".join(map(str, shown)) + (f", and {more} more" if more else "")
