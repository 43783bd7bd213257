"""Masks in folders: images in ``images``, and a mask of the same name for each in ``masks``.

The two lie in the folder itself, or in each of its part folders (``train/images``, ``train/masks``); and in them there
may be part folders in turn (``images/train``, ``masks/train``). The classes are named in the folder itself, as
:mod:`pipelines.data.masks.class_table` says, or are called by their indices.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.core.errors import DataError
from pipelines.data.formats.parsing import Fault, images_in, part_in
from pipelines.data.masks.class_table import read_table
from pipelines.data.masks.mask_set import Masked, MaskFile, MaskSet, indices_in, table_of_indices
from pipelines.data.splits import SPLIT_NAMES

__all__ = ["read", "recognises"]

_IMAGES, _MASKS = "images", "masks"


def recognises(path: Path) -> bool:
    """Say whether a path looks like folders of images and of masks."""
    return path.is_dir() and bool(_places(path))


def _places(path: Path) -> list[tuple[str | None, Path, Path]]:
    """Give the folders of images and of masks that belong together, with the part they are of."""
    if _has_both(path):
        inner = [(part_in(at.name), at.name) for at in sorted((path / _IMAGES).iterdir()) if at.is_dir()]
        if "train" not in dict(inner):
            return [(None, path / _IMAGES, path / _MASKS)]
        return [(part, path / _IMAGES / name, path / _MASKS / name) for part, name in inner if part is not None]
    inside = [at for at in sorted(path.iterdir()) if at.is_dir() and part_in(at.name) and _has_both(at)]
    return [(part_in(at.name), at / _IMAGES, at / _MASKS) for at in inside]


def _has_both(path: Path) -> bool:
    return (path / _IMAGES).is_dir() and (path / _MASKS).is_dir()


def read(path: Path, fault: Fault, ignore: int | None) -> MaskSet:
    """Read folders of images and masks.

    Args:
        path: the folder that holds them.
        fault: is called with each thing that is wrong.
        ignore: an index that is no class.

    Returns:
        All images that have a mask.

    Raises:
        DataError: if there are none, for what is wrong with the names of the classes, or if ``fault`` raises.
    """
    images: list[Masked] = []
    orphans: list[Path] = []
    files: list[Path] = []
    for part, at, masks_at in _places(path):
        pictures = _by_stem(at, fault)
        masks = _by_stem(masks_at, fault) if masks_at.is_dir() else {}
        for stem, image in pictures.items():
            mask = masks.get(stem)
            if mask is None:
                fault(DataError(f"{image}: has no mask; expected {masks_at / stem}.png; add it or remove the image"))
            else:
                files.append(mask)
                images.append(Masked(image.relative_to(path).as_posix(), image, part, MaskFile(mask)))
        orphans += [mask for stem, mask in masks.items() if stem not in pictures]
    if not images:
        raise DataError(f"{path}: holds no image with a mask; expected images in {_IMAGES}, masks in {_MASKS}")
    order = [*SPLIT_NAMES, None]
    images.sort(key=lambda one: (order.index(one.part), one.id))
    table = read_table(path, ignore) or table_of_indices(indices_in(files, ignore), path, ignore)
    return MaskSet(path, table, tuple(images), orphans=tuple(orphans))


def _by_stem(folder: Path, fault: Fault) -> Mapping[str, Path]:
    """List the images of a folder by their paths below it, without the ending."""
    found: dict[str, Path] = {}
    for image in images_in(folder):
        stem = image.relative_to(folder).with_suffix("").as_posix()
        other = found.setdefault(stem, image)
        if other is not image:
            fault(DataError(f"{image}: has the same name as {other.name}, so its mask is ambiguous; rename one"))
    return found
