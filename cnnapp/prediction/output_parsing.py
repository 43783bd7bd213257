"""What a saved model gives back, turned into answers: the same for one that runs here and for one behind a service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cnnapp.results.answer import Answer
from cnnapp.results.table import answer_type

__all__ = ["from_answers", "to_answers"]


def to_answers(
    task: str, outputs: Mapping[str, np.ndarray], names: Sequence[str], classes: Sequence[str]
) -> Iterator[Answer]:
    """Turn the outputs of one call into an answer an image.

    Args:
        task: of the model.
        outputs: of ``serving_default``, by name, for ``len(names)`` images.
        names: how the answers call the images.
        classes: the names of all classes.

    Returns:
        The answers, in order.

    Example:
        >>> print(*to_answers("classification", {"scores": np.array([[0.25, 0.75]])}, ["a.png"], ["cat", "dog"]))
        a.png: dog (75.0 %), cat (25.0 %)
    """
    return answer_type(task).from_outputs(outputs, names, classes)


def from_answers(answers: Sequence[Answer], limit: int = 100) -> dict[str, np.ndarray]:
    """Turn answers back into the outputs of one call, the reverse of :func:`to_answers`.

    Args:
        answers: of one task, for images in order.
        limit: how many detections an image has room for.

    Returns:
        The outputs of ``serving_default``, by name.

    Example:
        >>> answers = to_answers("classification", {"scores": np.array([[0.25, 0.75]])}, ["a.png"], ["cat", "dog"])
        >>> found = from_answers(list(answers))
        >>> found["class_names"].tolist(), found["class_ids"].tolist()
        (['dog'], [1])
    """
    return type(answers[0]).to_outputs(answers, limit)
