"""What cards and reports say of a detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.reporting.words import NONE, SURE, Described, Found, Words, colour_of, count, listed, number, share

if TYPE_CHECKING:
    from pipelines.reporting.report import Picture

__all__ = ["WORDS", "ObjectWords"]

_WRONG = ("localisation", "confusion", "duplicate", "background")
_COLUMNS = {"AP at IoU 0.5": "ap50", "AP (COCO)": "ap", "precision": "precision", "recall": "recall"}


class ObjectWords(Words):
    """Average precision, what is found at the best threshold, and what became of each class."""

    added_later = ("precision_recall", "the curves of precision over recall")
    by_class = ("ap50", "objects", "average precision {}")

    def input(self, card: Described) -> str:
        """Say which windows are looked at, and at which scales."""
        height, width = card.input["window"]
        scales = ", ".join(f"{scale:g}" for scale in card.input["options"]["scales"])
        return (
            f"windows of {height} x {width} pixels in {colour_of(card)}, every {card.input['stride']} pixels; images "
            f"scaled by {scales}"
        )

    def headline(self, found: Found, images: str) -> str:
        """Say the average precision."""
        ap50 = "not defined" if found["ap50"] is None else f"{found['ap50']:.3f}"
        return f"Average precision at an overlap of 0.5 is {ap50} on {images} with {found['objects']:,} objects."

    def figures(self, found: Found) -> list[tuple[str, str]]:
        """Return average precision by several definitions, and precision and recall at the score of the best F1."""
        return [
            ("images", count(found, "images")),
            ("objects", count(found, "objects")),
            ("average precision at IoU 0.5", number(found.get("ap50"))),
            ("average precision, IoU 0.50 to 0.95 (COCO)", number(found.get("ap"))),
            ("average precision at IoU 0.75", number(found.get("ap75"))),
            (f"precision at the best threshold ({SURE})", _at_threshold(found, "precision")),
            (f"recall at the best threshold ({SURE})", _at_threshold(found, "recall")),
            ("log-average miss rate", number(found.get("log_average_miss_rate"))),
        ]

    def class_row(self, row: Found) -> dict[str, str]:
        """Return average precision, precision and recall of a class."""
        cells = {title: NONE if row[key] is None else f"{row[key]:.3f}" for title, key in _COLUMNS.items()}
        return cells | {"objects": count(row, "objects")}

    def pictures(self, found: Found, classes: tuple[str, ...]) -> list[Picture]:
        """Draw average precision, precision over recall, found objects against false alarms, and kinds of errors."""
        from pipelines.detection.evaluation.card_plots import alarms_picture, precision_picture
        from pipelines.detection.evaluation.plots import kinds_picture, precision_recall_picture

        threshold = found["best"]["threshold"]
        return [
            precision_picture(found["classes"], found["ap50"]),
            *([precision_recall_picture(dict(found))] if "precision_recall" in found else []),
            *([] if found["froc"]["sensitivity"] is None else [alarms_picture(found["froc"])]),
            kinds_picture(found["error_kinds"], 0.5 if threshold is None else threshold),
        ]

    def unknown(self, card: Described) -> str:
        """Say that only the classes are looked for, and may be missed."""
        return (
            f"It looks for {listed(card.classes)}, and for nothing else; what is like them may be taken for one of "
            "them. An object that it does not report may be there all the same."
        )

    def sizes(self, card: Described) -> str:
        """Say how large objects are, in pixels of the image."""
        height, width = card.input["reference"]
        scales = card.input["options"]["scales"]
        sizes = [f"{height / scale:.0f} x {width / scale:.0f}" for scale in (max(scales), min(scales))]
        about = sizes[0] if len(set(sizes)) == 1 else f"{sizes[0]} to {sizes[1]}"
        return (
            f"It was made for objects of about {about} pixels (height x width). Much smaller or larger ones are "
            "missed; other scales can be asked for with `--scales`."
        )

    def doubt(self) -> str:
        """Say what the intervals assume."""
        return "The intervals of precision and recall hold if objects of one image are independent of each other."


def _at_threshold(found: Found, name: str) -> str:
    """Return precision or recall at the score of the best F1, from the counts of what became of objects."""
    kinds = found["error_kinds"].values()
    right = sum(each["correct"] for each in kinds)
    total = found["objects"] if name == "recall" else right + sum(each[kind] for each in kinds for kind in _WRONG)
    return share(min(right, total), total)


WORDS = ObjectWords()
