"""Drawings of lines and text that stay sharp at any size: SVG, on a ground of their own for bright and dark pages."""

from __future__ import annotations

from xml.etree import ElementTree

from cnnapp.playground import colours

__all__ = ["add", "begin", "finish", "write"]


def begin(width: float, height: float) -> ElementTree.Element:
    """Begin a drawing.

    Args:
        width: in pixels.
        height: likewise.

    Returns:
        The root element, holding a white ground.
    """
    size = {"width": f"{width:g}", "height": f"{height:g}", "viewBox": f"0 0 {width:g} {height:g}"}
    root = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "font-family": "sans-serif", **size})
    add(root, "rect", x=0, y=0, width=width, height=height, rx=6, fill="white")
    return root


def add(parent: ElementTree.Element, tag: str, **attributes: object) -> ElementTree.Element:
    """Add an element to a drawing.

    Args:
        parent: what it belongs to.
        tag: "rect", "line", "circle", ...
        **attributes: those of SVG, an underscore for each hyphen.

    Returns:
        The element.
    """
    named = {
        name.replace("_", "-"): f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        for name, value in attributes.items()
    }
    return ElementTree.SubElement(parent, tag, named)


def write(parent: ElementTree.Element, text: str, x: float, y: float, **attributes: object) -> None:
    """Write text, its middle at a place.

    Args:
        parent: what it belongs to.
        text: one line.
        x: of the middle, in pixels.
        y: likewise.
        **attributes: as of `add`.
    """
    look = {"text_anchor": "middle", "dominant_baseline": "central", "fill": colours.INK, **attributes}
    add(parent, "text", x=x, y=y, **look).text = text


def finish(root: ElementTree.Element) -> str:
    """Return a drawing as text.

    Args:
        root: from `begin`.

    Returns:
        An SVG document.

    Example:
        >>> from cnnapp.playground.svg import begin, finish, write
        >>> drawing = begin(40, 20)
        >>> write(drawing, "7", 20, 10)
        >>> finish(drawing).endswith("7</text></svg>")
        True
    """
    return ElementTree.tostring(root, encoding="unicode")
