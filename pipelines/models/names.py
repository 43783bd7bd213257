"""The names that networks and kinds of layers go by in configurations: what exists, and what fits a task."""

from __future__ import annotations

from layers.kinds import TABLES, Kind, find_kind
from pipelines.core.choices import Choices
from pipelines.core.errors import ConfigError, unknown
from pipelines.core.plugins import load_plugins
from pipelines.models.backbones import backbone_names
from pipelines.models.segmenters import segmenter_names

__all__ = ["BACKBONE", "SEGMENTER", "kind_names", "kinds", "named_kind"]

BACKBONE = Choices(backbone_names)
"""Any backbone."""
SEGMENTER = Choices(segmenter_names)
"""Any network of segmentation."""


def kind_names(table: str, exact: bool = False) -> tuple[str, ...]:
    """Return the names of the kinds of layers there are.

    Args:
        table: "conv", "pool", "norm" or "head".
        exact: only those that answer for a window of an image by that window alone.
    """
    load_plugins()
    return tuple(name for name, kind in TABLES[table].items() if kind.exact or not exact)


def named_kind(table: str, name: str, exact: bool = False) -> Kind:
    """Return a kind of layer by name, such as "max" or "lp:3".

    Args:
        table: "conv", "pool", "norm" or "head".
        name: of the kind, with its number if it has one.
        exact: refuse one whose answer for a window of an image is not its own alone.

    Raises:
        ConfigError: if there is none of that name, its number does not fit, or it is refused.

    Example:
        >>> named_kind("conv", "dilated:4").arguments["dilation_rate"]
        4
    """
    names = kind_names(table)
    if name.partition(":")[0] not in names:
        raise ConfigError(unknown(table, name, kind_names(table, exact)))
    try:
        kind = find_kind(table, name)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if exact and not kind.exact:
        fit = ", ".join(kind_names(table, exact=True))
        raise ConfigError(f"{table} {name!r} does not fit: {kind.inexact}; choose one of: {fit}")
    return kind


def kinds(table: str, exact: bool = False) -> Choices:
    """Return the kinds of layers that a field can take; arguments as of :func:`named_kind`."""

    def problem(name: str) -> str | None:
        if name.partition(":")[0] not in kind_names(table):
            return ""
        try:
            named_kind(table, name, exact)
        except ConfigError as error:
            return str(error)
        return None

    return Choices(lambda: kind_names(table, exact), problem)
