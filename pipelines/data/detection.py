"""Sources of labelled objects behind one name, as given to ``--data``.

A format is a module with ``recognises``, and ``read`` from a path to what is written there, in the records of
:mod:`pipelines.data.formats.annotations`: every image, the part that the format states for it, and the objects. What
follows is the same for all: the split, the objects that are left out, the images read as they are asked for.

Boxes are in pixels of the upright image (EXIF orientation applied): formats do not say, and the tools that people draw
boxes with show it upright. A box is kept as it is where it reaches outside the image, and left out if it has no area.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from pipelines.data.formats.annotations import Annotated, Annotations, to_pixels, with_area
from pipelines.data.formats.parsing import Fault
from pipelines.data.partition import (
    are_mirrored,
    assign,
    find_format,
    is_kind,
    naming_files,
    read_whole,
    refuse,
    refuse_gaps,
    refuse_shared,
    refuse_twice,
    stored_size,
    tested_on,
)
from pipelines.data.splits import SPLIT_NAMES, Example, Item, Split, Splits, everything
from pipelines.images import image_io
from pipelines.images.boxes import Objects
from pipelines.images.image_header import upright_size

__all__ = ["is_detection", "load", "load_whole", "read", "split_of_images"]

_FORMATS = """a Pascal VOC folder (Annotations/*.xml, JPEGImages/, ImageSets/Main/train.txt, ...),
a COCO .json file or a folder of them (annotations/instances_train*.json, or train.json, val.json, test.json),
a YOLO folder (data.yaml; or images/ and labels/, with or without train, val and test in them, and classes.txt),
a folder of windows (a folder per class, and one named 'background')"""
_READ_AHEAD = 64


# === The front door ===


def load(data: str, data_dir: Path | None = None, seed: int = 0, test: str | None = None) -> Splits[Objects]:
    """Load the images with labelled objects that a name stands for.

    Where the source states no parts, an image's part is a seeded hash of its name. Where it states a training part and
    only one other, that one is the test part, and 15 % of the training images are the validation part.

    Args:
        data: ``"scenes"`` (embedded), ``"tfds:NAME"`` (tensorflow-datasets), or the path of a set in Pascal VOC, COCO
            or YOLO format, or of a folder of windows; the format is recognised by what lies there.
        data_dir: where prepared tensorflow-datasets lie.
        seed: seed of the split, where the source does not say it.
        test: another source, the whole of which is the test part; then nothing of ``data`` is held out for it, and what
            ``data`` states to be its test part is left out.

    Returns:
        Training, validation and test examples. Images are read when they are asked for.

    Raises:
        DataError: if there is no such source; for all that is wrong with what is written about it; if a part has no
            object, or a class no object in the training part.

    Example:
        >>> splits = load("scenes")
        >>> example = next(splits.train.examples())
        >>> splits.train.size, example.id, example.label.boxes.shape[1]
        (2000, 'scenes/train/0', 4)
    """
    from pipelines.data.embedded import scenes
    from pipelines.data.tfds import boxes

    if data == "scenes" or data.startswith("tfds:"):
        drawn = scenes.load(seed) if data == "scenes" else boxes.load(data.removeprefix("tfds:"), data_dir, seed)
        return drawn if test is None else tested_on(drawn, load_whole(test, data_dir, seed), _relabel)
    path = Path(data)
    found = read_whole(data, lambda fault: read(path, fault))
    parts = {
        part: [replace(one, objects=with_area(one.objects)) for one in images]
        for part, images in assign(found.images, seed, with_test=test is None).items()
    }
    wanted = SPLIT_NAMES if test is None else ("train", "validation")
    refuse_gaps(data, found.classes, {part: [one.objects for one in parts[part]] for part in wanted})
    splits = Splits(
        source=Path(os.path.abspath(path.expanduser())).name,
        classes=found.classes,
        train=split_of_images("train", parts["train"]),
        validation=split_of_images("validation", parts["validation"]),
        test=split_of_images("test", parts["test"]),
        mirrored=are_mirrored(found.classes),
        fingerprint=_fingerprint(found.classes, parts),
    )
    if test is None:
        return splits
    if not (test == "scenes" or test.startswith("tfds:")):
        refuse_shared(parts, read(Path(test), refuse).images, test)
    return tested_on(splits, load_whole(test, data_dir, seed), _relabel)


def load_whole(data: str, data_dir: Path | None = None, seed: int = 0) -> Splits[Objects]:
    """Load all images that a name stands for as the test part, whatever parts they are in.

    Args:
        data: as for :func:`load`.
        data_dir: likewise.
        seed: likewise.

    Returns:
        Splits of which the other two parts are empty.

    Raises:
        DataError: as :func:`load`; a set without objects is refused.
    """
    if data == "scenes" or data.startswith("tfds:"):
        splits = load(data, data_dir, seed)
        return replace(
            splits,
            train=split_of_images("train", []),
            validation=split_of_images("validation", []),
            test=everything(splits),
        )
    path = Path(data)
    found = read_whole(data, lambda fault: read(path, fault))
    images = [replace(one, objects=with_area(one.objects)) for one in found.images]
    refuse_gaps(data, (), {"test": [one.objects for one in images]})
    return Splits(
        source=Path(os.path.abspath(path.expanduser())).name,
        classes=found.classes,
        train=split_of_images("train", []),
        validation=split_of_images("validation", []),
        test=split_of_images("all", images),
        mirrored=are_mirrored(found.classes),
        fingerprint=_fingerprint(found.classes, {"train": [], "validation": [], "test": images}),
    )


def _relabel(objects: Objects, place: np.ndarray) -> Objects:
    return replace(objects, class_ids=place[objects.class_ids])


def is_detection(data: str, data_dir: Path | None = None) -> bool:
    """Say whether a value of ``--data`` is a detection set: a known name, or a path with what a format looks like.

    A folder with a folder per class, one of them named ``background``, is one too, though it may serve for
    classification as well.

    Args:
        data: as for :func:`load`.
        data_dir: as for :func:`load`.

    Returns:
        False also for what does not exist.

    Example:
        >>> is_detection("scenes"), is_detection("digits")
        (True, False)
    """
    from pipelines.data.tfds import boxes

    return is_kind(data, "scenes", lambda tfds: boxes.has_objects(tfds, data_dir), _format)


def read(path: Path, fault: Fault) -> Annotations:
    """Read all annotations of a set on disk, without opening an image.

    Args:
        path: a file or a folder of one of the formats.
        fault: is called with each thing that is wrong; :func:`pipelines.data.partition.refuse` raises the first.

    Returns:
        What is written there, less what was wrong.

    Raises:
        DataError: if nothing there is of a known format, or ``fault`` raises.
    """
    with naming_files(path):
        path = path.expanduser()
        found: Annotations = find_format(path, _format, "detection", "scenes", _FORMATS).read(path, fault)
    refuse_twice(found.images, fault)
    return found


def _format(path: Path) -> ModuleType | None:
    from pipelines.data.formats import coco, voc, window_folders, yolo

    # A folder of windows may hold a stray .json, so that it is asked before COCO.
    return next((module for module in (voc, yolo, window_folders, coco) if module.recognises(path)), None)


# === From annotations to splits ===


def split_of_images(name: str, images: Sequence[Annotated]) -> Split[Objects]:
    """Make a part of annotated images, which are read when they are asked for."""

    def item(one: Annotated) -> Item[Objects]:
        def read() -> Example[Objects]:
            image = image_io.read(one.path)
            sized = one.relative and len(one.objects) > 0
            return Example(
                one.id, image, to_pixels(one.objects, upright_size(image, str(one.path))) if sized else one.objects
            )

        wanted = one.objects.class_ids[~one.objects.ignored]
        return Item(one.id, read, files=(one.path,), meaning=f"{one.relative}", classes=wanted.tolist)

    return Split.of(name, len(images), lambda: map(item, images), _READ_AHEAD)


def _fingerprint(classes: tuple[str, ...], parts: dict[str, list[Annotated]]) -> str:
    digest = hashlib.sha256("\n".join(classes).encode())
    for part in SPLIT_NAMES:
        for one in parts[part]:
            line = f"{part}\t{one.id}\t{stored_size(one.path)}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
            for values, kind in (
                (one.objects.boxes, "<f4"),
                (one.objects.class_ids, "<i4"),
                (one.objects.ignored, "?"),
            ):
                digest.update(values.astype(kind).tobytes())
    return digest.hexdigest()
