"""What cards and reports say of a segmentation network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.reporting.words import NONE, Described, Found, Words, colour_of, count, listed, number

if TYPE_CHECKING:
    from pipelines.reporting.report import Picture

__all__ = ["WORDS", "PixelWords"]

_FIGURES = (
    ("mean intersection over union (IoU)", "mean_iou"),
    ("IoU weighted by frequency", "frequency_weighted_iou"),
    ("pixel accuracy", "pixel_accuracy"),
    ("boundary F1", "boundary_f1"),
    ("expected calibration error", "expected_calibration_error"),
)
_COLUMNS = {"IoU": "iou", "precision": "precision", "recall": "recall", "boundary F1": "boundary_f1"}


class PixelWords(Words):
    """Overlap of the classes, boundaries and calibration."""

    added_later = ("calibration", "how often answers of each score are right")
    by_class = ("iou", "pixels", "intersection over union {}")

    def input(self, card: Described) -> str:
        """Say what images are scaled by."""
        return f"images of any size in {colour_of(card)}, scaled by {card.input['scale']:g}"

    def headline(self, found: Found, images: str) -> str:
        """Say the mean intersection over union."""
        iou = "not defined" if found["mean_iou"] is None else f"{found['mean_iou']:.3f}"
        return f"Mean intersection over union is {iou} on {images}."

    def figures(self, found: Found) -> list[tuple[str, str]]:
        """Return overlap by several definitions, accuracy, boundaries and calibration."""
        return [("images", count(found, "images")), *((title, number(found.get(key))) for title, key in _FIGURES)]

    def class_row(self, row: Found) -> dict[str, str]:
        """Return overlap, precision, recall and boundaries of a class."""
        cells = {title: NONE if row[key] is None else f"{row[key]:.3f}" for title, key in _COLUMNS.items()}
        return cells | {"pixels": count(row, "pixels")}

    def pictures(self, found: Found, classes: tuple[str, ...]) -> list[Picture]:
        """Draw the overlap of the classes, the confusion matrix and the reliability."""
        import numpy as np

        from pipelines.segmentation.evaluation.plots import iou_picture, shares_picture

        return [
            iou_picture(found["classes"], found["mean_iou"]),
            shares_picture(np.array(found["confusion"]), classes),
            *super().pictures(found, classes),
        ]

    def unknown(self, card: Described) -> str:
        """Say that every pixel is given a class."""
        return (
            f"It gives every pixel one of {len(card.classes)} classes ({listed(card.classes)}), also where the image "
            "shows something else."
        )

    def sizes(self, card: Described) -> str:
        """Say at what scale things are seen."""
        return (
            f"It sees images scaled by {card.input['scale']:g}, and was trained on things of the size that they have "
            f"in {card.data['source']}; much smaller or larger ones are seen badly."
        )

    def doubt(self) -> str:
        """Say why there is no interval."""
        return "No interval is given: pixels of one image are not independent of each other."


WORDS = PixelWords()
