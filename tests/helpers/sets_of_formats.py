"""The smallest sets of every format that is read, of which a test may spoil a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from drawings import draw_shape

__all__ = ["READERS", "Reader"]

SIZE = (20, 24)


def _picture(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_shape(("cross", "disc")[number % 2], number, SIZE).save(path)


def _mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros(SIZE, np.uint8)
    values[5:15, 5:15] = 1
    Image.fromarray(values).save(path)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def class_folders(root: Path) -> Path:
    for part in ("train", "val", "test"):
        for number in range(2):
            _picture(root / part / ("cross", "disc")[number] / "0.png", number)
    return root


def windows(root: Path) -> Path:
    for part in ("train", "val", "test"):
        for number, name in enumerate(("cross", "disc", "background")):
            _picture(root / part / name / "0.png", number)
    return root


def voc(root: Path) -> Path:
    for number, part in enumerate(("train", "val", "test")):
        _picture(root / "JPEGImages" / f"{number}.png", 0)
        box = "<xmin>2</xmin><ymin>2</ymin><xmax>20</xmax><ymax>18</ymax>"
        body = f"<object><name>cross</name><bndbox>{box}</bndbox></object>"
        _write(root / "Annotations" / f"{number}.xml", f"<annotation>{body}</annotation>")
        _write(root / "ImageSets" / "Main" / f"{part}.txt", f"{number}\n")
    return root


def coco(root: Path) -> Path:
    for number, part in enumerate(("train", "val", "test")):
        _picture(root / part / f"{number}.png", number)
        content = {
            "images": [{"id": 1, "file_name": f"{number}.png", "height": SIZE[0], "width": SIZE[1]}],
            "categories": [{"id": 1, "name": "cross"}],
            "annotations": [
                {
                    "image_id": 1,
                    "category_id": 1,
                    "bbox": [2, 2, 10, 10],
                    "iscrowd": 0,
                    "segmentation": [[2, 2, 12, 2, 12, 12]],
                }
            ],
        }
        _write(root / "annotations" / f"instances_{part}.json", json.dumps(content))
    return root


def yolo(root: Path) -> Path:
    for number, part in enumerate(("train", "val", "test")):
        _picture(root / "images" / part / "0.png", number)
        _write(root / "labels" / part / "0.txt", "0 0.5 0.5 0.4 0.4\n")
    _write(root / "data.yaml", "names: [cross]\ntrain: train.txt\nval: images/val\ntest: images/test\n")
    _write(root / "train.txt", "images/train/0.png\n")
    return root


def yolo_with_names(root: Path) -> Path:
    yolo(root)
    (root / "data.yaml").unlink()
    (root / "train.txt").unlink()
    _write(root / "classes.txt", "cross\n")
    return root


def masks(root: Path) -> Path:
    for number, part in enumerate(("train", "val", "test")):
        _picture(root / part / "images" / "0.png", number)
        _mask(root / part / "masks" / "0.png")
    _write(root / "classes.txt", "ground\nthing\n")
    return root


def masks_with_colours(root: Path) -> Path:
    masks(root)
    (root / "classes.txt").unlink()
    _write(root / "classes.csv", "name,r,g,b\nground,0,0,0\nthing,1,1,1\n")
    return root


def masks_of_voc(root: Path) -> Path:
    for number, part in enumerate(("train", "val", "test")):
        _picture(root / "JPEGImages" / f"{number}.png", number)
        _mask(root / "SegmentationClass" / f"{number}.png")
        _write(root / "ImageSets" / "Segmentation" / f"{part}.txt", f"{number}\n")
    return root


@dataclass(frozen=True)
class Reader:
    """A file that somebody gives, and what reads it.

    Args:
        module: that reads it.
        task: what it is read for.
        make: writes a small set, and returns what to load.
        file: of the set.
        kind: of the file: "image", "json", "xml", "yaml" or "text".
    """

    module: str
    task: str
    make: Callable[[Path], Path]
    file: str
    kind: str

    def __str__(self) -> str:
        return f"{self.module.removeprefix('pipelines.data.')}: {self.file}"


_FORMATS, _MASKS = "pipelines.data.formats", "pipelines.data.masks"
READERS = [
    Reader(f"{_FORMATS}.class_folders", "classification", class_folders, "train/cross/0.png", "image"),
    Reader(f"{_FORMATS}.window_folders", "detection", windows, "train/cross/0.png", "image"),
    Reader(f"{_FORMATS}.voc", "detection", voc, "Annotations/0.xml", "xml"),
    Reader(f"{_FORMATS}.voc", "detection", voc, "ImageSets/Main/train.txt", "text"),
    Reader(f"{_FORMATS}.voc", "detection", voc, "JPEGImages/0.png", "image"),
    Reader(f"{_FORMATS}.coco", "detection", coco, "annotations/instances_train.json", "json"),
    Reader(f"{_FORMATS}.coco", "detection", coco, "train/0.png", "image"),
    Reader(f"{_FORMATS}.yolo", "detection", yolo, "data.yaml", "yaml"),
    Reader(f"{_FORMATS}.yolo", "detection", yolo, "train.txt", "text"),
    Reader(f"{_FORMATS}.yolo", "detection", yolo, "labels/train/0.txt", "text"),
    Reader(f"{_FORMATS}.yolo", "detection", yolo, "images/train/0.png", "image"),
    Reader(f"{_FORMATS}.yolo", "detection", yolo_with_names, "classes.txt", "text"),
    Reader(f"{_MASKS}.folders", "segmentation", masks, "train/masks/0.png", "image"),
    Reader(f"{_MASKS}.folders", "segmentation", masks, "train/images/0.png", "image"),
    Reader(f"{_MASKS}.class_table", "segmentation", masks, "classes.txt", "text"),
    Reader(f"{_MASKS}.class_table", "segmentation", masks_with_colours, "classes.csv", "text"),
    Reader(f"{_MASKS}.voc", "segmentation", masks_of_voc, "SegmentationClass/0.png", "image"),
    Reader(f"{_MASKS}.voc", "segmentation", masks_of_voc, "ImageSets/Segmentation/train.txt", "text"),
    Reader(f"{_MASKS}.coco", "segmentation", coco, "annotations/instances_train.json", "json"),
    Reader(f"{_MASKS}.coco", "segmentation", coco, "train/0.png", "image"),
]
"""Every file of every format; a module that reads one and is not here fails a test."""
