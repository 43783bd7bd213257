"""What a saved model gives back, turned into answers: the same for one that runs here and for one behind a service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cnnapp.results.answer import Answer
from cnnapp.results.classification import Classification
from cnnapp.results.detections import Detections, Segmentation
from pipelines.images.masks import IGNORED

__all__ = ["TASKS", "from_answers", "to_answers"]

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


def from_answers(answers: Sequence[Answer], limit: int = 100) -> dict[str, np.ndarray]:
    """Turn answers back into the outputs of one call, the reverse of :func:`to_answers`.

    Args:
        answers: of one task, for images in order.
        limit: how many detections an image has room for.

    Returns:
        The outputs of ``serving_default``, by name.

    Example:
        >>> found = from_answers([Classification("a.png", np.array([0.25, 0.75], "float32"), ("cat", "dog"))])
        >>> found["class_names"].tolist(), found["class_ids"].tolist()
        (['dog'], [1])
    """
    if isinstance(answers[0], Classification):
        found = [one for one in answers if isinstance(one, Classification)]
        return {
            "scores": np.stack([one.scores for one in found]),
            "class_ids": np.array([one.class_id for one in found], np.int64),
            "class_names": np.array([one.class_name for one in found], object),
        }
    if isinstance(answers[0], Detections):
        several = [one for one in answers if isinstance(one, Detections)]
        names = [[one.class_names[number] for number in one.class_ids] for one in several]
        return {
            "boxes": np.stack([np.pad(one.boxes, ((0, limit - len(one)), (0, 0))) for one in several]),
            "scores": np.stack([np.pad(one.scores, (0, limit - len(one))) for one in several]),
            "class_ids": np.stack([np.pad(one.class_ids, (0, limit - len(one))) for one in several]),
            "class_names": np.array([row + [""] * (limit - len(row)) for row in names], object),
            "num_detections": np.array([len(one) for one in several], np.int32),
        }
    maps = [one for one in answers if isinstance(one, Segmentation)]
    sizes = np.array([one.class_map.shape for one in maps], np.int32)
    beyond = [np.stack([[0, 0], sizes.max(axis=0) - size], axis=1) for size in sizes]
    return {
        "class_map": np.stack(
            [np.pad(one.class_map, pad, constant_values=IGNORED) for one, pad in zip(maps, beyond, strict=True)]
        ),
        "confidence": np.stack([np.pad(one.confidence, pad) for one, pad in zip(maps, beyond, strict=True)]),
        "sizes": sizes,
    }
