"""What makes a class of a family public: a registered name, and a docstring in the words of its rank."""

from __future__ import annotations

import inspect
import re
import string
from typing import TypeVar

import keras

__all__ = ["public"]

_Layer = TypeVar("_Layer", bound=type)

_AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_SIDES = {"length": "(before, after)", "depth": "(front, back)", "height": "(top, bottom)", "width": "(left, right)"}


def public(layer_class: _Layer) -> _Layer:
    """Register a layer as `cnnapp>Name`, and complete its docstring from its family's.

    The class's own docstring is its summary. What follows comes from the docstring of the class it extends, without
    that one's first line, with these words replaced:

    - `$name`, `$rank`: of the class;
    - `$ints`: "int or (height, width)" and the like; `$pairs`: "((top, bottom), (left, right))" and the like;
    - `$axes`: "height, width"; `$new_axes`: "new height, new width";
    - `$n8`: the number 8 once an axis, "8, 8", for shapes in examples;
    - `$inherited`: the arguments that the family's own base class documents.

    Args:
        layer_class: a subclass of a family, which has the class attribute `rank`.

    Returns:
        The same class.
    """
    family, rank = layer_class.__bases__[0], layer_class.rank  # type: ignore[attr-defined]
    if layer_class.__doc__ and family.__doc__:  # there are none under python -OO
        summary, body = inspect.cleandoc(layer_class.__doc__), inspect.cleandoc(family.__doc__)
        body = body.partition("\n")[2].strip("\n")
        body = body.replace("$inherited", _arguments(family.__bases__[0]))
        words = {**_words(rank), "name": layer_class.__name__}
        layer_class.__doc__ = f"{summary}\n\n{string.Template(body).substitute(words)}\n"
    keras.saving.register_keras_serializable(package="cnnapp")(layer_class)
    return layer_class


def _words(rank: int) -> dict[str, str]:
    axes = _AXES[rank]
    sides = ", ".join(_SIDES[axis] for axis in axes)
    return {
        "rank": str(rank),
        "ints": "int" if rank == 1 else f"int or ({', '.join(axes)})",
        "pairs": f"({sides},)" if rank == 1 else f"({sides})",
        "axes": ", ".join(axes),
        "new_axes": ", ".join(f"new {axis}" for axis in axes),
        **{f"n{number}": ", ".join([str(number)] * rank) for number in range(1, 65)},
    }


def _arguments(base: type) -> str:
    """Return the documented arguments of a class but `**kwargs`, to stand four spaces in."""
    found = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", inspect.cleandoc(base.__doc__ or ""), re.M | re.S)
    return re.sub(r"^    \*\*kwargs:.*", "", found[1], flags=re.M | re.S).strip() if found else ""
