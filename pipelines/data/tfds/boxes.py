"""tensorflow-datasets: any of its detection sets, by name.

Such a set has the features ``image`` and ``objects``, each object with a ``bbox`` (ymin, xmin, ymax, xmax in fractions
of the image's size) and a ``label``; one with ``is_crowd`` or ``is_difficult`` is to be ignored.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.errors import DataError
from pipelines.data.formats.annotations import to_pixels, with_area
from pipelines.data.formats.parsing import short
from pipelines.data.partition import are_mirrored, refuse_gaps
from pipelines.data.splits import SPLIT_NAMES, Split, Splits
from pipelines.data.tfds import builder as tfds
from pipelines.images.boxes import Objects
from pipelines.images.image_header import upright_size

__all__ = ["has_objects", "load"]

_IGNORED = ("is_crowd", "is_difficult")


def load(name: str, data_dir: Path | None, seed: int, as_written: bool = False) -> Splits[Objects]:
    """Load a detection set of tensorflow-datasets, downloading and preparing it where that is possible.

    All of it is read once to see that every part has objects and every class training examples.

    Args:
        name: as in ``tfds.load``: ``"voc/2007"``, ``"coco/2017"``, ...
        data_dir: the folder that holds prepared sets; tfds's own default otherwise.
        seed: seed of the split, where the set does not have all three parts.
        as_written: keep the objects whose box has no area, and take a set with gaps; for who looks for what is wrong.

    Returns:
        The set's own test images, or its validation images where it has no others, or part of the training images;
        boxes in pixels.

    Raises:
        DataError: if the set does not exist, is not prepared and cannot be downloaded, is no detection set, a value in
            it is out of range, or it has gaps.
    """
    builder = tfds.open_builder(name, data_dir)
    source = f"tfds:{name}"
    classes = _classes(builder, source)
    splits = builder.info.splits
    if "train" not in splits:
        raise DataError(f"{source}: has no train split (it has: {', '.join(sorted(splits))})")
    own = next((part for part in tfds.VALIDATION_NAMES if part in splits), None)
    stored = {"test": "test", "validation": own} if "test" in splits else {"test": own}

    def classes_of(example: dict[str, Any], key: str) -> list[int]:
        written = _objects(example["objects"], len(classes), key)
        return written.class_ids[~written.ignored].tolist()  # type: ignore[no-any-return]

    def objects_of(example: dict[str, Any], image: bytes, key: str) -> Objects:
        written = to_pixels(_objects(example["objects"], len(classes), key), upright_size(image, key))
        return written if as_written else with_area(written)

    kept = {part: one for part, one in stored.items() if one is not None}
    parts = tfds.parts(builder, name, seed, kept, objects_of, classes_of)
    found: Splits[Objects] = Splits(
        source=source,
        classes=classes,
        mirrored=are_mirrored(classes),
        fingerprint=tfds.fingerprint(builder, seed),
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
    )
    if not as_written:
        refuse_gaps(source, classes, {part: list(_labels(found[part])) for part in SPLIT_NAMES})
    return found


def _labels(split: Split[Objects]) -> Iterator[Objects]:
    """Give the labels of a part, without those that cannot be read; that is said where they are to be."""
    assert split.items is not None
    for item in split.items():
        with contextlib.suppress(DataError):
            yield item.read().label


def has_objects(name: str, data_dir: Path | None) -> bool:
    """Say whether a set of tensorflow-datasets has labelled boxes; False also for one that does not exist."""
    try:
        builder = tfds.find_builder(name, data_dir)
    except DataError:
        return False
    return "objects" in (builder.info.features or {})


def _classes(builder: Any, source: str) -> tuple[str, ...]:
    features = builder.info.features or {}
    inner = getattr(features["objects"], "feature", {}) if "objects" in features else {}
    named = "label" in inner and hasattr(inner["label"], "names")
    if "image" not in features or "bbox" not in inner or not named:
        has = ", ".join([*sorted(features), *(f"objects.{name}" for name in sorted(inner))])
        raise DataError(
            f"{source}: has the features {has}; expected 'image', 'objects.bbox' and a class 'objects.label'"
        )
    return tuple(inner["label"].names)


def _objects(written: dict[str, np.ndarray], classes: int, key: str) -> Objects:
    """Take the objects of one example, boxes in fractions."""
    top, left, bottom, right = np.asarray(written["bbox"], np.float32).reshape(-1, 4).T
    boxes, labels = np.stack([left, top, right, bottom], axis=1), np.asarray(written["label"])
    if not np.isfinite(boxes).all():
        raise DataError(
            f"{key}: objects.bbox: received {short(boxes.tolist())}; expected finite fractions of the image's size"
        )
    if ((labels < 0) | (labels >= classes)).any():
        raise DataError(f"{key}: objects.label: received {short(labels.tolist())}; expected 0 to {classes - 1}")
    ignored = np.zeros(len(labels), bool)
    for name in _IGNORED:
        if name in written:
            ignored |= np.asarray(written[name], bool)
    return Objects.of(boxes, labels, ignored)
