"""Pascal VOC: an XML file an image in ``Annotations``, images in ``JPEGImages``, parts in ``ImageSets/Main``.

Coordinates are indices of pixels that start with 1, and the last pixel belongs to the box: ``xmin`` = 1 is the left
edge of the image, and ``xmax`` = width the right one. So a box begins at ``xmin`` - 1, and ends at ``xmax``. Tools that
count from 0 write an ``xmin`` of 0, which is no index of VOC's; it is taken for the edge of the image. A box whose
``xmax`` is its ``xmin`` would be one pixel wide; nobody labels such an object, it is a slip of the mouse, and counts as
a box without area.

Reference:
    M. Everingham, L. Van Gool, C. Williams, J. Winn, A. Zisserman (2010), "The Pascal Visual Object Classes (VOC)
    Challenge".
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from pipelines.core.errors import DataError
from pipelines.data.formats.annotations import Annotated, Annotations
from pipelines.data.formats.parsing import Fault, class_name, images_in, inside, number, read_bytes, short
from pipelines.data.splits import SPLIT_NAMES
from pipelines.images.boxes import Objects
from pipelines.intake.documents import parse_xml
from pipelines.intake.limits import LIMITS
from pipelines.intake.regular_file import is_there

__all__ = ["read", "read_sets", "recognises"]

_SETS = {"train": "train", "validation": "val", "test": "test"}


def recognises(path: Path) -> bool:
    """Say whether a path looks like a Pascal VOC set."""
    return _folders(path) is not None


def _folders(path: Path) -> tuple[Path, Path] | None:
    """Give the folders of the annotations and of the images."""
    for files, images in (("Annotations", "JPEGImages"), ("annotations", "images")):
        if (path / images).is_dir() and (path / files).is_dir() and any((path / files).glob("*.xml")):
            return path / files, path / images
    return None


def read(path: Path, fault: Fault) -> Annotations:
    """Read a Pascal VOC set.

    Args:
        path: the folder that holds ``Annotations``.
        fault: is called with each thing that is wrong.

    Returns:
        Classes sorted by name; difficult objects are to be ignored.

    Raises:
        DataError: if ``fault`` does.
    """
    folders = _folders(path)
    if folders is None:
        raise DataError(f"{path}: expected the folders Annotations, with .xml files, and JPEGImages")
    images = {image.stem: image for image in images_in(folders[1], deep=False)}
    files = {file.stem: file for file in sorted(folders[0].glob("*.xml"))}
    stated = read_sets(path / "ImageSets" / "Main", set(files), ".xml", fault)
    read_files = []
    for stem, file in files.items():
        if stated and stem not in stated:
            continue
        try:
            read_files.append(_File(file, path, images.get(stem), folders[1], fault))
        except DataError as error:
            fault(error)
    classes = sorted({name for one in read_files for name in one.names})
    labels = {name: label for label, name in enumerate(classes)}
    annotated = [
        Annotated(
            one.image.relative_to(path).as_posix(),
            one.image,
            stated.get(one.file.stem),
            Objects.of(one.boxes, [labels[name] for name in one.names], one.ignored),
            size=one.size,
        )
        for one in read_files
    ]
    order = [*SPLIT_NAMES, None]
    annotated.sort(key=lambda one: (order.index(one.part), one.id))
    unlabelled = tuple(image for stem, image in images.items() if stem not in files)
    return Annotations(path, tuple(classes), tuple(annotated), unlabelled)


# === Parts ===


def read_sets(sets: Path, known: set[str], suffix: str, fault: Fault) -> dict[str, str]:
    """Read which part each name is in, as the lists of a folder state it.

    Args:
        sets: the folder of the lists, below ``ImageSets``.
        known: the names that there are.
        suffix: of the files of these names.
        fault: is called with each thing that is wrong.

    Returns:
        The part by the name; nothing where no training names are listed.
    """
    names = {part: _read_names(sets / f"{stem}.txt", known, suffix, fault) for part, stem in _SETS.items()}
    if not names["train"]:
        held_out = set(names["validation"])
        both = _read_names(sets / "trainval.txt", known, suffix, fault)
        names["train"] = [name for name in both if name not in held_out]
    if not names["train"]:
        return {}
    stated: dict[str, str] = {}
    for part, listed in names.items():
        for name in listed:
            if stated.setdefault(name, part) != part:
                fault(
                    DataError(f"{sets}: {name} is in {_SETS[stated[name]]}.txt and in {_SETS[part]}.txt; list it once")
                )
    return stated


def _read_names(file: Path, known: set[str], suffix: str, fault: Fault) -> list[str]:
    if not is_there(file):
        return []
    names = []
    for line, text in enumerate(read_bytes(file, LIMITS.text_bytes).decode("utf-8-sig", "replace").splitlines(), 1):
        name = text.strip()
        if name and name not in known:
            name = name.split()[0]  # The lists of one class have 1, 0 or -1 behind the name.
        if name and name not in known:
            fault(
                DataError(
                    f"{file}: line {line}: there is no annotation {short(name + suffix)}; add it or remove the line"
                )
            )
        elif name:
            names.append(name)
    return names


# === One file ===


class _File:
    """One annotation file, as it is written."""

    def __init__(self, file: Path, root: Path, image: Path | None, folder: Path, fault: Fault) -> None:
        tree = _parse(file)
        self.file = file
        if image is None:
            # The name inside may be an old one; it is asked only where no image is called like the annotation.
            image = inside(root, folder, _text(tree, "filename", file), file, "filename")
            if not is_there(image):
                raise DataError(f"{file}: filename: there is no image {image}, nor one named {file.stem} next to it")
        self.image = image
        self.size = _size(tree, file)
        self.names: list[str] = []
        self.boxes: list[list[float]] = []
        self.ignored: list[bool] = []
        for index, element in enumerate(tree.findall("object")):
            field = f"object[{index}]"
            try:
                name = class_name(_text(element, "name", file, field), file, f"{field}.name")
                box = _box(element, file, field)
                difficult = _flag(element, file, field)
            except DataError as error:
                fault(error)
            else:
                self.names.append(name)
                self.boxes.append(box)
                self.ignored.append(difficult)


def _parse(file: Path) -> ElementTree.Element:
    tree = parse_xml(read_bytes(file, LIMITS.xml_bytes), file)
    if tree.tag != "annotation":
        raise DataError(f"{file}: has the root {short(tree.tag)}; expected 'annotation'")
    return tree


def _text(element: ElementTree.Element, name: str, file: Path, field: str = "") -> str:
    text = (element.findtext(name) or "").strip()
    if not text:
        raise DataError(f"{file}: {field}{'.' if field else ''}{name}: is missing or empty")
    return text


def _box(element: ElementTree.Element, file: Path, field: str) -> list[float]:
    edges = element.find("bndbox")
    if edges is None:
        raise DataError(f"{file}: {field}.bndbox: is missing; expected xmin, ymin, xmax and ymax in it")
    inner = f"{field}.bndbox"
    left, top, right, bottom = (
        number(_text(edges, name, file, inner), file, f"{inner}.{name}") for name in ("xmin", "ymin", "xmax", "ymax")
    )
    left, right = _edges(left, right)
    top, bottom = _edges(top, bottom)
    return [left, top, right, bottom]


def _edges(first: float, last: float) -> tuple[float, float]:
    """Turn the indices of the first and the last pixel into edges.

    Example:
        >>> _edges(1, 640), _edges(0, 640), _edges(7, 7)
        ((0, 640), (0, 640), (6, 6))
    """
    start = first if first == 0 else first - 1
    return start, last if last > first else start + last - first


def _flag(element: ElementTree.Element, file: Path, field: str) -> bool:
    text = (element.findtext("difficult") or "0").strip().lower()
    if text not in ("0", "1", "true", "false"):
        raise DataError(f"{file}: {field}.difficult: received {short(text)}; expected 0 or 1")
    return text in ("1", "true")


def _size(tree: ElementTree.Element, file: Path) -> tuple[int, int] | None:
    declared = tree.find("size")
    if declared is None:
        return None
    height, width = (number(declared.findtext(name) or "0", file, f"size.{name}") for name in ("height", "width"))
    return (int(height), int(width)) if height > 0 and width > 0 else None  # Some tools write 0 for what they omit.
