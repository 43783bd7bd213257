"""Images with labels that are at hand without a file: those that are embedded."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from cnnapp.results.table import answer_type

__all__ = ["LABELLED", "labelled_images"]

LABELLED = ("Labelled digits",)
"""What they are called where they are offered."""


def labelled_images(name: str, classes: Collection[str], task: str) -> list[tuple[str, bytes, str | None]] | None:
    """Return labelled images by one of the names in ``LABELLED``.

    Args:
        name: of the images.
        classes: that a model knows.
        task: of the model.

    Returns:
        (name, bytes, name of the class); None where the model does not know all of their classes.

    Example:
        >>> len(labelled_images("Labelled digits", list("0123456789"), "classification"))
        280
    """
    if name not in LABELLED or not answer_type(task).one_class or not set(map(str, range(10))) <= set(classes):
        return None
    return list(_digits())


@cache
def _digits() -> tuple[tuple[str, bytes, str | None], ...]:
    """Return the test images of the embedded digits, as they are divided with seed 0."""
    from pipelines.data.embedded import digits

    splits = digits.load(0)
    return tuple((f"{one.id}.png", one.image, splits.classes[one.label]) for one in splits.test.examples())
