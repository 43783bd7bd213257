"""Small data sets of each task on disk, whole and spoiled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from drawings import draw_scene, make_folder
from pipelines.data import SPLIT_NAMES, Splits
from pipelines.tasks.registry import find_task
from regression.task import Regression

CUT = "the image cannot be decoded: the file is damaged or incomplete"
NONE = "is not an image that can be read"
PARTS = {"train": 12, "val": 4, "test": 4}


def boxes(root: Path) -> Path:
    """Images with boxes, in COCO's format."""
    for part, count in PARTS.items():
        (root / part).mkdir(parents=True)
        images, annotations = [], []
        for number in range(count):
            picture, found = draw_scene(1000 * len(part) + number)
            picture.save(root / part / f"{number}.png")
            images.append({"id": number, "file_name": f"{part}/{number}.png"})
            annotations += [
                {"id": len(annotations) + at, "image_id": number, "category_id": kind, "bbox": [a, b, c - a, d - b]}
                for at, (kind, (a, b, c, d)) in enumerate(found)
            ]
        categories = [{"id": 0, "name": "cross"}, {"id": 1, "name": "disc"}]
        record = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"{part}.json").write_text(json.dumps(record))
    return root


def masks(root: Path) -> Path:
    """Images with masks of discs and crosses."""
    for part, count in PARTS.items():
        for kind in ("images", "masks"):
            (root / part / kind).mkdir(parents=True)
        for number in range(count):
            picture, found = draw_scene(1000 * len(part) + number, (37, 50))
            mask = np.zeros((37, 50), np.uint8)
            for kind, (left, top, right, bottom) in found:
                mask[top:bottom, left:right] = kind + 1
            picture.save(root / part / "images" / f"{number}.png")
            Image.fromarray(mask).save(root / part / "masks" / f"{number}.png")
    (root / "classes.txt").write_text("background\ncross\ndisc\n")
    return root


def numbers(root: Path) -> Path:
    """Images with a number each, of the fourth task."""
    root.mkdir()
    rows = []
    for number in range(60):
        value = number / 60
        Image.fromarray(np.full((18, 20), int(255 * value), np.uint8)).save(root / f"{number}.png")
        rows.append(f"{number}.png,{value:.6f}")
    (root / "values.csv").write_text("\n".join(rows) + "\n")
    return root


def classes(root: Path) -> Path:
    """Images of discs and crosses, in a folder per class."""
    for part, count in PARTS.items():
        make_folder(root, count=count, parts=(part,))
    return root


MADE = {"classification": classes, "detection": boxes, "segmentation": masks, "regression": numbers}


def task_of(name: str) -> Any:
    return Regression() if name == "regression" else find_task(name)


def load(name: str, root: Path, **options: Any) -> Splits[Any]:
    task = task_of(name)
    return task.load(task.config.parse(data=str(root), **options))  # type: ignore[no-any-return]


def files_of(name: str, root: Path) -> dict[str, list[Path]]:
    """Return the image files of each part, in order."""
    splits = load(name, root)
    return {part: [item.files[0] for item in splits[part].items()] for part in SPLIT_NAMES}  # type: ignore[misc]


def spoil(name: str, root: Path) -> dict[Path, str]:
    """Spoil an image or more of each part; return what is to be said of each."""
    files = files_of(name, root)
    bad: dict[Path, str] = {}
    for part, (first, second) in {part: paths[:2] for part, paths in files.items()}.items():
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(first, "JPEG")
        if name == "segmentation":
            Image.new("L", (64, 64)).save(first.parent.parent / "masks" / first.name)
        first.write_bytes(first.read_bytes()[:-400])
        bad[first] = CUT
        second.write_bytes(b"" if part == "test" else b"some text")
        bad[second] = "the file is empty" if part == "test" else NONE
    return bad
