"""Look a detection set over: everything that is wrong with it, at once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.core.errors import DataError
from pipelines.core.progress import Reporter
from pipelines.data import detection
from pipelines.data.checks.classification import Checked, Problem, Seen, check_duplicates, check_images, look
from pipelines.data.embedded import scenes
from pipelines.data.formats import annotations as formats
from pipelines.data.inspection import Looked, in_threads, items_of, look_at
from pipelines.data.object_sizes import LEGIBLE, choose_scales, too_small
from pipelines.data.partition import assign
from pipelines.data.splits import SPLIT_NAMES, Splits
from pipelines.data.tfds import boxes as tfds_objects
from pipelines.images.boxes import Objects

__all__ = ["check"]

_SLACK = 0.01  # Pixels: what rounding fractions of the image's size may add to a box that ends at its edge.
_NAMED = 3  # How many are named of what is no more than worth knowing.


@dataclass(frozen=True, eq=False)
class _Looked:
    """An image that was looked at, and its objects in pixels, with those of no area.

    ``size`` is its (height, width), None where it cannot be read; ``declared`` what the annotation says of that.
    """

    seen: Seen
    objects: Objects
    size: tuple[int, int] | None
    declared: tuple[int, int] | None = None


def check(data: str, data_dir: Path | None, seed: int, reporter: Reporter) -> Checked:
    """Look a detection set over.

    Args:
        data: the source, as for :func:`pipelines.data.detection.load`.
        data_dir: where prepared tensorflow-datasets lie.
        seed: of the split, where the source does not say it.
        reporter: where progress is shown.

    Returns:
        What there is, and everything that is wrong: annotations that cannot be read or name what does not exist,
        annotations without image and images without annotation, images that cannot be decoded or are not of the
        declared size, boxes outside their image or without area, objects too small to be told, the same content in two
        parts, parts without objects and classes without objects in a part.

    Raises:
        DataError: if there is no such source at all, or nothing of it can be read.
    """
    found = Checked()
    if data == "scenes" or data.startswith("tfds:"):
        splits = (
            scenes.load(seed)
            if data == "scenes"
            else tfds_objects.load(data.removeprefix("tfds:"), data_dir, seed, as_written=True)
        )
        classes, total = splits.classes, sum(splits[part].size for part in SPLIT_NAMES)
        looked = look(_read_splits(splits), total, reporter)
    else:
        faults: list[DataError] = []
        annotations = detection.read(Path(data), faults.append)
        found.problems += [_problem(error) for error in faults]
        _check_pairs(annotations, data, found)
        parts = assign(annotations.images, seed)
        classes, total = annotations.classes, sum(map(len, parts.values()))
        looked = look(_read_files(parts), total, reporter)
    check_images([one.seen for one in looked], found)
    _check_boxes(looked, classes, data, found)
    _check_legibility(looked, classes, data, found)
    _check_sizes(looked, found)
    check_duplicates([one.seen for one in looked], found, otherwise="with other objects")
    _check_parts(looked, classes, data, found)
    found.summary = _summary(looked, classes)
    found.problems.sort(key=lambda problem: not problem.serious)
    return found


def _problem(error: DataError) -> Problem:
    where, _, what = str(error).partition(": ")
    return Problem(where, what)


# === Reading ===


def _read_splits(splits: Splits[Objects]) -> Iterator[_Looked]:
    for part in SPLIT_NAMES:
        for item, looked in in_threads(look_at, items_of(splits[part])):
            yield _looked(part, item.id, looked, formats.NO_OBJECTS)


def _read_files(parts: dict[str, list[formats.Annotated]]) -> Iterator[_Looked]:
    for part in SPLIT_NAMES:
        items = items_of(detection.split_of_images(part, parts[part]))
        for one, (_, looked) in zip(parts[part], in_threads(look_at, items), strict=True):
            known = formats.NO_OBJECTS if one.relative else one.objects
            yield _looked(part, str(one.path), looked, known, one.size)


def _looked(
    part: str, name: str, looked: Looked[Objects], known: Objects, declared: tuple[int, int] | None = None
) -> _Looked:
    """Sum up a look at an image; ``known`` are its objects where it cannot be read."""
    if looked.example is None:
        return _Looked(Seen(part, "", name, None, looked.fault), known, None)
    digest = hashlib.sha256(looked.example.image).hexdigest()
    objects = looked.example.label
    return _Looked(Seen(part, _told(objects), name, digest, None), objects, looked.size, declared)


def _told(objects: Objects) -> str:
    """Write the objects so that two images that are told the same compare equal."""
    return str(sorted(zip(objects.class_ids.tolist(), objects.boxes.tolist(), strict=True)))


# === What can be wrong ===


def _check_pairs(annotations: formats.Annotations, data: str, found: Checked) -> None:
    found.problems += [Problem(str(path), "is an annotation without an image") for path in annotations.orphans]
    used = {one.path for one in annotations.images}
    for taken, what in ((True, "treated as background"), (False, "not used")):
        images = [path for path in annotations.unlabelled if (path in used) == taken]
        if images:
            text = f"{len(images):,} images have no annotation and are {what}: {_some(path.name for path in images)}"
            found.problems.append(Problem(data, text, serious=False))


def _check_boxes(looked: Sequence[_Looked], classes: Sequence[str], data: str, found: Checked) -> None:
    reaching: list[str] = []
    for one in looked:
        for box, label in zip(one.objects.boxes, one.objects.class_ids, strict=True):
            left, top, right, bottom = box.tolist()
            name = f"{classes[label]} at " + ", ".join(f"{edge:g}" for edge in (left, top, right, bottom))
            if not (right > left and bottom > top):
                what = f"the box of {name} has no area; it is skipped"
                found.problems.append(Problem(one.seen.name, what, serious=False))
            elif one.size is not None:
                height, width = one.size
                if right <= 0 or bottom <= 0 or left >= width or top >= height:
                    what = f"the box of {name} lies entirely outside the image of {width} x {height} pixels"
                    found.problems.append(Problem(one.seen.name, what))
                elif min(left, top) < -_SLACK or right > width + _SLACK or bottom > height + _SLACK:
                    reaching.append(one.seen.name)
    if reaching:
        images = _some(dict.fromkeys(Path(name).name for name in reaching))
        what = f"{len(reaching):,} boxes extend beyond their image and are kept unclipped: {images}"
        found.problems.append(Problem(data, what, serious=False))


def _check_legibility(looked: Sequence[_Looked], classes: Sequence[str], data: str, found: Checked) -> None:
    """Count the objects that are too small for the scale that training would choose."""
    kept = [(one, formats.with_area(one.objects)) for one in looked]
    wanted = [(one, objects.boxes[~objects.ignored], objects.class_ids[~objects.ignored]) for one, objects in kept]
    taught = [(boxes, class_ids) for one, boxes, class_ids in wanted if one.seen.part == "train" and len(boxes)]
    if not taught:
        return
    train_boxes, class_ids = (np.concatenate(part) for part in zip(*taught, strict=True))
    cut_out = all(one.size is not None and (boxes == [[0, 0, *one.size[::-1]]]).all() for one, boxes, _ in wanted)
    scales = choose_scales(_sides(train_boxes), class_ids, windows=cut_out)
    small: Counter[str] = Counter()
    files = []
    for one, boxes, class_ids in wanted:
        at = too_small(_sides(boxes), scales)
        small.update(classes[label] for label in class_ids[at])
        files += [Path(one.seen.name).name] * bool(at.any())
    if small:
        side = LEGIBLE / scales.scale
        kinds = ", ".join(f"{name} {count:,}" for name, count in small.most_common())
        what = (
            f"{small.total():,} objects ({kinds}) are smaller than {side:.3g} x {side:.3g} pixels: at the scale of "
            f"{scales.scale:.3g} that training chooses, most of them are missed: {_some(files)}; "
            + ("try a larger --scale" if scales.scale < 1 else "try enlarging them with --scale 2")
        )
        found.problems.append(Problem(data, what, serious=False))


def _sides(boxes: np.ndarray) -> np.ndarray:
    return np.stack([boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]], axis=1)


def _check_sizes(looked: Sequence[_Looked], found: Checked) -> None:
    for one in looked:
        if one.size is not None and one.declared is not None and one.size != one.declared:
            (height, width), (told_height, told_width) = one.size, one.declared
            what = (
                f"is {width} x {height} pixels (width x height, upright), but annotated as {told_width} x {told_height}"
            )
            found.problems.append(Problem(one.seen.name, what))


def _check_parts(looked: Sequence[_Looked], classes: Sequence[str], data: str, found: Checked) -> None:
    for part in SPLIT_NAMES:
        counts = _per_class([one for one in looked if one.seen.part == part])
        if not counts:
            found.problems.append(Problem(data, f"the {part} part has no object"))
            continue
        for label, name in enumerate(classes):
            if not counts[label]:
                what = f"class {name!r} has no object in the {part} part"
                found.problems.append(Problem(data, what, serious=part == "train"))


def _per_class(looked: Iterable[_Looked]) -> Counter[int]:
    """Count the objects that are to be found: not those without area, and not those that are ignored."""
    counts: Counter[int] = Counter()
    for one in looked:
        objects = formats.with_area(one.objects)
        counts.update(objects.class_ids[~objects.ignored].tolist())
    return counts


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_NAMED]) + (", ..." if len(listed) > _NAMED else "")


# === What there is ===


def _summary(looked: Sequence[_Looked], classes: Sequence[str]) -> list[str]:
    images = Counter(one.seen.part for one in looked)
    objects = {part: sum(_per_class(one for one in looked if one.seen.part == part).values()) for part in SPLIT_NAMES}
    lines = [
        f"{len(looked):,} images: " + ", ".join(f"{images[part]:,} {part}" for part in SPLIT_NAMES),
        f"{sum(objects.values()):,} objects: " + ", ".join(f"{objects[part]:,} {part}" for part in SPLIT_NAMES),
    ]
    ignored = sum(int(formats.with_area(one.objects).ignored.sum()) for one in looked)
    if ignored:
        lines.append(f"{ignored:,} more are ignored (difficult, or crowds)")
    counts = _per_class(looked)
    per_class = ", ".join(f"{name} {counts[label]:,}" for label, name in enumerate(classes))
    lines.append(f"{len(classes)} {'class' if len(classes) == 1 else 'classes'}: {per_class}")
    return lines + _sizes(looked, classes)


def _sizes(looked: Sequence[_Looked], classes: Sequence[str]) -> list[str]:
    boxes, told = [], []
    for one in looked:
        objects = formats.with_area(one.objects)
        boxes.append(objects.boxes)
        told += [(classes[label], Path(one.seen.name).name) for label in objects.class_ids]
    if not told:
        return []
    left, top, right, bottom = np.concatenate(boxes).T
    widths, heights = right - left, bottom - top
    smallest = np.argsort(widths * heights, kind="stable")[:_NAMED]
    named = [f"{told[at][0]} of {widths[at]:.3g} x {heights[at]:.3g} in {told[at][1]}" for at in smallest]
    return [
        "box widths: " + _quantiles(widths),
        "box heights: " + _quantiles(heights),
        "smallest objects: " + ", ".join(named),
    ]


def _quantiles(sides: np.ndarray) -> str:
    least, low, middle, high, most = np.quantile(sides, [0, 0.05, 0.5, 0.95, 1])
    return f"{least:.3g} to {most:.3g} pixels, median {middle:.3g}, 5 to 95 %: {low:.3g} to {high:.3g}"
