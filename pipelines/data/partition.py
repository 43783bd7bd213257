"""From what a format lists to the parts of a set: what detection and segmentation share.

Both know an image by its id, its file and the part that the format states for it; what is labelled in it is their own.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeVar

import numpy as np

from pipelines.core.errors import DataError, unknown
from pipelines.data.formats.parsing import Fault, short
from pipelines.data.splits import SPLIT_NAMES, Example, Item, Label, Split, Splits, split_of
from pipelines.images.boxes import Objects

__all__ = [
    "Listed",
    "are_mirrored",
    "assign",
    "find_format",
    "is_kind",
    "naming_files",
    "read_whole",
    "refuse",
    "refuse_gaps",
    "refuse_shared",
    "refuse_twice",
    "stored_size",
    "tested_on",
]


class Listed(Protocol):
    """An image file of a set: its id, its path, and the part that the format states, or None."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def path(self) -> Path: ...  # noqa: D102
    @property
    def part(self) -> str | None: ...  # noqa: D102


One = TypeVar("One", bound=Listed)
Whole = TypeVar("Whole")

_NAMED = 20


# === Finding a set ===


def find_format(
    path: Path, format_of: Callable[[Path], ModuleType | None], task: str, source: str, expected: str
) -> ModuleType:
    """Tell by what lies at a path in which format a set is.

    Args:
        path: a file or a folder, without ``~``.
        format_of: gives the module that reads what lies at a path, or None.
        task: how messages call the kind of set, e.g. "detection".
        source: the embedded source of that kind.
        expected: what there could be, for the message.

    Returns:
        The module.

    Raises:
        DataError: if there is no such path, or nothing there is of a known format.
    """
    if not path.exists():
        if len(path.parts) == 1:
            names = [source, "tfds:NAME", f"the path of a {task} set"]
            raise DataError(unknown(f"{task} data source", str(path), names))
        raise DataError(f"{path}: there is no such file or folder")
    found = format_of(path)
    if found is None:
        hint = ""
        with contextlib.suppress(OSError):
            inner = (at for at in sorted(path.iterdir()) if at.is_dir() and not at.name.startswith("."))
            near = next((at for at in inner if format_of(at) is not None), None)
            hint = f"\nDid you mean {near}?" if near is not None else ""
        raise DataError(f"{path}: holds no {task} set; expected one of:\n{expected}{hint}")
    return found


def is_kind(
    data: str, source: str, in_tfds: Callable[[str], bool], format_of: Callable[[Path], ModuleType | None]
) -> bool:
    """Say whether a value of ``--data`` is of a kind of set; False also for what does not exist.

    Args:
        data: a name, ``tfds:NAME``, or a path.
        source: the embedded source of that kind.
        in_tfds: says whether a TFDS data set is of the kind.
        format_of: as for :func:`find_format`.
    """
    if data == source:
        return True
    if data.startswith("tfds:"):
        return in_tfds(data.removeprefix("tfds:"))
    with contextlib.suppress(OSError, RuntimeError):
        path = Path(data).expanduser()
        return path.exists() and format_of(path) is not None
    return False


