"""Two models on the same images: where they agree, where they differ and by how much, and who is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnapp.results.answer import Answer
from cnnapp.results.classification import Classification
from cnnapp.results.detections import Detection, Detections, Segmentation
from pipelines.core import extras
from pipelines.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pipelines.artifacts.model_card import ModelCard

__all__ = [
    "ClassDifference",
    "Difference",
    "ObjectDifference",
    "PixelDifference",
    "Verdict",
    "common_classes",
    "comparable",
    "compare",
    "ranked",
    "verdict",
]

_FOUND = 0.5  # the overlap from which on two boxes are of one object, as in Pascal VOC


@dataclass(frozen=True, eq=False)
class Difference:
    """What two answers for one image have in common; its heirs say of which task.

    Args:
        source: how the image is called.
        amount: how far they differ, 0 to 1.
        agrees: whether they say the same.
    """

    source: str
    amount: float
    agrees: bool


@dataclass(frozen=True, eq=False)
class ClassDifference(Difference):
    """Two classes of one image.

    ``amount`` is the total variation between the scores, half the sum of their absolute differences: the largest
    difference in the probability of any set of classes.
    """

    first: Classification
    second: Classification


@dataclass(frozen=True, eq=False)
class ObjectDifference(Difference):
    """The objects that two detectors found in one image.

    ``amount`` is the share of what was found that has no counterpart with the other.

    Args:
        both: pairs of one object each, with an overlap of at least 0.5 and the same class.
        first_only: what only the first found.
        second_only: likewise.
    """

    first: Detections
    second: Detections
    both: tuple[tuple[Detection, Detection], ...]
    first_only: tuple[Detection, ...]
    second_only: tuple[Detection, ...]


@dataclass(frozen=True, eq=False)
class PixelDifference(Difference):
    """The classes of the pixels of one image.

    ``amount`` is the share of pixels that are of another class.

    Args:
        differs: bool of shape (height, width).
        pairs: which class of the first is which of the second: names, pixels, the most first; those alone that differ.
    """

    first: Segmentation
    second: Segmentation
    differs: np.ndarray
    pairs: tuple[tuple[str, str, int], ...]


def common_classes(first: ModelCard, second: ModelCard) -> list[str]:
    """Return the names of the classes that two models share.

    Raises:
        ConfigError: if they are of different tasks, or share none.
    """
    names = f"{first.name}/{first.version} and {second.name}/{second.version}"
    if first.task != second.task:
        raise ConfigError(f"{names}: are for {first.task} and for {second.task}; only models of one task are compared")
    shared = [name for name in first.classes if name in set(second.classes)]
    if not shared:
        raise ConfigError(
            f"{names}: have no class in common, so that they never agree; choose two that know the same classes"
        )
    return shared


def comparable(first: ModelCard, second: ModelCard) -> bool:
    """Return whether two models can be compared: they are of one task, and share classes.

    Args:
        first: the card of one.
        second: of the other.
    """
    return first.task == second.task and not set(first.classes).isdisjoint(second.classes)


def compare(first: Answer, second: Answer) -> Difference:
    """Compare two answers for one image. Classes are the same where their names are.

    Args:
        first: of the first model.
        second: of the second model.

    Raises:
        ConfigError: if they are of different tasks.
        DataError: if they are of images of different sizes.

    Example:
        >>> first = Classification("a.png", np.array([0.75, 0.25], "float32"), ("cat", "dog"))
        >>> second = Classification("a.png", np.array([0.5, 0.5], "float32"), ("dog", "cat"))
        >>> compare(first, second).amount
        0.25
    """
    if isinstance(first, Classification) and isinstance(second, Classification):
        return _compare_classes(first, second)
    if isinstance(first, Detections) and isinstance(second, Detections):
        return _compare_objects(first, second)
    if isinstance(first, Segmentation) and isinstance(second, Segmentation):
        return _compare_pixels(first, second)
    kinds = f"{type(first).__name__} and {type(second).__name__}"
    raise ConfigError(f"received {kinds}; expected two answers of one task")


def ranked(differences: Sequence[Difference]) -> list[Difference]:
    """Return differences with the largest first; those that say something else are before all that agree."""
    return sorted(differences, key=lambda each: (each.agrees, -each.amount))


def _compare_classes(first: Classification, second: Classification) -> ClassDifference:
    names = _union(first.class_names, second.class_names)
    scores = np.zeros((2, len(names)))
    for row, answer in zip(scores, (first, second), strict=True):
        row[[names[name] for name in answer.class_names]] = answer.scores
    amount = float(np.clip(np.abs(scores[0] - scores[1]).sum() / 2, 0, 1))
    return ClassDifference(first.source, amount, first.class_name == second.class_name, first, second)


def _union(first: Sequence[str], second: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys([*first, *second]))}


def _compare_objects(first: Detections, second: Detections) -> ObjectDifference:
    from pipelines.images.boxes import overlaps

    ones, others = list(first), list(second)
    shares = overlaps(first.boxes.astype(float).reshape(-1, 4), second.boxes.astype(float).reshape(-1, 4))
    same = np.array([[one.class_name == other.class_name for other in others] for one in ones], bool)
    shares = np.where(same.reshape(shares.shape), shares, 0.0)
    pairs = []
    # The pairs that fit best first, so that what is found does not depend on which model is named first.
    for flat in np.argsort(-shares, axis=None, kind="stable"):
        row, column = divmod(int(flat), len(others))
        if shares[row, column] < _FOUND:  # or one of the two has its counterpart already
            continue
        pairs.append((row, column))
        shares[row, :] = shares[:, column] = 0.0
    rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
    alone = len(ones) + len(others) - 2 * len(pairs)
    return ObjectDifference(
        first.source,
        alone / max(len(ones) + len(others), 1),
        not alone,
        first,
        second,
        tuple((ones[row], others[column]) for row, column in pairs),
        tuple(one for number, one in enumerate(ones) if number not in rows),
        tuple(other for number, other in enumerate(others) if number not in columns),
    )


def _compare_pixels(first: Segmentation, second: Segmentation) -> PixelDifference:
    if first.size != second.size:
        raise DataError(f"{first.source}: the two answers are of {first.size} and {second.size} pixels")
    names = _union(first.class_names, second.class_names)
    maps = [
        np.array([names[name] for name in answer.class_names], np.int64)[answer.class_map] for answer in (first, second)
    ]
    differs = maps[0] != maps[1]
    listed = list(names)
    counts = np.bincount((maps[0] * len(names) + maps[1])[differs], minlength=len(names) ** 2)
    order = [int(code) for code in np.argsort(-counts, kind="stable") if counts[code]]
    pairs = tuple((listed[code // len(names)], listed[code % len(names)], int(counts[code])) for code in order)
    share = float(differs.mean()) if differs.size else 0.0
    return PixelDifference(first.source, share, not differs.any(), first, second, differs, pairs)


@dataclass(frozen=True)
class Verdict:
    """Which of two classifiers is right more often, on images whose class is known.

    Args:
        images: how many there are.
        both: how often both are right.
        first_only: how often only the first is.
        second_only: likewise.
        neither: how often none is.
        chance: the probability of so uneven a count, or a more uneven one, between models that are equally good.

    Example:
        >>> print(Verdict(100, 80, 12, 2, 6, 0.013))
        first right: 92 of 100, second right: 82 of 100; only the first 12, only the second 2. If both were equally \
