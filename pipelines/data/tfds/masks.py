"""tensorflow-datasets: any of its segmentation sets, by name.

Such a set has the features ``image`` and ``segmentation_mask``, an index in each pixel of shape (height, width, 1).
Where the set does not name its classes, they are called by their indices, from the smallest that occurs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.errors import DataError
from pipelines.data.masks import mask_file
from pipelines.data.masks.class_table import ClassTable
from pipelines.data.masks.mask_file import Pixels
from pipelines.data.masks.mask_set import table_of_indices
from pipelines.data.partition import are_mirrored
from pipelines.data.splits import Splits
from pipelines.data.tfds import builder as tfds
from pipelines.images.image_header import read_header
from pipelines.images.masks import IGNORED

__all__ = ["has_masks", "load"]

_MASK = "segmentation_mask"
_KNOWN = {"oxford_iiit_pet": {1: "pet", 2: "background", 3: "border"}}


def load(name: str, data_dir: Path | None, seed: int, ignore: int | None = None) -> Splits[np.ndarray]:
    """Load a segmentation set of tensorflow-datasets, downloading and preparing it where that is possible.

    All masks are read once to see which classes there are, where the set does not name them.

    Args:
        name: as in ``tfds.load``: ``"oxford_iiit_pet"``, ...
        data_dir: the folder that holds prepared sets; tfds's own default otherwise.
        seed: seed of the split, where the set does not have all three parts.
        ignore: a value of the stored masks that is no class.

    Returns:
        The set's own test images, or its validation images where it has no others, or part of the training images.

    Raises:
        DataError: if the set does not exist, is not prepared and cannot be downloaded, or is no segmentation set;
            while it is read, for a mask of another size than its image, or a value that is no class.
    """
    builder = tfds.open_builder(name, data_dir)
    source = f"tfds:{name}"
    features = builder.info.features or {}
    if "image" not in features or _MASK not in features:
        raise DataError(f"{source}: has the features {', '.join(sorted(features))}; expected 'image' and '{_MASK}'")
    splits = builder.info.splits
    if "train" not in splits:
        raise DataError(f"{source}: has no train split (it has: {', '.join(sorted(splits))})")
    own = next((part for part in tfds.VALIDATION_NAMES if part in splits), None)
    stored = {"test": "test", "validation": own} if "test" in splits else {"test": own}
    kept = {part: one for part, one in stored.items() if one is not None}
    table = _table(builder, source, ["train", *kept.values()], ignore)

    def mask_of(example: dict[str, Any], image: bytes, key: str) -> np.ndarray:
        field = f"{key}: {_MASK}"
        pixels = mask_file.fit(_pixels(example[_MASK], key), read_header(example["image"], key), field, key)
        mask, strange = table.label(pixels, field)
        if strange:
            raise DataError(f"{field}: {table.describe(strange, coloured=False)}")
        return mask

    def classes_of(example: dict[str, Any], key: str) -> set[int]:
        mask, _ = table.label(_pixels(example[_MASK], key), f"{key}: {_MASK}")
        return set(np.unique(mask).tolist()) - {IGNORED}

    parts = tfds.parts(builder, name, seed, kept, mask_of, classes_of)
    content = f"{tfds.fingerprint(builder, seed)}:{ignore}"
    return Splits(
        source=source,
        classes=table.names,
        mirrored=are_mirrored(table.names) or not table.named,
        fingerprint=hashlib.sha256(content.encode()).hexdigest(),
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
    )


def has_masks(name: str, data_dir: Path | None) -> bool:
    """Say whether a set of tensorflow-datasets has masks; False also for one that does not exist."""
    try:
        builder = tfds.find_builder(name, data_dir)
    except DataError:
        return False
    return _MASK in (builder.info.features or {})


def _table(builder: Any, source: str, stored: list[str], ignore: int | None) -> ClassTable:
    named = getattr(builder.info.features[_MASK], "names", None) or ()
    names = dict(enumerate(map(str, named))) or _KNOWN.get(builder.info.name)
    if names:
        return ClassTable.of(names, where=source, ignore=ignore)
    occurring: set[int] = set()
    for part in stored:
        for number, example in enumerate(tfds.read_stored(builder, part)):
            occurring.update(np.unique(_pixels(example[_MASK], f"{source}/{part}/{number}").values).tolist())
    indices = sorted(value for value in occurring - {ignore} if 0 <= value < IGNORED)
    return table_of_indices(indices, source, ignore, first=min(indices, default=0))


def _pixels(written: np.ndarray, key: str) -> Pixels:
    if written.ndim == 3 and written.shape[2] == 1:
        written = written[..., 0]
    if written.ndim != 2 or written.dtype.kind not in "iub":
        raise DataError(
            f"{key}: {_MASK}: received {written.dtype} of shape {written.shape}; expected integers of shape "
            "(height, width, 1)"
        )
    return Pixels(written if written.dtype == np.uint8 else written.astype(np.int64))
