"""What a saved model gives back, turned into answers: the same for one that runs here and for one behind a service."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cnnapp.results import Answer, Classification, Detections, Segmentation

__all__ = ["TASKS", "to_answers", "undecodable"]

TASKS = {
    "classification": ("scores",),
    "detection": ("boxes", "scores", "class_ids", "num_detections"),
    "segmentation": ("class_map", "confidence", "sizes"),
}
"""The outputs of ``serving_default`` that an answer is made of, by task."""


def to_answers(
    task: str, outputs: Mapping[str, np.ndarray], names: Sequence[str], classes: Sequence[str]
) -> Iterator[Answer]:
    """Turn the outputs of one call into an answer an image.

    Args:
        task: of the model, one of `TASKS`.
        outputs: of ``serving_default``, by name, for ``len(names)`` images.
        names: how the answers call the images.
        classes: the names of all classes.

    Yields:
        The answers, in order.

    Example:
        >>> print(*to_answers("classification", {"scores": np.array([[0.25, 0.75]])}, ["a.png"], ["cat", "dog"]))
        a.png: dog (75.0 %), cat (25.0 %)
    """
    classes = tuple(classes)
    for name, *columns in zip(names, *(outputs[key] for key in TASKS[task]), strict=True):
        if task == "detection":
            boxes, scores, class_ids, count = columns
            yield Detections(name, boxes[:count], scores[:count], class_ids[:count], classes)
        elif task == "segmentation":
            class_map, confidence, (height, width) = columns
            yield Segmentation(name, class_map[:height, :width], confidence[:height, :width], classes)
        else:
            yield Classification(name, columns[0], classes)


def undecodable(error: Exception) -> str:
    """Say why TensorFlow refuses an image.

    Args:
        error: what it raised.

    Returns:
        A clause, with the line of its message that speaks of the image.
    """
    lines = [re.sub(r"\{\{.*?\}\}|\[\[.*|\[Op:.*?\]", "", line).strip() for line in str(error).splitlines()]
    noise = ("Graph execution error", "Detected at node", "<stack traces", "File ")
    telling = [line for line in lines if line and not line.startswith(noise)]
    return f"the image cannot be decoded: {telling[0] if telling else 'TensorFlow refuses it'}"