good, chance would make it so uneven in 1.3 % of cases: the first is better.
    """

    images: int
    both: int
    first_only: int
    second_only: int
    neither: int
    chance: float

    def __str__(self) -> str:
        """Return the counts and what follows from them, in words."""
        ones, others = self.both + self.first_only, self.both + self.second_only
        percent = f"{self.chance * 100:.2g}" if self.chance < 0.1 else f"{self.chance * 100:.0f}"
        better = "first" if self.first_only > self.second_only else "second"
        found = f"the {better} is better" if self.chance < 0.05 else "these images do not show which is better"
        return (
            f"first right: {ones:,} of {self.images:,}, second right: {others:,} of {self.images:,}; only the first "
            f"{self.first_only:,}, only the second {self.second_only:,}. If both were equally good, chance would make "
            f"it so uneven in {percent} % of cases: {found}."
        )


def verdict(differences: Sequence[ClassDifference], labels: Sequence[str]) -> Verdict:
    """Say which of two classifiers is right more often, by McNemar's test in its exact form.

    Only images that one is right for and the other wrong tell the two apart; if they were equally good, each of those
    would be the one's or the other's like the throw of a coin.

    Args:
        differences: one an image.
        labels: the names of the true classes, in the same order.

    Raises:
        ValueError: if there are not as many labels as differences.

    Reference:
        McNemar (1947), "Note on the sampling error of the difference between correlated proportions or percentages".
        Dietterich (1998), "Approximate Statistical Tests for Comparing Supervised Classification Learning Algorithms".
    """
    extras.need("the comparison of two classifiers", "ui", "scipy")
    from scipy.stats import binomtest

    pairs = [
        (each.first.class_name == label, each.second.class_name == label)
        for each, label in zip(differences, labels, strict=True)
    ]
    first_only, second_only = pairs.count((True, False)), pairs.count((False, True))
    uneven = first_only + second_only
    chance = float(binomtest(first_only, uneven).pvalue) if uneven else 1.0
    return Verdict(len(pairs), pairs.count((True, True)), first_only, second_only, pairs.count((False, False)), chance)
