"""The one table of tasks. Adding one is a class with the hooks of :class:`pipelines.training.task.Task`, and a row."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from pipelines.core.errors import ConfigError, unknown
from pipelines.core.plugins import load_plugins
from pipelines.training.task import Task

__all__ = ["TASKS", "find_task", "task_names"]

TASKS: dict[str, str] = {
    "classification": "pipelines.classification.task:Classification",
    "detection": "pipelines.detection.task:Detection",
    "segmentation": "pipelines.segmentation.task:Segmentation",
}
"""From the name of a task to its class, as ``module:class``. It is imported when the task is first asked for."""


def task_names() -> tuple[str, ...]:
    """Return the names of all tasks, those of ``CNNAPP_IMPORT`` among them."""
    load_plugins()
    return tuple(TASKS)


def find_task(name: str) -> Task:
    """Return a task by name.

    Raises:
        ConfigError: if there is none of that name, with the nearest one.

    Example:
        >>> find_task("classification").summary
        'one class for each image'
    """
    load_plugins()
    if name not in TASKS:
        raise ConfigError(unknown("task", name, TASKS))
    return _imported(TASKS[name])


@cache
def _imported(path: str) -> Task:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)()  # type: ignore[no-any-return]
