"""Networks that turn an image into features, and the one table of them.

Adding one is a module with a function and its :class:`pipelines.models.backbones.backbone.Backbone`, and a row.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from pipelines.core.errors import ConfigError, unknown
from pipelines.core.plugins import load_plugins

if TYPE_CHECKING:
    from pipelines.models.backbones.backbone import Backbone

__all__ = ["BACKBONES", "backbone_names", "find_backbone"]

BACKBONES: dict[str, str] = {
    "convnet": "pipelines.models.backbones.convnet:CONVNET",
    "lenet5": "pipelines.models.backbones.lenet5:LENET5",
    "window": "pipelines.models.backbones.window:WINDOW",
    "unet": "pipelines.models.backbones.unet_encoder:UNET",
    "fcn": "pipelines.models.backbones.fcn_stages:FCN",
    "front": "pipelines.models.backbones.front:FRONT",
}
"""From the name of a backbone to it, as ``module:object``. It is imported when the backbone is first asked for."""


def backbone_names() -> tuple[str, ...]:
    """Return the names of all backbones, those of ``CNNAPP_IMPORT`` among them."""
    load_plugins()
    return tuple(BACKBONES)


def find_backbone(name: str) -> Backbone:
    """Return a backbone by name.

    Raises:
        ConfigError: if there is none of that name, with the nearest one.

    Example:
        >>> find_backbone("convnet").head
        'average'
    """
    load_plugins()
    if name not in BACKBONES:
        raise ConfigError(unknown("backbone", name, BACKBONES))
    return _imported(BACKBONES[name])


@cache
def _imported(path: str) -> Backbone:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)  # type: ignore[no-any-return]
