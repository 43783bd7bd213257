"""Look a data set over: everything that is wrong with it, at once."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pipelines.core.progress import Reporter
from pipelines.data.formats import class_folders
from pipelines.data.inspection import in_threads, items_of, look_at
from pipelines.data.splits import SPLIT_NAMES, Split

__all__ = ["Checked", "Problem", "Seen", "check", "check_duplicates", "check_images", "look"]

Looked = TypeVar("Looked")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Args:
        where: a file, a folder, or the data set.
        what: what is wrong with it.
        serious: whether training refuses it, or measures the wrong thing.
    """

    where: str
    what: str
    serious: bool = True

    def __str__(self) -> str:
        """Return the line to print."""
        return f"{self.where}: {self.what}"


@dataclass
class Checked:
    """What a check found.

    Args:
        summary: what there is, in lines.
        problems: the serious ones first.
    """

    summary: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Seen:
    """What looking at an image showed.

    Args:
        part: which part it is in.
        class_name: the class, or for other tasks whatever two images of the same content should share.
        name: how problems call it.
        digest: SHA-256 of its bytes, None if it is not readable.
        error: what reading or decoding it said, "where: what".
    """

    part: str
    class_name: str
    name: str
    digest: str | None
    error: str | None


def check(data: str, data_dir: Path | None, seed: int, reporter: Reporter) -> Checked:
    """Look a data set over.

    Args:
        data: the source, as for training.
        data_dir: where prepared tensorflow-datasets lie.
        seed: of the split, where the source does not say it.
        reporter: where progress is shown.

    Returns:
        What there is, and everything that is wrong: folders that are empty or cannot be read, a single class, parts
        without images, files that are no images, the same content in two parts or under two classes.

    Raises:
        DataError: if there is no such source at all.
    """
    found = Checked()
    path = Path(data).expanduser()
    if data == "digits" or data.startswith("tfds:") or not path.is_dir():
        from pipelines import data as sources

        splits = sources.load(data, data_dir, seed)
        total = sum(splits[part].size for part in SPLIT_NAMES)
        seen = look(_look_through({part: splits[part] for part in SPLIT_NAMES}, splits.classes), total, reporter)
    else:
        listing = class_folders.list_folder(path)
        _check_listing(listing, found)
        parts = class_folders.assign(listing, seed)
        _check_parts(listing, parts, found)
        files = {part: class_folders.split_of_files(part, parts[part], listing) for part in SPLIT_NAMES}
        seen = look(_look_through(files, listing.classes), len(listing.files), reporter)
    check_images(seen, found)
    check_duplicates(seen, found)
    found.summary = _summary(seen)
    found.problems.sort(key=lambda problem: not problem.serious)
    return found


def _check_listing(listing: class_folders.Listing, found: Checked) -> None:
    found.problems += [Problem(str(path), f"cannot be read: {reason}") for path, reason in listing.unreadable]
    found.problems += [Problem(str(path), "the class folder holds no image") for path in listing.empty]
    if len(listing.classes) < 2:
        what = "a single class" if listing.classes else "no class folders"
        found.problems.append(Problem(str(listing.root), f"{what}; at least two are needed"))


def _check_parts(listing: class_folders.Listing, parts: dict[str, list[tuple[str, Path]]], found: Checked) -> None:
    for part in SPLIT_NAMES:
        if not parts[part]:
            found.problems.append(Problem(str(listing.root), f"the {part} part has no image"))
            continue
        missing = set(listing.classes) - {class_name for class_name, _ in parts[part]}
        for class_name in sorted(missing):
            found.problems.append(
                Problem(str(listing.root), f"class {class_name!r} has no {part} image", serious=part == "train")
            )


def _look_through(parts: Mapping[str, Split[int]], classes: Sequence[str]) -> Iterator[Seen]:
    for part in SPLIT_NAMES:
        for item, looked in in_threads(look_at, items_of(parts[part])):
            class_name = next((classes[label] for label in item.classes()), "")
            digest = None if looked.example is None else hashlib.sha256(looked.example.image).hexdigest()
            yield Seen(part, class_name, item.id, digest, looked.fault)


def look(examples: Iterator[Looked], total: int, reporter: Reporter) -> list[Looked]:
    """Collect what an iterator finds out, and show how far it has come."""
    seen = []
    with reporter.meter("checking images", total) as meter:
        for one in examples:
            seen.append(one)
            meter.advance()
    return seen


def check_images(seen: Iterable[Seen], found: Checked) -> None:
    """List the images that cannot be read or decoded."""
    for one in seen:
        if one.error is not None:
            where, _, what = one.error.partition(": ")
            found.problems.append(Problem(where, what))


def check_duplicates(seen: Iterable[Seen], found: Checked, otherwise: str = "under another class") -> None:
    """List the images of the same content; ``otherwise`` says what is wrong where they do not share a class."""
    by_content: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        if one.digest is not None:
            by_content[one.digest].append(one)
    for same in by_content.values():
        first = same[0]
        for other in same[1:]:
            if other.class_name != first.class_name:
                what = f"has the same content as {first.name}, {otherwise}"
            elif other.part != first.part:
                what = f"({other.part}) has the same content as {first.name} ({first.part}): duplicate across parts"
            else:
                what = f"has the same content as {first.name}"
            serious = other.class_name != first.class_name or other.part != first.part
            found.problems.append(Problem(other.name, what, serious))


def _summary(seen: list[Seen]) -> list[str]:
    parts = Counter(one.part for one in seen)
    classes = Counter(one.class_name for one in seen)
    lines = [f"{len(seen):,} images: " + ", ".join(f"{parts[part]:,} {part}" for part in SPLIT_NAMES)]
    if classes:
        (most, many), (least, few) = classes.most_common(1)[0], classes.most_common()[-1]
        lines.append(f"{len(classes)} classes: {few:,} ({least}) to {many:,} ({most}) images")
    return lines
