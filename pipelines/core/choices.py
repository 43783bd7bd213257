"""A field of a configuration whose value is a name in a table, which code from outside may have added to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

__all__ = ["Choices"]


@dataclass(frozen=True)
class Choices:
    """The names that a text field can take, as metadata of its type: ``Annotated[str, Choices(names)]``.

    Args:
        names: gives the names, when they are asked for.
        problem: says what is wrong with a value that is none of the names; None where it is right all the same, such as
            a name with a number behind it, and empty where nothing is known of it.

    Example:
        >>> from typing import Annotated
        >>> from pydantic import TypeAdapter
        >>> TypeAdapter(Annotated[str, Choices(lambda: ("red", "blue"))]).validate_python("red")
        'red'
    """

    names: Callable[[], tuple[str, ...]]
    problem: Callable[[str], str | None] = lambda value: ""

    def check(self, value: str) -> str:
        """Return the value.

        Raises:
            PydanticCustomError: if it is no name; of the type "unknown_name", or "unfit_name" with what is wrong.
        """
        if value in self.names():
            return value
        problem = self.problem(value)
        if problem is None:
            return value
        if problem:
            raise PydanticCustomError("unfit_name", "{problem}", {"problem": problem})
        raise PydanticCustomError("unknown_name", "is not among the names there are")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate the text first, and then that it is a name."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))
