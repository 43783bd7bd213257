"""Windows cut out around objects: a folder per class, and one of background that holds none.

Every image of a class is the object: one box covers it. There may be part folders above, as for classification.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.core.errors import DataError
from pipelines.data.formats import class_folders
from pipelines.data.formats.annotations import Annotated, Annotations
from pipelines.data.formats.parsing import Fault, class_name
from pipelines.data.splits import SPLIT_NAMES
from pipelines.images.boxes import Objects

__all__ = ["BACKGROUND", "read", "recognises"]

BACKGROUND = frozenset({"background", "backgrounds", "negative", "negatives", "neg", "none"})
"""The names, in small letters, of a folder of images without objects."""


def recognises(path: Path) -> bool:
    """Say whether a path looks like a folder of windows: by a folder of background, there or one below."""
    if not path.is_dir():
        return False
    folders = [inner for inner in path.iterdir() if inner.is_dir()]
    if any(inner.name.lower() in BACKGROUND for inner in folders):
        return True
    parts = [inner for inner in folders if inner.name.lower() in ("train", "training")]
    return any(inner.is_dir() and inner.name.lower() in BACKGROUND for part in parts for inner in part.iterdir())


def read(path: Path, fault: Fault) -> Annotations:
    """Read a folder of windows.

    Args:
        path: the folder that holds the class folders, or part folders with class folders.
        fault: is called with each thing that is wrong.

    Returns:
        Classes sorted by name, without the background.

    Raises:
        DataError: if there is no class besides the background, or ``fault`` raises.
    """
    listing = class_folders.list_folder(path)
    for at, reason in listing.unreadable:
        fault(DataError(f"{at}: cannot be read: {reason}"))
    for at in listing.empty:
        fault(DataError(f"{at}: the class folder holds no image; put some there or remove the folder"))
    names = [name for name in listing.classes if name.lower() not in BACKGROUND]
    if not names:
        raise DataError(f"{path}: holds only background; expected a folder of images for each class beside it")
    classes = tuple(class_name(name, path, "the name of a class folder") for name in names)
    labels = {name: label for label, name in enumerate(names)}
    images = []
    for part, name, file in listing.files:
        whole = [] if name.lower() in BACKGROUND else [labels[name]]
        objects = Objects.of([[0, 0, 1, 1]] * len(whole), whole)
        images.append(Annotated(file.relative_to(path).as_posix(), file, part, objects, relative=True))
    order = [*SPLIT_NAMES, None]
    images.sort(key=lambda one: (order.index(one.part), one.id))
    return Annotations(path, classes, tuple(images))
