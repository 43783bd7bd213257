"""The choice of a device: ``auto``, ``cpu``, ``gpu`` or ``gpu:N``. It reaches other processes by a variable."""

from __future__ import annotations

import os
import re
from types import ModuleType
from typing import Any

from pipelines.core.errors import ConfigError

__all__ = ["VARIABLE", "apply", "asks_for_gpu", "check"]

VARIABLE = "CNNAPP_DEVICE"
"""The environment variable that holds the choice; services, replicas and the page inherit it."""

_FORM = re.compile(r"auto|cpu|gpu(?::(\d+))?")


def check(device: str) -> str:
    """Refuse what is no name of a device; whether there is such a device is known by :func:`apply` alone.

    Args:
        device: ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.

    Returns:
        The device.

    Raises:
        ConfigError: for any other text.

    Example:
        >>> check("gpu:1")
        'gpu:1'
    """
    if not _FORM.fullmatch(device):
        raise ConfigError(f"device: received {device!r}; expected auto, cpu, gpu (all of them) or gpu:N (one)")
    return device


def asks_for_gpu() -> bool:
    """Say whether a GPU was asked for, so that who only starts other processes can look first whether there is one."""
    return _choice().startswith("gpu")


def apply(tensorflow: ModuleType) -> None:
    """Show TensorFlow the devices of the choice alone. It must not have used a device yet.

    Args:
        tensorflow: the module.

    Raises:
        ConfigError: if there is no such device, with those that there are; or if TensorFlow uses others already.
    """
    device = _choice()
    if device == "auto":
        return
    gpus = tensorflow.config.list_physical_devices("GPU")
    wanted = [] if device == "cpu" else _chosen(device, gpus)
    if tensorflow.config.get_visible_devices("GPU") == wanted:
        return
    try:
        tensorflow.config.set_visible_devices(wanted, "GPU")
    except RuntimeError:
        raise ConfigError(f"device: TensorFlow runs already, on other devices than {device}; start anew") from None


def _choice() -> str:
    return check(os.environ.get(VARIABLE, "").strip().lower() or "auto")


def _chosen(device: str, gpus: list[Any]) -> list[Any]:
    number = _FORM.fullmatch(device)[1]  # type: ignore[index]
    if gpus and number is None:
        return gpus
    if number is not None and int(number) < len(gpus):
        return [gpus[int(number)]]
    there = ", ".join(["cpu", *(f"gpu:{index}" for index in range(len(gpus)))])
    raise ConfigError(f"device: received {device!r}; this machine has {there}. Choose one of them, or auto")
