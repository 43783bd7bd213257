"""Sources of labelled objects behind one name, as given to ``--data``.

A format is a module with ``recognises``, and ``read`` from a path to what is written there, in the records of
:mod:`pipelines.data.formats`: every image, the part that the format states for it, and the objects. What follows is
the same for all: the split, the objects that are left out, the images read as they are asked for.

Boxes are in pixels of the upright image (EXIF orientation applied): formats do not say, and the tools that people draw
boxes with show it upright. A box is kept as it is where it reaches outside the image, and left out if it has no area.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np

from pipelines import intake
from pipelines.boxes import Objects
from pipelines.data.formats import (
    Annotated,
    Annotations,
    Fault,
    short,
    to_pixels,
    upright_size,
    with_area,
)
from pipelines.data.splits import SPLIT_NAMES, Example, Split, Splits, everything, split_of
from pipelines.errors import DataError, unknown

__all__ = [
    "are_mirrored",
    "assign",
    "is_detection",
    "load",
    "load_whole",
    "read",
    "refuse",
    "refuse_gaps",
]

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
        DataError: if there is no such source; for the first thing that is wrong with it; if a part has no object, or a
            class no object in the training part. ``cnnapp check`` lists everything that is wrong.

    Example:
        >>> splits = load("scenes")
        >>> example = next(splits.train.examples())
        >>> splits.train.size, example.id, example.label.boxes.shape[1]
        (2000, 'scenes/train/0', 4)
    """
    from pipelines.data import scenes, tfds_objects

    if data == "scenes" or data.startswith("tfds:"):
        drawn = scenes.load(seed) if data == "scenes" else tfds_objects.load(data.removeprefix("tfds:"), data_dir, seed)
        return drawn if test is None else _tested_on(drawn, load_whole(test, data_dir, seed))
    path = Path(data)
    found = read(path, refuse)
    parts = {
        part: [replace(one, objects=with_area(one.objects)) for one in images]
        for part, images in assign(found, seed, with_test=test is None).items()
    }
    wanted = SPLIT_NAMES if test is None else ("train", "validation")
    refuse_gaps(data, found.classes, {part: [one.objects for one in parts[part]] for part in wanted})
    splits = Splits(
        source=Path(os.path.abspath(path.expanduser())).name,
        classes=found.classes,
        train=_split("train", parts["train"]),
        validation=_split("validation", parts["validation"]),
        test=_split("test", parts["test"]),
        mirrored=are_mirrored(found.classes),
        fingerprint=_fingerprint(found.classes, parts),
    )
    if test is None:
        return splits
    if not (test == "scenes" or test.startswith("tfds:")):
        _refuse_shared(parts, read(Path(test), refuse), test)
    return _tested_on(splits, load_whole(test, data_dir, seed))


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
        return replace(splits, train=_split("train", []), validation=_split("validation", []), test=everything(splits))
    path = Path(data)
    found = read(path, refuse)
    images = [replace(one, objects=with_area(one.objects)) for one in found.images]
    refuse_gaps(data, (), {"test": [one.objects for one in images]})
    return Splits(
        source=Path(os.path.abspath(path.expanduser())).name,
        classes=found.classes,
        train=_split("train", []),
        validation=_split("validation", []),
        test=_split("all", images),
        mirrored=are_mirrored(found.classes),
        fingerprint=_fingerprint(found.classes, {"train": [], "validation": [], "test": images}),
    )


def _refuse_shared(parts: Mapping[str, Sequence[Annotated]], other: Annotations, test: str) -> None:
    tested = {one.path.resolve() for one in other.images}
    for part in ("train", "validation"):
        for one in parts[part]:
            if one.path.resolve() in tested:
                raise DataError(f"{one.path}: is in the {part} part and in {test}, which is to be the test part")


def _tested_on(splits: Splits[Objects], other: Splits[Objects]) -> Splits[Objects]:
    """Put all of another set in the place of the test part; its classes are found by name."""
    strange = [name for name in other.classes if name not in splits.classes]
    if strange:
        raise DataError(
            f"{other.source}: class {strange[0]!r} is none of those of {splits.source}: {', '.join(splits.classes)}"
        )
    place = np.array([splits.classes.index(name) for name in other.classes], np.int32)

    def examples() -> Iterator[Example[Objects]]:
        for example in other.test.examples():
            yield replace(example, label=replace(example.label, class_ids=place[example.label.class_ids]))

    digest = hashlib.sha256((splits.fingerprint + other.fingerprint).encode()).hexdigest()
    return replace(
        splits,
        source=f"{splits.source}, tested on {other.source}",
        test=Split("test", other.test.size, examples),
        fingerprint=digest,
    )


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
    from pipelines.data import tfds_objects

    if data == "scenes":
        return True
    if data.startswith("tfds:"):
        return tfds_objects.has_objects(data.removeprefix("tfds:"), data_dir)
    with contextlib.suppress(OSError, RuntimeError):
        path = Path(data).expanduser()
        return path.exists() and _format(path) is not None
    return False


