"""What a model card says, in words and tables: what a model is, how good it is, and what it should not be used for."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib import metadata
from typing import Any

from pipelines.artifacts.model_card import ModelCard
from pipelines.core.progress import duration
from pipelines.reporting.statistics import wilson_interval

__all__ = ["class_rows", "facts", "figures", "headline", "limits", "software_rows", "unrecorded"]

_MOST_NAMES, _WORST = 12, 3
_SURE = "95 % interval"


def facts(card: ModelCard) -> list[tuple[str, str]]:
    """Return what a model is and where it comes from: (what, value).

    Args:
        card: of the model.
    """
    images = card.data["images"]
    counts = ", ".join(f"{images[part]:,} {part}" for part in ("train", "validation", "test") if part in images)
    history = card.history
    ended = {"finished": "", "early": ", stopped early", "interrupted": ", interrupted"}.get(history["stopped"], "")
    return [
        ("Task", card.task),
        ("Classes", f"{len(card.classes)}: {_listed(card.classes, _MOST_NAMES)}"),
        ("Sees", _sees(card)),
        ("Trained on", f"{card.data['source']} ({counts} images)"),
        (
            "Training",
            f"{len(history['epochs'])} epochs in {duration(history['seconds'])}{ended}; kept is epoch "
            f"{history['best_epoch']}",
        ),
        ("Parameters", f"{card.parameters:,}"),
        ("Made", card.created.replace("T", " ").removesuffix("+00:00") + " UTC"),
        ("Data's fingerprint", str(card.data["fingerprint"])),
    ]


def _listed(names: list[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _sees(card: ModelCard) -> str:
    kind = "grey" if card.input["channels"] == 1 else "colour"
    if card.task == "classification":
        how = {
            "stretch": "stretched to that",
            "pad": "filled up to that shape",
            "crop": "cut to that shape",
        }[card.input["resize"]]
        return f"{card.input['height']} x {card.input['width']} pixels in {kind}; every image is {how}"
    if card.task == "detection":
        height, width = card.input["window"]
        scales = ", ".join(f"{scale:g}" for scale in card.input["options"]["scales"])
        stride = card.input["stride"]
        return f"windows of {height} x {width} pixels in {kind}, every {stride} pixels; images scaled by {scales}"
    return f"images of any size in {kind}, scaled by {card.input['scale']:g}"


def headline(card: ModelCard, part: str = "test") -> str:
    """Return the main figure of a model in a sentence, with its interval where one can be given.

    Args:
        card: of the model.
        part: of the data: "test" or "validation".
    """
    found = card.metrics.get(part)
    if not found:
        return f"It was not measured on {part} images."
    images = f"{found['images']:,} {part} images of {card.data['source']}"
    if card.task == "classification":
        low, high = found["accuracy_95"]
        return f"{found['accuracy']:.2%} of {images} are told right ({_SURE} {low:.2%} to {high:.2%})."
    if card.task == "detection":
        ap50 = "not defined" if found["ap50"] is None else f"{found['ap50']:.3f}"
        return f"Average precision at an overlap of 0.5 is {ap50} on {images} with {found['objects']:,} objects."
    iou = "not defined" if found["mean_iou"] is None else f"{found['mean_iou']:.3f}"
    return f"Mean intersection over union is {iou} on {images}."


def figures(card: ModelCard) -> list[dict[str, str]]:
    """Return the figures of a model as rows of a table, a column for each part that was measured.

    Args:
        card: of the model.

    Returns:
        Rows with ``figure``, and a value for ``test`` and ``validation`` each. Intervals are Wilson's, at 95 %.
    """
    kinds = {"classification": _OF_CLASSES, "detection": _OF_OBJECTS, "segmentation": _OF_PIXELS}[card.task]
    parts = [part for part in ("test", "validation") if card.metrics.get(part)]
    return [{"figure": name} | {part: show(card.metrics[part]) for part in parts} for name, show in kinds]


def _number(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda found: "–" if found.get(name) is None else f"{found[name]:.4f}"


def _count(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda found: f"{found[name]:,}"


def _share(right: int, total: int) -> str:
    if not total:
        return "–"
    low, high = wilson_interval(right, total)
    return f"{right / total:.1%} ({low:.1%} to {high:.1%})"


def _accuracy(found: dict[str, Any]) -> str:
    low, high = found["accuracy_95"]
    return f"{found['accuracy']:.2%} ({low:.2%} to {high:.2%})"


def _at_threshold(name: str) -> Callable[[dict[str, Any]], str]:
    """Return what shows precision or recall at the score of the best F1, from the counts of what became of objects."""

    def show(found: dict[str, Any]) -> str:
        kinds = found["error_kinds"].values()
        right = sum(each["correct"] for each in kinds)
        wrong = ("localisation", "confusion", "duplicate", "background")
        total = found["objects"] if name == "recall" else right + sum(each[kind] for each in kinds for kind in wrong)
        return _share(min(right, total), total)

    return show


_OF_CLASSES = (
    ("images", _count("images")),
    (f"accuracy ({_SURE})", _accuracy),
    ("macro F1", _number("macro_f1")),
    ("log loss", _number("log_loss")),
    ("expected calibration error", _number("expected_calibration_error")),
)
_OF_OBJECTS = (
    ("images", _count("images")),
    ("objects", _count("objects")),
    ("average precision at IoU 0.5", _number("ap50")),
    ("average precision, IoU 0.50 to 0.95 (COCO)", _number("ap")),
    ("average precision at IoU 0.75", _number("ap75")),
    (f"precision at the best threshold ({_SURE})", _at_threshold("precision")),
    (f"recall at the best threshold ({_SURE})", _at_threshold("recall")),
    ("log-average miss rate", _number("log_average_miss_rate")),
)
_OF_PIXELS = (
    ("images", _count("images")),
    ("mean intersection over union (IoU)", _number("mean_iou")),
    ("IoU weighted by frequency", _number("frequency_weighted_iou")),
    ("pixel accuracy", _number("pixel_accuracy")),
    ("boundary F1", _number("boundary_f1")),
    ("expected calibration error", _number("expected_calibration_error")),
)


def class_rows(card: ModelCard, part: str = "test") -> list[dict[str, str]]:
    """Return a row for each class with its figures, as texts; none where the part was not measured.

    Args:
        card: of the model.
        part: of the data.
    """
    found = card.metrics.get(part, {}).get("classes", {})
    if card.task == "classification":
        return [
            {
                "class": name,
                f"found ({_SURE})": _share(round(row["recall"] * row["support"]), row["support"]),
                "precision": f"{row['precision']:.3f}",
                "F1": f"{row['f1']:.3f}",
                "images": f"{row['support']:,}",
            }
            for name, row in found.items()
        ]
    columns, counted = (
        ({"AP at IoU 0.5": "ap50", "AP (COCO)": "ap", "precision": "precision", "recall": "recall"}, "objects")
        if card.task == "detection"
        else ({"IoU": "iou", "precision": "precision", "recall": "recall", "boundary F1": "boundary_f1"}, "pixels")
    )
    return [
        {"class": name}
        | {title: "–" if row[key] is None else f"{row[key]:.3f}" for title, key in columns.items()}
        | {counted: f"{row[counted]:,}"}
        for name, row in found.items()
    ]


_LATER = {
    "classification": ("calibration", "how often answers of each score are right"),
    "detection": ("precision_recall", "the curves of precision over recall"),
    "segmentation": ("calibration", "how often answers of each score are right"),
}
"""By task a figure that not all versions recorded, and how it is worded."""


def unrecorded(card: ModelCard, part: str = "test") -> list[str]:
    """Return what the card of an earlier version lacks, and how it gets it, in sentences; none where it has all.

    Args:
        card: of the model.
        part: of the data that was measured: "test" or "validation".
    """
    key, what = _LATER[card.task]
    if key in card.metrics[part]:
        return []
    command = f"cnnapp evaluate {card.name}/{card.version} --split {part} --card"
    return [f"An earlier cnnapp made this card, which lacks {what}. `{command}` measures that and adds it."]


def limits(card: ModelCard) -> list[str]:
    """Return what a model should not be used for, in sentences that follow from its card.

    Args:
        card: of the model.
    """
    known = _listed(card.classes, _MOST_NAMES)
    return [
        *_unknown_classes(card, known),
        f"It was trained on {card.data['source']} alone. Images of another kind (another camera, light, background, "
        "drawing) may be answered worse, and nothing here says by how much: measure on images of your own with "
        f"`cnnapp evaluate {card.name}/{card.version} --data FOLDER`.",
        _size(card),
        f"{headline(card)} {_doubt(card)}",
        *_worst(card),
        "Do not let it decide alone where a wrong answer harms somebody: it was measured for no such use.",
    ]


def _unknown_classes(card: ModelCard, known: str) -> list[str]:
    if card.task == "classification":
        return [
            f"It knows {len(card.classes)} classes ({known}) and answers with one of them for any image, also for one "
            "that shows none of them or several. A high score is no proof that the image is of any of its classes."
        ]
    if card.task == "detection":
        return [
            f"It looks for {known}, and for nothing else; what is like them may be taken for one of them. An object "
            "that it does not report may be there all the same."
        ]
    return [
        f"It gives every pixel one of {len(card.classes)} classes ({known}), also where the image shows something else."
    ]


def _size(card: ModelCard) -> str:
    colour = (
        " Colour is not seen: what differs by it alone looks the same to it." if card.input["channels"] == 1 else ""
    )
    if card.task == "classification":
        return (
            f"It sees {card.input['height']} x {card.input['width']} pixels. Details that are lost when an image is "
            f"brought to that size cannot count, however large the image is.{colour}"
        )
    if card.task == "detection":
        height, width = card.input["reference"]
        scales = card.input["options"]["scales"]
        sizes = [f"{height / scale:.0f} x {width / scale:.0f}" for scale in (max(scales), min(scales))]
        about = sizes[0] if len(set(sizes)) == 1 else f"{sizes[0]} to {sizes[1]}"
        return (
            f"It was made for objects of about {about} pixels (height x width). Much smaller or larger ones are "
            f"missed; other scales can be asked for with `--scales`.{colour}"
        )
    return (
        f"It sees images scaled by {card.input['scale']:g}, and was trained on things of the size that they have in "
        f"{card.data['source']}; much smaller or larger ones are seen badly.{colour}"
    )


def _doubt(card: ModelCard) -> str:
    if card.task == "classification":
        return "That holds for images drawn as those were, and for no others."
    if card.task == "detection":
        return "The intervals of precision and recall hold if objects of one image are independent of each other."
    return "No interval is given: pixels of one image are not independent of each other."


_BY_CLASS = {
    "classification": ("recall", "support", "found in {:.1%} of their images"),
    "detection": ("ap50", "objects", "average precision {:.3f}"),
    "segmentation": ("iou", "pixels", "intersection over union {:.3f}"),
}
"""The figure that classes are put in order by, what says whether it occurs among the images, and how it is worded."""


def _worst(card: ModelCard) -> list[str]:
    key, counted, what = _BY_CLASS[card.task]
    found = card.metrics.get("test", {}).get("classes", {})
    rows = [(name, row[key]) for name, row in found.items() if row[counted] and row[key] is not None]
    worst = sorted(rows, key=lambda pair: pair[1])[: min(_WORST, len(rows) // 2)]
    listed = ", ".join(f"{name} ({what.format(value)})" for name, value in worst if value < 1)
    return [f"Of its classes the worst on test images are: {listed}."] if listed else []


def software_rows(card: ModelCard) -> list[dict[str, str]]:
    """Return the versions a model was made with, beside those that are installed here."""
    return [
        {"software": name, "made with": version, "here": _installed(name)} for name, version in card.software.items()
    ]


def _installed(name: str) -> str:
    if name == "python":
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "–"
