"""COCO: one JSON file a part, with the lists ``images``, ``annotations`` and ``categories``.

A box is ``[x, y, width, height]`` in pixels from the corner of the image. Images are looked for beside the file.

Reference:
    T.-Y. Lin et al. (2014), "Microsoft COCO: Common Objects in Context".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipelines.core.errors import DataError
from pipelines.data.formats.annotations import NO_OBJECTS, Annotated, Annotations
from pipelines.data.formats.parsing import Fault, class_name, images_in, inside, number, part_in, read_bytes, short
from pipelines.data.splits import SPLIT_NAMES
from pipelines.images.boxes import Objects
from pipelines.intake.documents import parse_json
from pipelines.intake.limits import LIMITS
from pipelines.intake.regular_file import is_there, open_regular, too_many_bytes

__all__ = ["Records", "Take", "files_of", "label_of", "read", "read_records", "recognises"]

Taken = TypeVar("Taken")
Take = Callable[[Mapping[str, Any], Path, str, Mapping[int, int]], Taken]
"""What takes from an annotation what a task learns: called with the annotation, its file, its field, the class ids."""

_HEAD_BYTES = 1 << 16
_LISTS = ("images", "annotations", "categories")


def recognises(path: Path) -> bool:
    """Say whether a path looks like a COCO file, or like a folder with such files."""
    return bool(files_of(path))


def files_of(path: Path) -> list[Path]:
    """List the files that a path looks to stand for: itself, or those in it."""
    if is_there(path):
        return [path] if path.suffix.lower() == ".json" else []
    return [file for _, file in _files(path)]


def _files(folder: Path) -> list[tuple[str | None, Path]]:
    """List the files of objects with the part in their names, from the first place that holds any."""
    for place in (folder / "annotations", folder):
        found = [file for file in sorted(place.glob("*.json")) if _looks_like(file)]
        # The annotations of COCO itself hold captions and keypoints too, of the same images.
        found = [file for file in found if file.stem.startswith("instances_")] or found
        if found:
            return [(part_in(file.stem), file) for file in found]
    inner = [at for at in sorted(folder.iterdir()) if at.is_dir() and part_in(at.name)]
    return [(part_in(at.name), file) for at in inner for file in sorted(at.glob("*.json")) if _looks_like(file)]


def _looks_like(file: Path) -> bool:
    with open_regular(file, "annotation file") as opened:
        size = os.fstat(opened.fileno()).st_size
        if size > LIMITS.json_bytes:
            raise DataError(too_many_bytes(str(file), size, LIMITS.json_bytes, "annotation file"))
        head = opened.read(_HEAD_BYTES)
    return any(f'"{name}"'.encode() in head for name in _LISTS)


def read(path: Path, fault: Fault) -> Annotations:
    """Read a COCO set.

    Args:
        path: a JSON file, which states no parts, or a folder of files that have the part in their names.
        fault: is called with each thing that is wrong.

    Returns:
        Classes in the order of their category ids; crowds are to be ignored.

    Raises:
        DataError: if a file is not COCO, the files are not one for each part, or ``fault`` raises.
    """
    found = read_records(path, fault, _object)
    images = tuple(
        replace(one, objects=Objects.of(*zip(*objects, strict=True))) if objects else one
        for one, objects in found.images
    )
    listed = {one.path for one in images}
    beside = sorted({image for at in {one.parent for one in listed} for image in images_in(at, deep=False)} - listed)
    return Annotations(found.root, found.classes, images, tuple(beside))


@dataclass(frozen=True, eq=False)
class Records(Generic[Taken]):
    """A COCO set as it is written.

    Args:
        root: its folder.
        classes: the names, in the order of the category ids.
        images: sorted by part and then by name, without objects, each with what was taken from its annotations.
    """

    root: Path
    classes: tuple[str, ...]
    images: tuple[tuple[Annotated, list[Taken]], ...]


def read_records(path: Path, fault: Fault, take: Take[Taken]) -> Records[Taken]:
    """Read a COCO set, with whatever its annotations are asked for.

    Args:
        path: as for :func:`read`.
        fault: likewise.
        take: takes what is wanted from an annotation, given its file, its place in that, and the class ids by the
            category ids; what it raises goes to ``fault``.

    Returns:
        All images, also those without annotations.

    Raises:
        DataError: as :func:`read`.
    """
    files = [(None, path)] if is_there(path) else _choose(path, _files(path))
    root = path if path.is_dir() else path.parent
    root = root.parent if root.name == "annotations" else root
    images: list[tuple[Annotated, list[Taken]]] = []
    classes: dict[int, str] | None = None
    for part, file in files:
        content = _parse(file)
        categories = _categories(content, file)
        if classes is not None and categories != classes:
            raise DataError(f"{file}: categories: are not those of {files[0][1]}; expected the same ids and names")
        classes = categories
        images += _File(file, root, part, fault).read(content, categories, take)
    order = [*SPLIT_NAMES, None]
    images.sort(key=lambda one: (order.index(one[0].part), one[0].id))
    return Records(root, tuple((classes or {}).values()), tuple(images))


def _choose(path: Path, files: list[tuple[str | None, Path]]) -> list[tuple[str | None, Path]]:
    """Give one file for each part, or one for all."""
    if len(files) == 1:
        return [(None, files[0][1])]
    names = ", ".join(str(file.relative_to(path)) for _, file in files)
    stated = [one for one in files if one[0] is not None]
    if len({part for part, _ in stated}) < len(stated) or "train" not in dict(stated):
        raise DataError(
            f"{path}: holds {names}; expected one file with 'train' in its name, and one each with 'val' and 'test', "
            "or the path of one file, which is then split by name"
        )
    return stated


# === One file ===


def _parse(file: Path) -> dict[str, list[Any]]:
    content = parse_json(read_bytes(file, LIMITS.json_bytes), file)
    if not isinstance(content, dict):
        raise DataError(f"{file}: received {short(content)}; expected an object with {', '.join(_LISTS)}")
    for name in _LISTS:
        if not isinstance(content.get(name), list):
            raise DataError(f"{file}: {name}: received {short(content.get(name))}; expected a list")
    return content


def _categories(content: Mapping[str, list[Any]], file: Path) -> dict[int, str]:
    """Read the names by their ids, in the order of the ids."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for index, record in enumerate(content["categories"]):
        field = f"categories[{index}]"
        record = _record(record, file, field)
        key = record.get("id")
        if not isinstance(key, int) or isinstance(key, bool) or key in names:
            raise DataError(
                f"{file}: {field}.id: received {short(key)}; expected an integer that no other category has"
            )
        name = class_name(record.get("name"), file, f"{field}.name")
        if name in taken:
            raise DataError(f"{file}: {field}.name: {short(name)} is the name of another category too; rename one")
        names[key] = name
        taken.add(name)
    if not names:
        raise DataError(f"{file}: categories: is empty; expected the names of the classes")
    return dict(sorted(names.items()))


