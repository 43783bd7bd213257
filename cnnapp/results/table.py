"""The one table from task to what its models answer. Adding one is a class, and a row."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib import import_module
from typing import Any

from cnnapp.results.answer import Answer
from pipelines.core.errors import ConfigError, unknown
from pipelines.core.plugins import VARIABLE, load_plugins

__all__ = ["ANSWERS", "answer_type", "imported", "task_of"]

ANSWERS: dict[str, str] = {
    "classification": "cnnapp.results.classification:Classification",
    "detection": "cnnapp.results.detections:Detections",
    "segmentation": "cnnapp.results.segmentation:Segmentation",
}
"""From the name of a task to the type of its answers, as ``module:class``; imported when it is first asked for."""


def answer_type(task: str) -> type[Answer]:
    """Return the type of the answers of a task.

    Args:
        task: as on cards.

    Raises:
        ConfigError: if no type is known for it, with how to make one known.

    Example:
        >>> answer_type("detection").outputs
        ('boxes', 'scores', 'class_ids', 'num_detections')
    """
    load_plugins()
    if task not in ANSWERS:
        raise ConfigError(
            f"{unknown('task', task, ANSWERS)} A task of your own is known when its module, which adds a row to "
            f"cnnapp.results.table.ANSWERS, is named in {VARIABLE}, such as {VARIABLE}=my_package.{_word(task)}"
        )
    return imported(ANSWERS[task])  # type: ignore[no-any-return]


def task_of(outputs: Collection[str]) -> str | None:
    """Return the task whose answers are made of a model's outputs; None where there is no such task.

    Args:
        outputs: names of those of ``serving_default``. Where several tasks fit it is the one that needs most of them: a
            detector has scores, as a classifier has.

    Example:
        >>> task_of(["scores", "class_ids", "class_names"]), task_of(["depth"])
        ('classification', None)
    """
    load_plugins()
    fitting = [task for task in ANSWERS if set(answer_type(task).outputs) <= set(outputs)]
    return max(fitting, key=lambda task: len(answer_type(task).outputs), default=None)


@cache
def imported(path: str) -> Any:
    """Import what a row of a table names, once.

    Args:
        path: ``module:name``.
    """
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _word(task: str) -> str:
    """Return a task's name as that of a module."""
    return "".join(letter if letter.isalnum() else "_" for letter in task)
