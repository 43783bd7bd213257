"""Two models on the same images: where they agree, where they differ and by how much, and who is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnapp.results.answer import Answer, Difference
from pipelines.core import extras
from pipelines.core.errors import ConfigError
from pipelines.core.percent import percent

if TYPE_CHECKING:
    from pipelines.artifacts.model_card import ModelCard

__all__ = ["Verdict", "common_classes", "comparable", "compare", "ranked", "verdict"]


def common_classes(first: ModelCard, second: ModelCard) -> list[str]:
    """Return the names of the classes that two models share.

    Raises:
        ConfigError: if they are of different tasks, or share none of those that they have.
    """
    names = f"{first.name}/{first.version} and {second.name}/{second.version}"
    if first.task != second.task:
        raise ConfigError(f"{names}: are for {first.task} and for {second.task}; only models of one task are compared")
    shared = [name for name in first.classes if name in set(second.classes)]
    if not comparable(first, second):
        raise ConfigError(
            f"{names}: have no class in common, so that they never agree; choose two that know the same classes"
        )
    return shared


def comparable(first: ModelCard, second: ModelCard) -> bool:
    """Return whether two models can be compared: they are of one task, and share classes where it has any.

    Args:
        first: the card of one.
        second: of the other.
    """
    # Of a task without classes there is nothing that only one of them knows.
    unlike = set(first.classes).isdisjoint(second.classes) and bool(first.classes or second.classes)
    return first.task == second.task and not unlike


def compare(first: Answer, second: Answer) -> Difference:
    """Compare two answers for one image. Classes are the same where their names are.

    Args:
        first: of the first model.
        second: of the second model.

    Raises:
        ConfigError: if they are of different tasks.
        DataError: if they are of images of different sizes.
    """
    if type(first) is not type(second):
        kinds = f"{type(first).__name__} and {type(second).__name__}"
        raise ConfigError(f"received {kinds}; expected two answers of one task")
    return first.compare(second)


def ranked(differences: Sequence[Difference]) -> list[Difference]:
    """Return differences with the largest first; those that say something else are before all that agree."""
    return sorted(differences, key=lambda each: (each.agrees, -each.amount))


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
        A right: 92 of 100, B right: 82 of 100; 12 right only by A, 2 only by B. A gap this large arises by chance \
1.3 % of the time: A is better.
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
        chance = f"{self.chance * 100:.2g} %" if self.chance < 0.1 else percent(self.chance, 0)
        better = "A" if self.first_only > self.second_only else "B"
        found = f"{better} is better" if self.chance < 0.05 else "these images do not show which is better"
        return (
            f"A right: {ones:,} of {self.images:,}, B right: {others:,} of {self.images:,}; {self.first_only:,} right "
            f"only by A, {self.second_only:,} only by B. A gap this large arises by chance {chance} of the time: "
            f"{found}."
        )


def verdict(differences: Sequence[Difference], labels: Sequence[str]) -> Verdict:
    """Say which of two classifiers is right more often, by McNemar's test in its exact form.

    Only images that one is right for and the other wrong tell the two apart; if they were equally good, each of those
    would be the one's or the other's like the throw of a coin.

    Args:
        differences: one an image, of answers that name one class each.
        labels: the names of the true classes, in the same order.

    Raises:
        ValueError: if there are not as many labels as differences, or an answer names no class.

    Reference:
        McNemar (1947), "Note on the sampling error of the difference between correlated proportions or percentages".
        Dietterich (1998), "Approximate Statistical Tests for Comparing Supervised Classification Learning Algorithms".
    """
    extras.need("the comparison of two classifiers", "ui", "scipy")
    from scipy.stats import binomtest

    pairs = [each.right(label) for each, label in zip(differences, labels, strict=True)]
    if None in pairs:
        raise ValueError("differences: expected answers that name one class each")
    first_only, second_only = pairs.count((True, False)), pairs.count((False, True))
    uneven = first_only + second_only
    chance = float(binomtest(first_only, uneven).pvalue) if uneven else 1.0
    return Verdict(len(pairs), pairs.count((True, True)), first_only, second_only, pairs.count((False, False)), chance)