@contextlib.contextmanager
def naming_files(path: Path) -> Iterator[None]:
    """Turn what the system says of a file below a path that cannot be read into ``DataError``."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{short(str(path))}: cannot be read: {reason}") from None


# === What is refused ===


def refuse(error: DataError) -> None:
    """Raise what a reader found wrong: the :data:`Fault` of whoever wants the set whole or not at all."""
    raise error


def read_whole(source: str, read: Callable[[Fault], Whole]) -> Whole:
    """Read a set that is wanted whole or not at all.

    Args:
        source: how the message calls it.
        read: reads it, and calls its argument with each thing that is wrong.

    Raises:
        DataError: naming all that is wrong, or the first 20 and how many more there are.
    """
    faults: list[DataError] = []
    found = None
    try:
        found = read(faults.append)
    except DataError as error:
        if not faults:
            raise
        faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if found is None or faults:
        lines = [f"  {one}" for one in faults[:_NAMED]]
        if len(faults) > _NAMED:
            lines.append(f"  and {len(faults) - _NAMED:,} more; `cnnapp check` with this data set lists all of them")
        raise DataError(f"{source}: {len(faults):,} things are wrong:\n" + "\n".join(lines))
    return found


def refuse_twice(images: Iterable[Listed], fault: Fault) -> None:
    """Call ``fault`` for each image that is listed more than once."""
    first: dict[Path, Listed] = {}
    for one in images:
        other = first.setdefault(one.path, one)
        if other is not one:
            parts = " and ".join(sorted({other.part or "no part", one.part or "no part"}))
            fault(DataError(f"{one.path}: is listed twice (in {parts}); list it once, in one part"))


def refuse_shared(parts: Mapping[str, Sequence[Listed]], others: Iterable[Listed], test: str) -> None:
    """Raise ``DataError`` for an image to be learned from that is also in ``others``, the set ``test``."""
    tested = {one.path.resolve() for one in others}
    for part in ("train", "validation"):
        for one in parts[part]:
            if one.path.resolve() in tested:
                raise DataError(f"{one.path}: is in the {part} part and in {test}, which is the test part")


# === Parts ===


def assign(images: Sequence[One], seed: int, *, with_test: bool = True) -> dict[str, list[One]]:
    """Give each image to a part.

    Where no parts are stated, an image's part is a seeded hash of its id. Where a training part and only one other are
    stated, that one is the test part, and 15 % of the training images are the validation part.

    Args:
        images: all of them; where parts are stated, those without one are left out.
        seed: of the hash of the ids.
        with_test: whether there is to be a test part; if not, the one that is stated is left out.

    Returns:
        The images of "train", "validation" and "test".
    """
    parts: dict[str, list[One]] = {part: [] for part in SPLIT_NAMES}
    stated = {one.part for one in images if one.part is not None}
    held_out = {"train": 0.85, "validation": 0.15}
    if "train" not in stated or stated == {"train"}:
        for one in images:
            parts[split_of(one.id, seed, None if with_test else held_out)].append(one)
        return parts
    needed = {"validation", "test"} if with_test else {"validation"}
    for one in images:
        part = one.part
        if part == "validation" and "test" not in stated and with_test:
            part = "test"
        elif part == "train" and not stated >= needed:
            part = split_of(one.id, seed, held_out)
        if part is not None and (with_test or part != "test"):
            parts[part].append(one)
    return parts


def stored_size(path: Path) -> int:
    """Return how many bytes a file has; -1 where that cannot be told, as of one that has vanished meanwhile."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def tested_on(
    splits: Splits[Label], other: Splits[Label], relabel: Callable[[Label, np.ndarray], Label]
) -> Splits[Label]:
    """Put the test part of another set in the place of the test part; its classes are found by name.

    Args:
        splits: the set that is learned from.
        other: the other set; each of its classes has to be one of ``splits``.
        relabel: from a label of ``other`` and, for each class of ``other``, its index in ``splits`` (int32), to a label
            of ``splits``.

    Returns:
        The parts of ``splits`` but for the last.

    Raises:
        DataError: naming a class that ``splits`` does not have.
    """
    strange = [name for name in other.classes if name not in splits.classes]
    if strange:
        raise DataError(
            f"{other.source}: class {strange[0]!r} is not a class of {splits.source}: {', '.join(splits.classes)}"
        )
    place = np.array([splits.classes.index(name) for name in other.classes], np.int32)

    def relabelled(example: Example[Label]) -> Example[Label]:
        return replace(example, label=relabel(example.label, place))

    def item(one: Item[Label]) -> Item[Label]:
        return replace(
            one, read=lambda: relabelled(one.read()), classes=lambda: [int(place[label]) for label in one.classes()]
        )

    items, examples = other.test.items, other.test.examples
    if items is None:
        test = Split("test", other.test.size, lambda: map(relabelled, examples()))
    else:
        test = Split.of("test", other.test.size, lambda: map(item, items()), other.test.ahead)
    digest = hashlib.sha256((splits.fingerprint + other.fingerprint).encode()).hexdigest()
    return replace(
        splits,
        source=f"{splits.source}, tested on {other.source}",
        test=test,
        fingerprint=digest,
    )


def are_mirrored(classes: Sequence[str]) -> bool:
    """Say whether mirror images keep their class; digits and letters do not."""
    return not all(len(name) == 1 or name.isdigit() for name in classes)


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
                f"{source}: the {part} part has {len(images):,} images but no object; "
                "add annotated images, or change --seed if the set has no fixed parts"
            )
    seen = {int(label) for objects in parts.get("train", []) for label in objects.class_ids[~objects.ignored]}
    for label, name in enumerate(classes):
        if label not in seen:
            raise DataError(
                f"{source}: class {name!r} has no object in the training part; add some, or remove the class"
            )
