"""The networks by name: backbones, and what is built on them for a task.

Importing this package imports neither TensorFlow nor Keras; the first use of one of its functions does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.core.lazy import lazily
from pipelines.models.backbones import BACKBONES, backbone_names, find_backbone
from pipelines.models.segmenters import SEGMENTERS, find_segmenter, own_options, segmenter_names

if TYPE_CHECKING:
    from pipelines.models.classifiers import classifier
    from pipelines.models.detectors.window_detector import detector

__all__ = [
    "BACKBONES",
    "SEGMENTERS",
    "backbone_names",
    "classifier",
    "detector",
    "find_backbone",
    "find_segmenter",
    "own_options",
    "segmenter_names",
]

__getattr__ = lazily(
    __name__,
    {"classifier": "pipelines.models.classifiers", "detector": "pipelines.models.detectors.window_detector"},
)
