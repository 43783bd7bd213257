"""Look a segmentation set over: everything that is wrong with it, at once."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipelines.core.errors import DataError
from pipelines.core.percent import percent
from pipelines.core.progress import Reporter
from pipelines.data import segmentation
from pipelines.data.checks.classification import Checked, Problem, Seen, check_duplicates, check_images, look
from pipelines.data.inspection import Looked, in_threads, items_of, look_at, room_for
from pipelines.data.masks.class_table import ClassTable
from pipelines.data.masks.mask_set import Masked, MaskSet, label
from pipelines.data.partition import assign
from pipelines.data.splits import SPLIT_NAMES, Example, Item, Splits
from pipelines.images import image_io
from pipelines.images.decoding import decoded_size
from pipelines.images.image_header import read_header
from pipelines.images.masks import IGNORED

__all__ = ["check"]

_MOST_VALUES = 20
_NAMED = 3  # How many are named of what is no more than worth knowing.


@dataclass(frozen=True, eq=False)
class _Looked:
    """An image and its mask that were looked at.

    ``size`` is (height, width) of the upright image, None where it cannot be read; ``counts`` the pixels of each class,
    int64 of shape (256,), None where the mask cannot be read; ``fault`` why it cannot, "where: what"; ``strange`` the
    pixels by the value that is no class and whether it is a colour; ``turned`` whether EXIF turns the image.
    """

    seen: Seen
    size: tuple[int, int] | None
    counts: np.ndarray | None
    fault: str = ""
    strange: Mapping[tuple[int, bool], int] = field(default_factory=dict)
    turned: bool = False


def check(data: str, data_dir: Path | None, seed: int, reporter: Reporter, ignore: int | None = None) -> Checked:
    """Look a segmentation set over.

    Args:
        data: the source, as for :func:`pipelines.data.segmentation.load`.
        data_dir: where prepared tensorflow-datasets lie.
        seed: of the split, where the source does not say it.
        reporter: where progress is shown.
        ignore: a value of the masks of which nothing is said.

    Returns:
        What there is, and everything that is wrong: images without mask and masks without image, either of which cannot
        be decoded, masks of another size than their image or with values that are no class, masks that say nothing,
        the same content in two parts or under two masks, parts without images and classes without a pixel in a part.

    Raises:
        DataError: if there is no such source at all, or nothing of it can be read.
        ConfigError: if ``ignore`` is no index, or the source has nothing to ignore.
    """
    found = Checked()
    if data == "scenes" or data.startswith("tfds:"):
        splits = segmentation.load_drawn(data, data_dir, seed, ignore)
        classes, total = splits.classes, sum(splits[part].size for part in SPLIT_NAMES)
        looked = look(_read_splits(splits), total, reporter)
    else:
        faults: list[DataError] = []
        listed = segmentation.read(Path(data), faults.append, ignore)
        found.problems += [_problem(str(error)) for error in faults]
        _check_pairs(listed, data, found)
        parts = assign(listed.images, seed)
        classes, total = listed.table.names, sum(map(len, parts.values()))
        looked = look(_read_files(parts, listed), total, reporter)
        _check_values(looked, listed.table, data, found)
    check_images([one.seen for one in looked], found)
    found.problems += [_problem(one.fault) for one in looked if one.fault]
    _check_masks(looked, data, found)
    check_duplicates([one.seen for one in looked], found, otherwise="with another mask")
    _check_parts(looked, classes, data, found)
    found.summary = _summary(looked, classes)
    found.problems.sort(key=lambda problem: not problem.serious)
    return found


def _problem(text: str) -> Problem:
    where, _, what = text.partition(": ")
    return Problem(where, what)


# === Reading ===


def _read_splits(splits: Splits[np.ndarray]) -> Iterator[_Looked]:
    def ask(item: Item[np.ndarray]) -> Looked[np.ndarray]:
        return look_at(item, segmentation.examine)

    for part in SPLIT_NAMES:
        for item, looked in in_threads(ask, items_of(splits[part])):
            if looked.example is None:
                yield _Looked(Seen(part, "", item.id, None, looked.fault), None, None)
            else:
                mask = looked.example.label
                digest = hashlib.sha256(looked.example.image).hexdigest()
                yield _Looked(Seen(part, _told(mask), item.id, digest, None), mask.shape, _count(mask))


def _read_files(parts: dict[str, list[Masked]], listed: MaskSet) -> Iterator[_Looked]:
    def look_at_file(file: tuple[str, Masked]) -> _Looked:
        part, one = file
        name = str(one.path)
        with room_for(one.path):
            try:
                image = image_io.read(one.path, name)
                size = decoded_size(image, name)
            except DataError as error:
                return _Looked(Seen(part, "", name, None, str(error)), None, None)
            digest = hashlib.sha256(image).hexdigest()
            try:
                read = label(one, listed.table)
                segmentation.examine(Example(name, image, read.mask), size)
                turned = read_header(one.path, name).orientation != 1
            except DataError as error:
                return _Looked(Seen(part, "", name, digest, None), size, None, str(error))
        strange = {(value, read.coloured): count for value, count in read.strange.items()}
        seen = Seen(part, _told(read.mask), name, digest, None)
        return _Looked(seen, size, _count(read.mask), strange=strange, turned=turned)

    files = ((part, one) for part in SPLIT_NAMES for one in parts[part])
    return (looked for _, looked in in_threads(look_at_file, files))


def _told(mask: np.ndarray) -> str:
    """Write a mask so that two images that are told the same compare equal."""
    return hashlib.sha256(repr(mask.shape).encode() + mask.tobytes()).hexdigest()


def _count(mask: np.ndarray) -> np.ndarray:
    return np.bincount(mask.ravel(), minlength=256)


# === What can be wrong ===


def _check_pairs(listed: MaskSet, data: str, found: Checked) -> None:
    found.problems += [Problem(str(path), "is a mask without an image") for path in listed.orphans]
    if listed.unlabelled:
        names = _some(path.name for path in listed.unlabelled)
        what = f"{len(listed.unlabelled):,} images have no mask and are not used: {names}"
        found.problems.append(Problem(data, what, serious=False))


def _check_values(looked: Sequence[_Looked], table: ClassTable, data: str, found: Checked) -> None:
    """List each value that is no class once, since it mostly is in many masks."""
    pixels: Counter[tuple[int, bool]] = Counter()
    masks: dict[tuple[int, bool], list[str]] = defaultdict(list)
    for one in looked:
        pixels.update(one.strange)
        for key in one.strange:
            masks[key].append(Path(one.seen.name).name)
    for (value, coloured), count in pixels.most_common(_MOST_VALUES):
        files = masks[value, coloured]
        what = (
            f"{count:,} pixels in the masks of {len(files):,} images ({_some(files)}) have "
            f"{table.call(value, coloured)}, {table.advise(value, coloured)}"
        )
        found.problems.append(Problem(data, what))
    if len(pixels) > _MOST_VALUES:
        found.problems.append(Problem(data, f"{len(pixels) - _MOST_VALUES:,} more values in the masks are not classes"))


def _check_masks(looked: Sequence[_Looked], data: str, found: Checked) -> None:
    silent = [Path(one.seen.name).name for one in looked if one.counts is not None and not _labelled(one.counts).any()]
    if silent:
        what = f"{len(silent):,} masks label no pixel: {_some(silent)}"
        found.problems.append(Problem(data, what, serious=False))
    turned = [Path(one.seen.name).name for one in looked if one.turned]
    if turned:
        what = (
            f"{len(turned):,} images are rotated upright according to EXIF, together with masks of the size in which "
            f"the image is stored; check that they match: {_some(turned)}"
        )
        found.problems.append(Problem(data, what, serious=False))


def _check_parts(looked: Sequence[_Looked], classes: Sequence[str], data: str, found: Checked) -> None:
    if len(classes) < 2:
        found.problems.append(Problem(data, segmentation.FEW))
    for part in SPLIT_NAMES:
        counts = [one.counts for one in looked if one.seen.part == part and one.counts is not None]
        if not counts:
            found.problems.append(Problem(data, f"the {part} part has no image with a mask"))
            continue
        shown = np.sum(counts, axis=0)
        missing = [repr(name) for number, name in enumerate(classes) if not shown[number]]
        if missing:
            which = f"class {missing[0]} has" if len(missing) == 1 else f"the classes {', '.join(missing)} have"
            found.problems.append(Problem(data, f"{which} no pixel in the {part} part", serious=part == "train"))


def _labelled(counts: np.ndarray) -> np.ndarray:
    return counts[..., :IGNORED]


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_NAMED]) + (", ..." if len(listed) > _NAMED else "")


# === What there is ===


def _summary(looked: Sequence[_Looked], classes: Sequence[str]) -> list[str]:
    images = Counter(one.seen.part for one in looked)
    lines = [f"{len(looked):,} images: " + ", ".join(f"{images[part]:,} {part}" for part in SPLIT_NAMES)]
    lines += _sizes([one.size for one in looked if one.size is not None])
    counts = np.array([one.counts for one in looked if one.counts is not None]).reshape(-1, 256)
    if not counts.any():
        return lines
    labelled = _labelled(counts)
    pixels, shown = labelled.sum(axis=0), (labelled > 0).mean(axis=0)
    wide = max(map(len, classes), default=0)
    lines.append(f"{len(classes)} {'class' if len(classes) == 1 else 'classes'}, by share of labelled pixels:")
    for number in np.argsort(-pixels[: len(classes)], kind="stable"):
        share = pixels[number] / max(1, pixels.sum())
        lines.append(
            f"  {classes[number]:<{wide}}  {percent(share, 3):>9} of the pixels, "
            f"in {percent(shown[number], 1):>7} of the images"
        )
    lines.append(f"{percent(counts[:, IGNORED].sum() / counts.sum(), 3)} of all pixels are ignored")
    return lines


def _sizes(sizes: Sequence[tuple[int, int]]) -> list[str]:
    if not sizes:
        return []
    counted = Counter(sizes)
    (height, width), often = counted.most_common(1)[0]
    if len(counted) == 1:
        return [f"all {width} x {height} pixels (width x height)"]
    (least_height, least_width), (most_height, most_width) = (
        choose(counted, key=lambda size: (size[0] * size[1], size)) for choose in (min, max)
    )
    return [
        f"{least_width} x {least_height} to {most_width} x {most_height} pixels (width x height), "
        f"{len(counted):,} sizes; {often:,} of {width} x {height}"
    ]
