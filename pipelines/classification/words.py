"""What cards and reports say of a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.core.percent import percent
from pipelines.reporting.words import SURE, Described, Found, Words, count, listed, number, share

if TYPE_CHECKING:
    from pipelines.reporting.report import Picture

__all__ = ["WORDS", "ClassWords"]

_RESIZED = {"stretch": "stretched to that", "pad": "filled up to that shape", "crop": "cut to that shape"}


class ClassWords(Words):
    """Accuracy, calibration, and what became of each class."""

    added_later = ("calibration", "how often answers of each score are right")
    by_class = ("recall", "support", "found in {} of their images")

    def input(self, card: Described) -> str:
        """Say the size that images are brought to, and how."""
        return f"{super().input(card)}; every image is {_RESIZED[card.input['resize']]}"

    def headline(self, found: Found, images: str) -> str:
        """Say the accuracy with its interval."""
        return (
            f"{percent(found['accuracy'])} of {images} were classified correctly ({SURE} {_interval(found)})."
        )  # fmt: skip

    def figures(self, found: Found) -> list[tuple[str, str]]:
        """Return accuracy, F1, loss and calibration."""
        return [
            ("images", count(found, "images")),
            (f"accuracy ({SURE})", f"{percent(found['accuracy'])} ({_interval(found)})"),
            ("macro F1", number(found["macro_f1"])),
            ("log loss", number(found["log_loss"])),
            ("expected calibration error", number(found["expected_calibration_error"])),
        ]

    def class_row(self, row: Found) -> dict[str, str]:
        """Return how many of a class were found, and how many of what was taken for it are."""
        return {
            f"found ({SURE})": share(round(row["recall"] * row["support"]), row["support"]),
            "precision": f"{row['precision']:.3f}",
            "F1": f"{row['f1']:.3f}",
            "images": count(row, "support"),
        }

    def class_figure(self, value: float) -> str:
        """Return the share of a class that was found."""
        return percent(value, 1)

    def pictures(self, found: Found, classes: tuple[str, ...]) -> list[Picture]:
        """Draw the confusion matrix and the reliability."""
        import numpy as np

        from pipelines.classification.plots import confusion_picture

        return [confusion_picture(np.array(found["confusion"]), classes), *super().pictures(found, classes)]

    def unknown(self, card: Described) -> str:
        """Say that it answers with a class for any image."""
        return (
            f"It knows {len(card.classes)} classes ({listed(card.classes)}) and answers with one of them for any "
            "image, also for one that shows none of them or several. A high score is no proof that the image is of "
            "any of its classes."
        )

    def doubt(self) -> str:
        """Say what the interval is of."""
        return "That holds for images drawn as those were, and for no others."


def _interval(found: Found) -> str:
    low, high = found["accuracy_95"]
    return f"{percent(low)} to {percent(high)}"


WORDS = ClassWords()
