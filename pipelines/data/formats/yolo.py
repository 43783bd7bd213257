"""YOLO: a text file an image, with a line ``class cx cy width height`` an object, in fractions of the image's size.

A line of more numbers is the outline of the object, ``class x1 y1 x2 y2 x3 y3 ...``, and the box is around it. The text
lies beside its image, or in a folder ``labels`` in place of ``images``; without one the image has no objects, as
with the tools of this format. ``data.yaml`` names the classes and the parts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from pipelines.core.errors import DataError
from pipelines.data.formats.annotations import NO_OBJECTS, Annotated, Annotations
from pipelines.data.formats.parsing import (
    Fault,
    class_names,
    images_in,
    inside,
    number,
    part_in,
    read_bytes,
    read_lines,
    short,
)
from pipelines.data.splits import SPLIT_NAMES
from pipelines.images.boxes import Objects
from pipelines.intake.documents import parse_yaml
from pipelines.intake.limits import LIMITS
from pipelines.intake.regular_file import is_there

__all__ = ["read", "recognises"]

_YAML = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_NAMES = ("classes.txt", "obj.names")
_NO_LABELS = frozenset({"classes", "train", "val", "valid", "test"})  # Stems of other texts that lie about.


def recognises(path: Path) -> bool:
    """Say whether a path looks like a YOLO set, or like its ``data.yaml``."""
    if is_there(path):
        return path.suffix.lower() in (".yaml", ".yml")
    if any(is_there(path / name) for name in _YAML):
        return True
    if (path / "images").is_dir() and (path / "labels").is_dir():
        return True
    return _names_file(path) is not None and any(file.stem not in _NO_LABELS for file in path.glob("*.txt"))


def read(path: Path, fault: Fault) -> Annotations:
    """Read a YOLO set.

    Args:
        path: its folder, or its ``data.yaml``.
        fault: is called with each thing that is wrong.

    Returns:
        Classes in the order of their indices. Boxes are relative.

    Raises:
        DataError: if the classes are not named anywhere, there is no image, or ``fault`` raises.
    """
    root = path.parent if is_there(path) else path
    stated = path if is_there(path) else next((root / name for name in _YAML if is_there(root / name)), None)
    content = _parse(stated) if stated is not None else {}
    classes = _names_of(content["names"], stated) if stated and "names" in content else _read_names(root)
    with_points = bool(content.get("kpt_shape"))
    places = list(_listed(root, stated, content, fault)) if stated is not None else []
    images = []
    texts: set[Path] = set()
    unlabelled = []
    for part, image in places or _found(root):
        text = _text_of(root, image)
        texts.add(text)
        objects = NO_OBJECTS
        if is_there(text):
            objects = _read_text(text, len(classes), with_points, fault)
        else:
            unlabelled.append(image)
        key = Path(os.path.relpath(image, root)).as_posix()
        images.append(Annotated(key, image, part, objects, relative=True))
    if not images:
        raise DataError(f"{path}: holds no image; expected some in {root / 'images'} or where data.yaml says")
    order = [*SPLIT_NAMES, None]
    images.sort(key=lambda one: (order.index(one.part), one.id))
    beside = {
        file for at in {text.parent for text in texts} for file in at.glob("*.txt") if file.stem not in _NO_LABELS
    }
    return Annotations(root, classes, tuple(images), tuple(sorted(unlabelled)), tuple(sorted(beside - texts)))


# === Classes ===


def _parse(file: Path) -> dict[str, Any]:
    content = parse_yaml(read_bytes(file, LIMITS.yaml_bytes), file)
    if not isinstance(content, dict):
        raise DataError(f"{file}: received {short(content)}; expected the keys names, train and val")
    return content


def _names_of(names: object, file: Path) -> tuple[str, ...]:
    if isinstance(names, dict):
        if set(names) != set(range(len(names))):
            raise DataError(
                f"{file}: names: received the indices {short(list(names))}; expected 0, 1, 2, ... without gaps"
            )
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{file}: names: received {short(names)}; expected a list of names, or names by index")
    return class_names(names, file, (f"names[{index}]" for index in count()))


def _names_file(root: Path) -> Path | None:
    places = (root, root / "labels")
    return next((at / name for at in places for name in _NAMES if is_there(at / name)), None)


def _read_names(root: Path) -> tuple[str, ...]:
    file = _names_file(root)
    if file is None:
        raise DataError(
            f"{root}: the classes are not named; expected data.yaml with 'names', or classes.txt with a name a line"
        )
    lines = read_lines(file, LIMITS.table_bytes)
    while lines and not lines[-1]:
        lines.pop()
    return _names_of(lines, file)


# === Images ===


def _listed(root: Path, file: Path, content: dict[str, Any], fault: Fault) -> Iterator[tuple[str | None, Path]]:
    """Give the images that ``data.yaml`` lists; of a part that is the training part again, nothing."""
    base = root
    stated = content.get("path")
    if isinstance(stated, str) and not os.path.isabs(stated) and "\0" not in stated:
        # Often where the folder lay on another machine; then the parts are found from the file itself.
        inner = Path(os.path.normpath(root / stated))
        base = inner if os.path.isdir(inner) and inner.is_relative_to(os.path.normpath(root)) else root
    for part, keys in (("train", ("train",)), ("validation", ("val", "valid", "validation")), ("test", ("test",))):
        key = next((key for key in keys if content.get(key)), None)
        if key is None or (part != "train" and content[key] == content.get("train")):
            continue
        entries = content[key] if isinstance(content[key], list) else [content[key]]
        for entry in entries:
            try:
                for image in _images_of(root, base, entry, file, key, fault):
                    yield part, image
            except DataError as error:
                fault(error)


def _images_of(root: Path, base: Path, entry: object, file: Path, key: str, fault: Fault) -> Iterator[Path]:
    text = entry.strip() if isinstance(entry, str) else entry
    if isinstance(text, str) and text.startswith("../") and not os.path.exists(os.path.normpath(base / text)):
        text = text[3:]  # As some exporters write it, seen from a folder that is not there.
    place = inside(root, base, text, file, key)
    if os.path.isdir(place):  # Unlike pathlib it also answers for a name that is too long.
        yield from images_in(place)
    elif place.suffix == ".txt" and is_there(place):
        yield from _images_in_list(root, base, place, fault)
    else:
        raise DataError(f"{file}: {key}: there is no folder {place}, nor a list of images of that name")


def _images_in_list(root: Path, base: Path, listing: Path, fault: Fault) -> Iterator[Path]:
    for line, name in enumerate(read_lines(listing, LIMITS.text_bytes), 1):
        if not name:
            continue
        try:
            tried = [inside(root, at, name, listing, f"line {line}") for at in (listing.parent, base)]
            found = next((path for path in tried if is_there(path)), None)
            if found is None:
                raise DataError(f"{listing}: line {line}: there is no image {short(name)} beside it or in {base}")
        except DataError as error:
            fault(error)
        else:
            yield found


def _found(root: Path) -> Iterator[tuple[str | None, Path]]:
    """Give the images where nothing lists them: in folders of parts, or without parts."""
    images = root / "images" if (root / "images").is_dir() else root
    folders = sorted(at for at in images.iterdir() if at.is_dir())
    parts = {at: part_in(at.name) for at in folders}
    if "train" in parts.values():
        for at, part in parts.items():
            yield from ((part, image) for image in images_in(at) if part is not None)
    else:
        yield from ((None, image) for image in images_in(images))


# === One file ===


def _text_of(root: Path, image: Path) -> Path:
    """Say where the text of an image lies, in the way of the format: the last "images" on the path becomes "labels"."""
    steps = list(Path(os.path.relpath(image, root)).parts)
    for index in range(len(steps) - 2, -1, -1):
        if steps[index] == "images":
            other = root.joinpath(*steps[:index], "labels", *steps[index + 1 :]).with_suffix(".txt")
            return other if other.parent.is_dir() else image.with_suffix(".txt")
    return image.with_suffix(".txt")


def _read_text(file: Path, classes: int, with_points: bool, fault: Fault) -> Objects:
    boxes, class_ids = [], []
    for line, text in enumerate(read_lines(file, LIMITS.text_bytes), 1):
        if text:
            try:
                label, box = _read_line(text, classes, with_points, file, f"line {line}")
            except DataError as error:
                fault(error)
            else:
                boxes.append(box)
                class_ids.append(label)
    return Objects.of(boxes, class_ids)


def _read_line(text: str, classes: int, with_points: bool, file: Path, field: str) -> tuple[int, list[float]]:
    first, *rest = (number(word, file, field) for word in text.split())
    if not first.is_integer() or not 0 <= first < classes:
        raise DataError(
            f"{file}: {field}: class {text.split()[0][:20]} does not exist; expected 0 to {classes - 1}, as named"
        )
    if len(rest) != 4 and not (len(rest) >= 6 and len(rest) % 2 == 0) and not (with_points and len(rest) > 4):
        raise DataError(
            f"{file}: {field}: received {len(rest) + 1} numbers; expected class cx cy width height, "
            "or class and three points or more"
        )
    if max(map(abs, rest)) > 2:
        raise DataError(
            f"{file}: {field}: received {max(rest, key=abs):g}; expected fractions of the image's size, 0 to 1"
        )
    if len(rest) == 4 or with_points:
        across, down, width, height = rest[:4]
        return int(first), [across - width / 2, down - height / 2, across + width / 2, down + height / 2]
    return int(first), [min(rest[::2]), min(rest[1::2]), max(rest[::2]), max(rest[1::2])]
