"""Networks that judge every pixel of an image, and the one table of them.

Adding one is a module with a function, and a row. The function takes the channels of the images, the number of classes
and, by keyword, ``backbone``, ``conv``, ``pool``, ``norm``, ``mean``, ``deviation``, and those options of
``SegmentationConfig`` that it has a use for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import ConfigError, unknown
from pipelines.core.plugins import load_plugins

if TYPE_CHECKING:
    import keras

__all__ = ["SEGMENTERS", "find_segmenter", "own_options", "segmenter_names"]

SEGMENTERS: dict[str, str] = {
    "unet": "pipelines.models.segmenters.unet:unet",
    "fcn": "pipelines.models.segmenters.fcn:fcn",
    "dilated": "pipelines.models.segmenters.dilated_context:dilated",
    "aspp": "pipelines.models.segmenters.dilated_context:aspp",
}
"""From the name of a network to its function, as ``module:function``, imported when it is first asked for."""

_SHARED = {"channels", "classes", "backbone", "conv", "pool", "norm", "mean", "deviation"}


def segmenter_names() -> tuple[str, ...]:
    """Return the names of all networks of segmentation, those of ``CNNAPP_IMPORT`` among them."""
    load_plugins()
    return tuple(SEGMENTERS)


def find_segmenter(name: str) -> Callable[..., keras.Model]:
    """Return the function that builds a network of segmentation.

    Raises:
        ConfigError: if there is none of that name, with the nearest one.
    """
    load_plugins()
    if name not in SEGMENTERS:
        raise ConfigError(unknown("model", name, SEGMENTERS))
    return _imported(SEGMENTERS[name])


def own_options(segmenter: Callable[..., Any]) -> tuple[str, ...]:
    """Return the options that a network has besides those that all have.

    Example:
        >>> own_options(lambda channels, classes, head=8, **shared: None)
        ('head',)
    """
    parameters = inspect.signature(segmenter).parameters.values()
    return tuple(p.name for p in parameters if p.name not in _SHARED and p.kind is not p.VAR_KEYWORD)


@cache
def _imported(path: str) -> Callable[..., keras.Model]:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)  # type: ignore[no-any-return]
