"""Pascal VOC segmentation: palette PNG masks in ``SegmentationClass``, images in ``JPEGImages``.

The parts are listed in ``ImageSets/Segmentation``. The contours of objects are 255, of which nothing is said. Where no
``classes.txt`` lies beside and no index is above 20, the classes are the 21 of VOC.

Reference:
    M. Everingham, S. Eslami, L. Van Gool, C. Williams, J. Winn, A. Zisserman (2015), "The Pascal Visual Object Classes
    Challenge: A Retrospective".
"""

from __future__ import annotations

from pathlib import Path

from pipelines.core.errors import DataError
from pipelines.data.formats.parsing import Fault, images_in
from pipelines.data.formats.voc import read_sets
from pipelines.data.masks.class_table import ClassTable, read_table
from pipelines.data.masks.mask_set import Masked, MaskFile, MaskSet, indices_in, table_of_indices
from pipelines.data.splits import SPLIT_NAMES

__all__ = ["CLASSES", "read", "recognises"]

CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""The classes of the challenge, in the order of their indices."""

_MASKS, _IMAGES = "SegmentationClass", "JPEGImages"


def recognises(path: Path) -> bool:
    """Say whether a path looks like a Pascal VOC set with masks."""
    return (path / _MASKS).is_dir() and (path / _IMAGES).is_dir()


def read(path: Path, fault: Fault, ignore: int | None) -> MaskSet:
    """Read a Pascal VOC set with masks.

    Args:
        path: the folder that holds ``SegmentationClass``.
        fault: is called with each thing that is wrong.
        ignore: an index that is no class.

    Returns:
        The images that are listed, or where none are, those that have a mask.

    Raises:
        DataError: if there are none, for what is wrong with the names of the classes, or if ``fault`` raises.
    """
    pictures = {image.stem: image for image in images_in(path / _IMAGES, deep=False)}
    masks = {mask.stem: mask for mask in images_in(path / _MASKS, deep=False)}
    stated = read_sets(path / "ImageSets" / "Segmentation", set(masks), ".png", fault)
    wanted = [stem for stem in masks if not stated or stem in stated]
    images, orphans = [], []
    for stem in wanted:
        image = pictures.get(stem)
        if image is not None:
            key = image.relative_to(path).as_posix()
            images.append(Masked(key, image, stated.get(stem), MaskFile(masks[stem])))
        elif stated:
            fault(DataError(f"{masks[stem]}: is listed, but there is no image {path / _IMAGES / stem}.jpg"))
        else:
            orphans.append(masks[stem])
    if not images:
        raise DataError(f"{path}: holds no image with a mask; expected images in {_IMAGES}, masks in {_MASKS}")
    order = [*SPLIT_NAMES, None]
    images.sort(key=lambda one: (order.index(one.part), one.id))
    table = read_table(path, ignore)
    if table is None:
        indices = indices_in([masks[stem] for stem in wanted], ignore)
        of_voc = ClassTable.of(dict(enumerate(CLASSES)), where=path, ignore=ignore)
        table = of_voc if max(indices, default=0) < len(CLASSES) else table_of_indices(indices, path, ignore)
    unlabelled = tuple(image for stem, image in pictures.items() if stem not in masks)
    return MaskSet(path, table, tuple(images), unlabelled, tuple(orphans))
