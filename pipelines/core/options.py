"""Fields of a configuration as options: what the command line needs to know of a field besides its type."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import annotated_types
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from pipelines.core.choices import Choices

__all__ = ["GROUPS", "Joined", "Option", "option", "options_of"]

GROUPS: dict[str, str] = {
    "data": "Data",
    "network": "Network",
    "training": "Training",
    "augmentation": "Augmentation",
    "run": "Run",
}
"""The groups of options in the order in which a help text shows them, with their headings."""

_KEY = "option"
_OTHERWISE_GROUP = "training"


@dataclass(frozen=True)
class Joined:
    """Stands in the annotation of a field of several parts: how they are joined where they are written as one word.

    Args:
        by: the text between two parts.
        shown: the form of such a value, for a help text.

    Example:
        Size = Annotated[tuple[int, int], Joined("x", "SIZE")]  # 64x96
    """

    by: str
    shown: str


@dataclass(frozen=True)
class Option:
    """A field of a configuration, as the command line and its help see it.

    Args:
        name: of the field.
        kind: what a word of the command line is read as: bool, int, float, Path or str; the configuration reads on.
        default: of the field.
        help: what it is, with its choices or its range.
        group: a key of :data:`GROUPS`.
        common: whether it is among the options that are used most.
        otherwise: what is chosen where it is left out, in words; empty where the default says it.
        required: whether the command line asks for it, though the configuration has a default.
        joined: how its parts are joined in writing; None for a value of one part.
    """

    name: str
    kind: type
    default: Any
    help: str
    group: str
    common: bool
    otherwise: str
    required: bool
    joined: Joined | None

    @property
    def flag(self) -> str:
        """The option as it is written: ``--batch-size``."""
        return f"--{self.name.replace('_', '-')}"

    def words(self, value: Any) -> list[str]:
        """Write a value as words of a command line.

        Example:
            >>> size = Option("image_size", str, None, "", "network", False, "", False, Joined("x", "SIZE"))
            >>> size.words((64, 96)), size.words((32, 32))
            (['--image-size', '64x96'], ['--image-size', '32'])
        """
        if isinstance(value, bool):
            return [self.flag if value else f"--no-{self.flag[2:]}"]
        return [self.flag, self.text(value)]

    def text(self, value: Any) -> str:
        """Write a value as one word."""
        if self.joined is not None and isinstance(value, (tuple, list)):
            parts = list(dict.fromkeys(value)) if self.joined.by == "x" else value
            return self.joined.by.join(map(_text, parts))
        return _text(value)


def option(
    default: Any,
    description: str,
    *,
    group: str,
    common: bool = False,
    otherwise: str = "",
    required: bool = False,
    **constraints: Any,
) -> Any:
    """Return a pydantic field that is an option of the command line too.

    Args:
        default: of the field.
        description: what it is, as a sentence.
        group: a key of :data:`GROUPS`.
        common: put it among the options that the help shows first.
        otherwise: what is chosen where it is left out, for a default of None.
        required: ask for it on the command line all the same.
        **constraints: of :func:`pydantic.Field`, such as ``ge=1``; the help shows them.

    Example:
        epochs: int | None = option(None, "Passes over the images.", group="training", otherwise="by size", ge=1)
    """
    if group not in GROUPS:
        raise ValueError(f"group: received {group!r}; expected one of {', '.join(GROUPS)}")
    known: Any = {"group": group, "common": common, "otherwise": otherwise, "required": required}
    return Field(default, description=description, json_schema_extra={_KEY: known}, **constraints)


def options_of(config: type[BaseModel]) -> dict[str, Option]:
    """Return the options of a configuration: those of a group together, in the order of :data:`GROUPS`.

    A plain ``Field`` is an option as well; it is then one of training.

    Args:
        config: the class of the configuration.

    Example:
        >>> from pipelines.training.config import TrainingConfig
        >>> options_of(TrainingConfig)["epochs"].help
        'Maximum number of passes over the training images. At least 1.'
    """
    found = [_option(name, field, _said(config, name)) for name, field in config.model_fields.items()]
    order = list(GROUPS)
    return {each.name: each for each in sorted(found, key=lambda each: order.index(each.group))}


def _said(config: type[BaseModel], name: str) -> tuple[str, dict[str, Any]]:
    """Return the description of a field and what :func:`option` keeps beside it.

    A class that gives a field of its base another default, and says nothing else of it, means the same option.
    """
    models = [base for base in config.__mro__ if issubclass(base, BaseModel)]
    fields = [base.model_fields[name] for base in models if name in base.model_fields]
    descriptions = [field.description for field in fields if field.description]
    extras: list[Any] = [field.json_schema_extra for field in fields if isinstance(field.json_schema_extra, dict)]
    known: list[dict[str, Any]] = [extra[_KEY] for extra in extras if _KEY in extra]
    return next(iter(descriptions), ""), next(iter(known), {})


def _option(name: str, field: FieldInfo, said: tuple[str, dict[str, Any]]) -> Option:
    description, known = said
    parts = list(_parts(field.annotation, field.metadata))
    joined = next((part for part in parts if isinstance(part, Joined)), None)
    choices = _choices(field.annotation) or next((part.names() for part in parts if isinstance(part, Choices)), ())
    sentences = [description, f"One of: {', '.join(map(str, choices))}." if choices else _range(parts)]
    return Option(
        name=name,
        kind=str if joined else _kind(field.annotation, choices),
        default=field.get_default(call_default_factory=True, validated_data={}),
        help=" ".join(filter(None, sentences)),
        group=known.get("group", _OTHERWISE_GROUP),
        common=known.get("common", False),
        otherwise=known.get("otherwise", ""),
        required=known.get("required", False) or field.is_required(),
        joined=joined,
    )


def _parts(annotation: Any, metadata: list[Any]) -> Iterator[Any]:
    """Give what stands beside the types of an annotation, the outermost first."""
    for each in (*metadata, *getattr(annotation, "__metadata__", ())):
        yield from each.metadata if isinstance(each, FieldInfo) else (each,)
    for part in typing.get_args(annotation):
        if part is not Ellipsis and typing.get_origin(annotation) is not Literal:
            yield from _parts(part, [])


def _choices(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) is Literal:
        return typing.get_args(annotation)
    return tuple(value for part in typing.get_args(annotation) for value in _choices(part))


def _kind(annotation: Any, choices: tuple[Any, ...]) -> type:
    """Return what a word is read as; whatever is more than a number, a path or a switch stays a word."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _kind(typing.get_args(annotation)[0], choices)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = {_kind(part, _choices(part)) for part in typing.get_args(annotation) if part is not type(None)}
        return kinds.pop() if len(kinds) == 1 else str
    if choices:
        return int if all(isinstance(choice, int) for choice in choices) else str
    return annotation if annotation in (bool, int, float, Path) else str


def _range(parts: list[Any]) -> str:
    """Say which numbers a field takes: ``Above 0, at most 16.``"""
    lower = next((part for part in parts if isinstance(part, (annotated_types.Ge, annotated_types.Gt))), None)
    upper = next((part for part in parts if isinstance(part, (annotated_types.Le, annotated_types.Lt))), None)
    words = []
    if isinstance(lower, annotated_types.Ge) and isinstance(upper, annotated_types.Le):
        words = [f"{_number(lower.ge)} to {_number(upper.le)}"]
    else:
        if lower is not None:
            words += [f"at least {_number(lower.ge)}" if isinstance(lower, annotated_types.Ge) else f"above {lower.gt}"]
        if upper is not None:
            words += [f"at most {_number(upper.le)}" if isinstance(upper, annotated_types.Le) else _below(upper)]
    text = ", ".join(words)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _below(upper: annotated_types.Lt) -> str:
    return f"below {_number(upper.lt)}"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
