"""Texts of structured values, JSON, XML and YAML, parsed within bounds; whatever they hold, an error names it.

Neither entities of XML nor aliases of YAML are followed: a few lines of either may stand for gigabytes.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from xml.etree import ElementTree

from pipelines.core.errors import DataError

__all__ = ["parse_json", "parse_xml", "parse_yaml"]

_LONGEST_NUMBER = 100


def parse_json(content: bytes, where: object) -> Any:
    """Parse JSON.

    Args:
        content: the bytes of a file.
        where: how messages call it.

    Raises:
        DataError: if it is none, or is nested too deeply.

    Example:
        >>> parse_json(b'{"a": [1, null]}', "a.json")
        {'a': [1, None]}
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise DataError(f"{where}: is not JSON that can be read: it is nested too deeply") from None
    except MemoryError:
        raise DataError(f"{where}: cannot be read: there is not enough memory") from None
    except ValueError as error:
        raise DataError(f"{where}: is not JSON: {_line(error)}") from None


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses what may define entities, which can grow without end or name other files."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DataError("has a DOCTYPE, which annotations must not have; remove it")


def parse_xml(content: bytes, where: object) -> ElementTree.Element:
    """Parse XML, which must have no DOCTYPE.

    Args:
        content: the bytes of a file.
        where: how messages call it.

    Returns:
        The root.

    Raises:
        DataError: if it is none.

    Example:
        >>> parse_xml(b"<a><b>1</b></a>", "a.xml").findtext("b")
        '1'
    """
    try:
        return ElementTree.fromstring(content, ElementTree.XMLParser(target=_NoDoctype()))
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    except Exception as error:  # The parser raises its own error, and others for encodings it does not know.
        raise DataError(f"{where}: is not XML: {_line(error)}") from None


def parse_yaml(content: bytes, where: object) -> Any:
    """Parse YAML of plain values, without aliases.

    Args:
        content: the bytes of a file.
        where: how messages call it.

    Raises:
        DataError: if it is none, or holds what is more than plain values.

    Example:
        >>> parse_yaml(b"names: [cat, dog]", "data.yaml")
        {'names': ['cat', 'dog']}
    """
    import yaml

    try:
        return yaml.load(content, _plain_loader())
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    except RecursionError:
        raise DataError(f"{where}: is not YAML that can be read: it is nested too deeply") from None
    except Exception as error:  # Besides its own errors it raises those of the types that it builds.
        raise DataError(f"{where}: is not YAML: {_line(error) or type(error).__name__}") from None


@cache
def _plain_loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """The safe loader without aliases and without numbers of any length."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.events.AliasEvent):
                event: Any = self.get_event()  # type: ignore[no-untyped-call]
                raise DataError(f"received the alias *{str(event.anchor)[:40]}; write the value itself")
            return super().compose_node(parent, index)

    def number(loader: Any, node: Any) -> Any:
        # Numbers to the base of 60 (1:59:59) take time with the square of their length, and nobody means them.
        if len(node.value) > _LONGEST_NUMBER or ":" in node.value:
            return loader.construct_scalar(node)
        tag = node.tag.rpartition(":")[2]
        return (yaml.SafeLoader.construct_yaml_int if tag == "int" else yaml.SafeLoader.construct_yaml_float)(
            loader, node
        )

    for tag in ("int", "float"):
        Loader.add_constructor(f"tag:yaml.org,2002:{tag}", number)
    return Loader


def _line(error: object) -> str:
    return " ".join(str(error).split())[:200]