def read(path: Path, fault: Fault) -> Annotations:
    """Read all annotations of a set on disk, without opening an image.

    Args:
        path: a file or a folder of one of the formats.
        fault: is called with each thing that is wrong; :func:`refuse` raises the first.

    Returns:
        What is written there, less what was wrong.

    Raises:
        DataError: if nothing there is of a known format, or ``fault`` raises.
    """
    try:
        path = path.expanduser()
        if not path.exists():
            if len(path.parts) == 1:
                names = ["scenes", "tfds:NAME", "the path of a detection set"]
                raise DataError(unknown("detection data source", str(path), names))
            raise DataError(f"{path}: there is no such file or folder")
        format_of = _format(path)
        if format_of is None:
            raise DataError(f"{path}: holds no detection set; expected one of:\n{_FORMATS}{_hint(path)}")
        found: Annotations = format_of.read(path, fault)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{short(str(path))}: cannot be read: {reason}") from None
    _refuse_twice(found.images, fault)
    return found


def _format(path: Path) -> ModuleType | None:
    from pipelines.data import coco, voc, windows, yolo

    # A folder of windows may hold a stray .json, so that it is asked before COCO.
    return next((module for module in (voc, yolo, windows, coco) if module.recognises(path)), None)


def _hint(path: Path) -> str:
    with contextlib.suppress(OSError):
        for inner in sorted(path.iterdir()):
            if inner.is_dir() and not inner.name.startswith(".") and _format(inner) is not None:
                return f"\nDid you mean {inner}?"
    return ""


def _refuse_twice(images: Sequence[Annotated], fault: Fault) -> None:
    first: dict[Path, Annotated] = {}
    for one in images:
        other = first.setdefault(one.path, one)
        if other is not one:
            parts = " and ".join(sorted({other.part or "no part", one.part or "no part"}))
            fault(DataError(f"{one.path}: is listed twice (in {parts}); list it once, in one part"))


def refuse(error: DataError) -> None:
    """Raise what a reader found wrong: the :data:`Fault` of whoever wants the set whole or not at all."""
    raise error


# === From annotations to splits ===


def assign(found: Annotations, seed: int, *, with_test: bool = True) -> dict[str, list[Annotated]]:
    """Give each image to a part, as :func:`load` says.

    Args:
        found: all images; where parts are stated, those without one are left out.
        seed: of the hash of the names.
        with_test: whether there is to be a test part; if not, the one that is stated is left out.

    Returns:
        The images of "train", "validation" and "test".
    """
    parts: dict[str, list[Annotated]] = {part: [] for part in SPLIT_NAMES}
    stated = {one.part for one in found.images if one.part is not None}
    held_out = {"train": 0.85, "validation": 0.15}
    if "train" not in stated or stated == {"train"}:
        for one in found.images:
            parts[split_of(one.id, seed, None if with_test else held_out)].append(one)
        return parts
    needed = {"validation", "test"} if with_test else {"validation"}
    for one in found.images:
        part = one.part
        if part == "validation" and "test" not in stated and with_test:
            part = "test"
        elif part == "train" and not stated >= needed:
            part = split_of(one.id, seed, held_out)
        if part is not None and (with_test or part != "test"):
            parts[part].append(one)
    return parts


def refuse_gaps(source: str, classes: Sequence[str], parts: Mapping[str, Sequence[Objects]]) -> None:
    """Refuse a set of which nothing can be learned or measured.

    Args:
        source: how the message calls it.
        classes: the names of the classes that are to be learned.
        parts: the objects of each image of each part; those to be ignored do not count.

    Raises:
        DataError: naming a part without objects, or a class without any in the training part.
    """
    for part, images in parts.items():
        if not any((~objects.ignored).any() for objects in images):
            raise DataError(
                f"{source}: the {part} part has {len(images):,} images and no object to find; "
                "add annotated images, or where no parts are stated choose another --seed"
            )
    seen = {int(label) for objects in parts.get("train", []) for label in objects.class_ids[~objects.ignored]}
    for label, name in enumerate(classes):
        if label not in seen:
            raise DataError(
                f"{source}: class {name!r} has no object in the training part; add some, or remove the class"
            )


def are_mirrored(classes: Sequence[str]) -> bool:
    """Say whether mirror images keep their class; digits and letters do not."""
    return not all(len(name) == 1 or name.isdigit() for name in classes)


def _split(name: str, images: list[Annotated]) -> Split[Objects]:
    def read_one(one: Annotated) -> Example[Objects]:
        image = intake.read(one.path)
        sized = one.relative and len(one.objects) > 0
        return Example(
            one.id, image, to_pixels(one.objects, upright_size(image, str(one.path))) if sized else one.objects
        )

    def examples() -> Iterator[Example[Objects]]:
        # Disks answer several requests at once; a bounded window keeps what is read ahead small.
        with ThreadPoolExecutor(max_workers=4) as pool:
            rest = iter(images)
            ahead = [pool.submit(read_one, one) for one in islice(rest, _READ_AHEAD)]
            while ahead:
                yield ahead.pop(0).result()
                ahead += [pool.submit(read_one, one) for one in islice(rest, 1)]

    return Split(name, len(images), examples)


def _fingerprint(classes: tuple[str, ...], parts: dict[str, list[Annotated]]) -> str:
    digest = hashlib.sha256("\n".join(classes).encode())
    for part in SPLIT_NAMES:
        for one in parts[part]:
            line = f"{part}\t{one.id}\t{os.path.getsize(one.path)}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
            for values, kind in (
                (one.objects.boxes, "<f4"),
                (one.objects.class_ids, "<i4"),
                (one.objects.ignored, "?"),
            ):
                digest.update(values.astype(kind).tobytes())
    return digest.hexdigest()