def _record(value: object, file: Path, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{file}: {field}: received {short(value)}; expected an object")
    return value


class _File:
    """One file being read: where it lies, and where its images do."""

    def __init__(self, file: Path, root: Path, part: str | None, fault: Fault) -> None:
        self.file, self.root, self.part, self.fault = file, root, part, fault
        self.places = list(self._places())

    def _places(self) -> Iterator[Path]:
        stem = self.file.stem.removeprefix("instances_")
        short_names = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
        inner = dict.fromkeys([self.file.stem, stem, *short_names.get(self.part or "", ())])
        for at in dict.fromkeys([self.file.parent, self.root]):
            for name in inner:
                yield from (place for place in (at / name, at / "images" / name) if place.is_dir())
            yield from (place for place in (at / "images", at) if place.is_dir())

    def read(
        self, content: Mapping[str, list[Any]], categories: Mapping[int, str], take: Take[Taken]
    ) -> list[tuple[Annotated, list[Taken]]]:
        """Read the images, then what is annotated on them."""
        images: dict[int | str, Annotated] = {}
        known: set[int | str] = set()  # Also those that are left out, whose annotations are no further fault.
        for index, record in enumerate(content["images"]):
            field = f"images[{index}]"
            try:
                record = _record(record, self.file, field)
                key = self._key(record, "id", field)
                if key in known:
                    raise DataError(f"{self.file}: {field}.id: {short(key)} is the id of another image too")
                known.add(key)
                images[key] = self._image(record, field)
            except DataError as error:
                self.fault(error)
        labels = {key: label for label, key in enumerate(categories)}
        found: dict[int | str, list[Taken]] = {key: [] for key in known}
        for index, record in enumerate(content["annotations"]):
            field = f"annotations[{index}]"
            try:
                record = _record(record, self.file, field)
                key = self._key(record, "image_id", field)
                if key not in known:
                    raise DataError(f"{self.file}: {field}.image_id: there is no image {short(key)}")
                found[key].append(take(record, self.file, field, labels))
            except DataError as error:
                self.fault(error)
        return [(one, found[key]) for key, one in images.items()]

    def _key(self, record: Mapping[str, Any], name: str, field: str) -> int | str:
        key = record.get(name)
        if not isinstance(key, (int, str)) or isinstance(key, bool):
            raise DataError(f"{self.file}: {field}.{name}: received {short(key)}; expected the id of an image")
        return key

    def _image(self, record: Mapping[str, Any], field: str) -> Annotated:
        name = record.get("file_name")
        path = self._find(name, f"{field}.file_name")
        sides = [record.get(side) for side in ("height", "width")]
        size = None
        if None not in sides:
            height, width = (
                int(number(side, self.file, f"{field}.{key}"))
                for side, key in zip(sides, ("height", "width"), strict=True)
            )
            size = (height, width)
        identity = Path(os.path.relpath(path, self.root)).as_posix()
        return Annotated(identity, path, self.part, NO_OBJECTS, size=size)

    def _find(self, name: object, field: str) -> Path:
        refused = None
        for turn, place in enumerate(self.places):
            try:
                path = inside(self.root, place, name, self.file, field)
            except DataError as error:  # "../images/1.jpg" may leave one place, and be right from another.
                refused = refused or error
                continue
            if is_there(path):
                self.places.insert(0, self.places.pop(turn))
                return path
        if refused is not None:
            raise refused
        looked = ", ".join(map(str, self.places))
        raise DataError(f"{self.file}: {field}: there is no image {short(name)}; looked in {looked}")


# === One annotation ===


def _object(
    record: Mapping[str, Any], file: Path, field: str, labels: Mapping[int, int]
) -> tuple[list[float], int, bool]:
    box = record.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise DataError(f"{file}: {field}.bbox: received {short(box)}; expected [x, y, width, height]")
    left, top, width, height = (number(value, file, f"{field}.bbox") for value in box)
    return [left, top, left + width, top + height], *label_of(record, file, field, labels)


def label_of(record: Mapping[str, Any], file: Path, field: str, labels: Mapping[int, int]) -> tuple[int, bool]:
    """Take the class id of an annotation, and whether it is of a crowd; the arguments are those of a ``take``."""
    category = record.get("category_id")
    if not isinstance(category, int) or isinstance(category, bool) or category not in labels:
        raise DataError(f"{file}: {field}.category_id: there is no category {short(category)}")
    crowd = record.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise DataError(f"{file}: {field}.iscrowd: received {short(crowd)}; expected 0 or 1")
    return labels[category], bool(crowd)
