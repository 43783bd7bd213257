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
    from cnnapp.prediction.predictor import Predictor, load
    from cnnapp.prediction.remote_predictor import RemotePredictor, connect
    from cnnapp.results.classification import Classification
    from cnnapp.results.detections import Detections
    from cnnapp.results.segmentation import Segmentation

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
    "Classification": "cnnapp.results.classification",
    "Detections": "cnnapp.results.detections",
    "Predictor": "cnnapp.prediction.predictor",
    "RemotePredictor": "cnnapp.prediction.remote_predictor",
    "Segmentation": "cnnapp.results.segmentation",
    "connect": "cnnapp.prediction.remote_predictor",
    "load": "cnnapp.prediction.predictor",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
