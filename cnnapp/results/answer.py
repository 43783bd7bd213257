"""What any model answers."""

from __future__ import annotations

from cnnapp.results.classification import Classification
from cnnapp.results.detections import Detections
from cnnapp.results.segmentation import Segmentation

__all__ = ["Answer"]

Answer = Classification | Detections | Segmentation
"""What a model says of one image, by its task."""
