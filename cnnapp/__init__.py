"""Saved models, ready to answer.

::

    import cnnapp

    model = cnnapp.load("digits")
    for answer in model.predict(["seven.png", "three.png"]):
        print(answer)

Importing this package imports neither TensorFlow nor Keras; the first :func:`load` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.core.errors import CnnAppError, ConfigError, DataError, ModelError, ServiceError

if TYPE_CHECKING:
    from cnnapp.predictor import Predictor, load
    from cnnapp.remote import RemotePredictor, connect
    from cnnapp.results import Classification, Detections
    from cnnapp.segmented import Segmentation

__all__ = [
    "Classification",
    "CnnAppError",
    "ConfigError",
    "DataError",
    "Detections",
    "ModelError",
    "Predictor",
    "RemotePredictor",
    "Segmentation",
    "ServiceError",
    "connect",
    "load",
]

_LAZY = {
    "Classification": "cnnapp.results",
    "Detections": "cnnapp.results",
    "Predictor": "cnnapp.predictor",
    "RemotePredictor": "cnnapp.remote",
    "Segmentation": "cnnapp.segmented",
    "connect": "cnnapp.remote",
    "load": "cnnapp.predictor",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
