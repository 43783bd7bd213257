"""Text of a saved model's author for pages that read Markdown, shown as it is."""

from __future__ import annotations

__all__ = ["plain"]


def plain(text: str) -> str:
    r"""Keep what is in a text from being read as Markdown, but for what stands in backquotes.

    Args:
        text: such as a sentence of a card.

    Example:
        >>> plain("*a*, and `b*`")
        '\\*a\\*, and `b*`'
    """
    parts = text.split("`")
    for at in range(0, len(parts), 2):
        for letter in "\\*_[]#<>$~:|":
            parts[at] = parts[at].replace(letter, f"\\{letter}")
    return "`".join(parts)
