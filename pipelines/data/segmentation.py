"""Sources of images with the class of every pixel behind one name, as given to ``--data``.

A format is a module with ``recognises``, and ``read`` from a path to what lies there, in the records of
:mod:`pipelines.data.masks.mask_set`: every image, the part that the format states for it, its mask, and what the values
of masks stand for. What follows is the same for all: the split, and images and masks read as they are asked for.

A mask is the upright image's: one of the size in which the image is stored is turned with it, as EXIF says. Of pixels
of the value 255 nothing is said.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from pipelines.core.errors import ConfigError, DataError
from pipelines.data.formats.parsing import Fault
from pipelines.data.masks.class_table import ClassTable
from pipelines.data.masks.mask_set import Mask, Masked, MaskFile, MaskSet, label
from pipelines.data.masks.polygons import Outlines
from pipelines.data.partition import (
    are_mirrored,
    assign,
    find_format,
    is_kind,
    naming_files,
    read_whole,
    refuse,
    refuse_shared,
    refuse_twice,
    stored_size,
    tested_on,
)
from pipelines.data.splits import SPLIT_NAMES, Example, Item, Split, Splits, everything
from pipelines.images import image_io
from pipelines.images.image_header import Header
from pipelines.images.masks import IGNORED

__all__ = ["FEW", "examine", "is_segmentation", "load", "load_drawn", "load_whole", "read", "split_of_images"]

FEW = (
    "a single class; at least two are needed. The value 255 marks unlabelled pixels: if it is a class, as in masks of "
    "0 and 255, name both in classes.csv (name,r,g,b)"
)
"""What is said of a set of which nothing can be learned."""

_FORMATS = """a folder of images/ and masks/ with files of the same names (or these two in train/, val/ and test/),
a Pascal VOC folder (JPEGImages/, SegmentationClass/*.png, ImageSets/Segmentation/train.txt, ...),
a COCO .json file with outlines or a folder of them (annotations/instances_train*.json, ...)"""
_READ_AHEAD = 16  # A mask is as large as the decoded image.
_UNKNOWN = Header((1, 1), 1)


# === The front door ===


def load(
    data: str, data_dir: Path | None = None, seed: int = 0, test: str | None = None, ignore: int | None = None
) -> Splits[np.ndarray]:
    """Load the images with masks that a name stands for.

    Where the source states no parts, an image's part is a seeded hash of its name. Where it states a training part and
    only one other, that one is the test part, and 15 % of the training images are the validation part.

    Args:
        data: ``"scenes"`` (embedded), ``"tfds:NAME"`` (tensorflow-datasets), or the path of a folder of images and
            masks, or of a set in Pascal VOC or COCO format; the format is recognised by what lies there.
        data_dir: where prepared tensorflow-datasets lie.
        seed: seed of the split, where the source does not say it.
        test: another source, the whole of which is the test part; then nothing of ``data`` is held out for it, and what
            ``data`` states to be its test part is left out.
        ignore: a value of the masks, besides 255, of which nothing is said; for masks of colours the row of the table,
            from 0. It holds for ``test`` too.

    Returns:
        Training, validation and test examples. A label is uint8 of the (height, width) of the upright image: the class
        of each pixel, 255 where nothing is said. Images and masks are read when they are asked for.

    Raises:
        DataError: if there is no such source; for images without mask; if a part has no image, or there is but
            one class; as examples are read, for a mask of another size than its image, or with a value that is no
            class. ``cnnapp check`` lists everything that is wrong.
        ConfigError: if ``ignore`` is no index, or the source has nothing to ignore.

    Example:
        >>> splits = load("scenes")
        >>> example = next(splits.train.examples())
        >>> splits.classes[:2], example.label.shape, example.label.dtype
        (('background', '0'), (96, 128), dtype('uint8'))
    """
    if _is_drawn(data):
        splits = load_drawn(data, data_dir, seed, ignore)
        return splits if test is None else _tested_on(splits, test, data_dir, seed, ignore)
    found = read_whole(data, lambda fault: read(Path(data), fault, ignore))
    parts = assign(found.images, seed, with_test=test is None)
    wanted = SPLIT_NAMES if test is None else ("train", "validation")
    _refuse_gaps(data, found.table, {part: len(parts[part]) for part in wanted})
    splits = _splits(data, found.table, parts)
    if test is None:
        return splits
    if not _is_drawn(test):
        refuse_shared(parts, read(Path(test), refuse, ignore).images, test)
    return _tested_on(splits, test, data_dir, seed, ignore)


def load_whole(data: str, data_dir: Path | None = None, seed: int = 0, ignore: int | None = None) -> Splits[np.ndarray]:
    """Load all images that a name stands for as the test part, whatever parts they are in.

    Args:
        data: as for :func:`load`.
        data_dir: likewise.
        seed: likewise.
        ignore: likewise.

    Returns:
        Splits of which the other two parts are empty.

    Raises:
        DataError: as :func:`load`.
    """
    if _is_drawn(data):
        splits = load_drawn(data, data_dir, seed, ignore)
        none: dict[str, Split[np.ndarray]] = {part: Split(part, 0, lambda: iter(())) for part in SPLIT_NAMES}
        return replace(splits, train=none["train"], validation=none["validation"], test=everything(splits))
    found = read_whole(data, lambda fault: read(Path(data), fault, ignore))
    splits = _splits(data, found.table, {"train": [], "validation": [], "test": found.images})
    return replace(splits, test=replace(splits.test, name="all"))


def load_drawn(data: str, data_dir: Path | None, seed: int, ignore: int | None) -> Splits[np.ndarray]:
    """Load a source that is not a path: ``"scenes"`` or ``"tfds:NAME"``; the arguments are those of :func:`load`."""
    from pipelines.data.embedded import scenes
    from pipelines.data.tfds import masks

    if data == "scenes":
        if ignore is not None:
            raise ConfigError(f"ignore: received {ignore}; expected none, since every pixel of the scenes is labelled")
        return scenes.load_masks(seed)
    return masks.load(data.removeprefix("tfds:"), data_dir, seed, ignore)


def _is_drawn(data: str) -> bool:
    return data == "scenes" or data.startswith("tfds:")


def _tested_on(
    splits: Splits[np.ndarray], test: str, data_dir: Path | None, seed: int, ignore: int | None
) -> Splits[np.ndarray]:
    return tested_on(splits, load_whole(test, data_dir, seed, None if test == "scenes" else ignore), _relabel)


def _relabel(mask: np.ndarray, place: np.ndarray) -> np.ndarray:
    table = np.full(IGNORED + 1, IGNORED, np.uint8)
    table[: len(place)] = place
    relabelled: np.ndarray = table[mask]
    return relabelled


def is_segmentation(data: str, data_dir: Path | None = None) -> bool:
    """Say whether a value of ``--data`` is a segmentation set: a known name, or a path with what a format looks like.

    A set that has boxes too may serve for detection as well.

    Args:
        data: as for :func:`load`.
        data_dir: as for :func:`load`.

    Returns:
        False also for what does not exist.

    Example:
        >>> is_segmentation("scenes"), is_segmentation("digits")
        (True, False)
    """
    from pipelines.data.tfds import masks

    return is_kind(data, "scenes", lambda tfds: masks.has_masks(tfds, data_dir), _format)


def read(path: Path, fault: Fault, ignore: int | None = None) -> MaskSet:
    """List all images and masks of a set on disk; masks are opened only where nothing else says which classes exist.

    Args:
        path: a file or a folder of one of the formats.
        fault: is called with each thing that is wrong; :func:`pipelines.data.partition.refuse` raises the first.
        ignore: as for :func:`load`.

    Returns:
        What lies there, less what was wrong.

    Raises:
        DataError: if nothing there is of a known format, or ``fault`` raises.
    """
    with naming_files(path):
        path = path.expanduser()
        found: MaskSet = find_format(path, _format, "segmentation", "scenes", _FORMATS).read(path, fault, ignore)
    refuse_twice(found.images, fault)
    return found


def _format(path: Path) -> ModuleType | None:
    from pipelines.data.masks import coco, folders, voc

    # Folders of masks may hold a stray .json, so that they are asked before COCO.
    return next((module for module in (voc, folders, coco) if module.recognises(path)), None)


# === From images and masks to splits ===


def _refuse_gaps(source: str, table: ClassTable, sizes: Mapping[str, int]) -> None:
    for part, size in sizes.items():
        if not size:
            raise DataError(
                f"{source}: the {part} part has no image; add images with masks, or change --seed if the set "
                "has no fixed parts"
            )
    if len(table.names) < 2:
        raise DataError(f"{source}: {FEW}")


def _splits(data: str, table: ClassTable, parts: Mapping[str, Sequence[Masked]]) -> Splits[np.ndarray]:
    split = {part: split_of_images(part, parts[part], table) for part in SPLIT_NAMES}
    return Splits(
        source=Path(os.path.abspath(Path(data).expanduser())).name,
        classes=table.names,
        train=split["train"],
        validation=split["validation"],
        test=split["test"],
        # A background says nothing of the things before it, and an index nothing at all.
        mirrored=not table.named or are_mirrored([name for name in table.names if name != "background"]),
        fingerprint=_fingerprint(table, parts),
    )


def split_of_images(name: str, images: Sequence[Masked], table: ClassTable) -> Split[np.ndarray]:
    """Make a part of images and their masks, which are read when they are asked for."""
    of_table = hashlib.sha256(_meaning(table)).hexdigest()

    def item(one: Masked) -> Item[np.ndarray]:
        def read() -> Example[np.ndarray]:
            image = image_io.read(one.path)
            found = label(one, table)
            if found.strange:
                raise DataError(f"{one.mask.name}: {table.describe(found.strange, found.coloured)}")
            return Example(one.id, image, found.mask)

        in_file = (one.mask.path,) if isinstance(one.mask, MaskFile) else ()
        meaning = of_table if in_file else f"{of_table}:{one.mask.digest().hex()}"
        return Item(one.id, read, (one.path, *in_file), meaning, classes=lambda: _classes(one.mask, table))

    return Split.of(name, len(images), lambda: map(item, images), _READ_AHEAD)


def examine(example: Example[np.ndarray], size: tuple[int, int]) -> None:
    """Raise ``DataError`` if a mask is of another (height, width) than its image, as that is decoded."""
    if example.label.shape != size:
        (height, width), (decoded_height, decoded_width) = example.label.shape, size
        raise DataError(
            f"{example.id}: its mask is {width} x {height} pixels (width x height), but the image is decoded to "
            f"{decoded_width} x {decoded_height}; save the mask in that size"
        )


def _classes(mask: Mask, table: ClassTable) -> set[int]:
    """Return the classes of a mask without its image."""
    if isinstance(mask, Outlines):
        found = {table.indices.get(value, IGNORED) for value, _ in mask.outlines}
    else:
        found = set(np.unique(table.label(mask.pixels(_UNKNOWN), mask.name)[0]).tolist())
    return found - {IGNORED}


def _meaning(table: ClassTable) -> bytes:
    """Write what the values of masks stand for."""
    meaning = [table.names, sorted(table.indices.items()), sorted(table.colours.items())]
    return repr(meaning).encode("utf-8", "surrogateescape")


def _content(one: Masked) -> bytes:
    try:
        return one.mask.digest()
    except DataError:
        return b"unreadable"  # that is said where it is to be read


def _fingerprint(table: ClassTable, parts: Mapping[str, Sequence[Masked]]) -> str:
    digest = hashlib.sha256(_meaning(table))
    with ThreadPoolExecutor(max_workers=4) as pool:
        for part in SPLIT_NAMES:
            for one, content in zip(parts[part], pool.map(_content, parts[part]), strict=True):
                line = f"{part}\t{one.id}\t{stored_size(one.path)}\n"
                digest.update(line.encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()
