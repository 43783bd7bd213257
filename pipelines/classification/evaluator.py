"""How good a saved classifier is, measured through its own signature."""

from __future__ import annotations

from itertools import islice

import numpy as np
import tensorflow as tf

from pipelines.artifacts.served_model import ServedModel
from pipelines.classification.metrics import classification_figures
from pipelines.classification.plots import Mistake, confusion_picture, mistakes_picture
from pipelines.core.errors import DataError
from pipelines.core.percent import percent
from pipelines.core.progress import Reporter
from pipelines.core.tensorflow_errors import undecodable
from pipelines.data import Example, Split
from pipelines.reporting.report import Report, reliability_picture
from pipelines.reporting.statistics import calibration

__all__ = ["evaluate"]

_WORST = 24


def evaluate(served: ServedModel, split: Split[int], reporter: Reporter | None = None) -> Report:
    """Measure a saved model on a split, through its own signature, from the encoded bytes on.

    Args:
        served: the model.
        split: its labels are indices into the model's classes.
        reporter: where progress is shown.

    Returns:
        Accuracy with its 95 % interval, precision, recall and F1 a class, confusion matrix, calibration, the worst
        mistakes.

    Raises:
        DataError: if the split is empty, or an image cannot be decoded.
    """
    classes = tuple(served.card.classes)
    labels, scores, worst = _answers(served, split, reporter or Reporter())
    figures = classification_figures(labels, scores, classes)
    low, high = figures["accuracy_95"]
    overview = [
        ["figure", "value"],
        ["images", f"{len(labels):,}"],
        ["accuracy", f"{percent(figures['accuracy'])} (95 % interval {percent(low)} to {percent(high)})"],
        ["macro F1", f"{figures['macro_f1']:.4f}"],
        ["log loss", f"{figures['log_loss']:.4f}"],
        ["expected calibration error", f"{figures['expected_calibration_error']:.4f}"],
    ]
    per_class = [["class", "precision", "recall", "F1", "images"]]
    per_class += [
        [label, f"{row['precision']:.4f}", f"{row['recall']:.4f}", f"{row['f1']:.4f}", str(row["support"])]
        for label, row in figures["classes"].items()
    ]
    pictures = [
        confusion_picture(np.array(figures["confusion"]), classes),
        reliability_picture(calibration(labels, scores)),
    ]
    if worst:
        pictures.append(mistakes_picture(worst))
    title = f"{served.card.name}/{served.card.version} on the {split.name} images"
    return Report(title, figures, {"Overview": overview, "Classes": per_class}, pictures)


def _answers(
    served: ServedModel, split: Split[int], reporter: Reporter
) -> tuple[np.ndarray, np.ndarray, list[Mistake]]:
    if not split.size:
        raise DataError(f"the {split.name} part holds no image")
    classes = served.card.classes
    labels: list[int] = []
    scores: list[np.ndarray] = []
    wrong: list[tuple[float, Mistake]] = []
    with reporter.meter(f"Analysing {split.name} images", split.size) as meter:
        examples = split.examples()
        while chunk := list(islice(examples, 128)):
            found = served_scores(served, chunk)
            labels += [example.label for example in chunk]
            scores.append(found)
            for example, row in zip(chunk, found, strict=True):
                answer = int(row.argmax())
                if answer != example.label:
                    text = f"{classes[example.label]}\nclassified as {classes[answer]} ({percent(row[answer], 0)})"
                    wrong.append((float(row[answer]), Mistake(example.image, text)))
            wrong = sorted(wrong, key=lambda pair: -pair[0])[:_WORST]
            meter.advance(len(chunk))
    return np.array(labels), np.concatenate(scores), [mistake for _, mistake in wrong]


def served_scores(served: ServedModel, examples: list[Example[int]]) -> np.ndarray:
    """Return the scores of a saved model for examples; a ``DataError`` names the one that is no image."""
    try:
        return served([example.image for example in examples])["scores"]
    except tf.errors.InvalidArgumentError as error:
        if len(examples) == 1:
            raise DataError(f"{examples[0].id}: {undecodable(error)}") from None
        return np.concatenate([served_scores(served, [example]) for example in examples])
