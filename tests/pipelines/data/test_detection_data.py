"""Detection sources: what each format gives, what a check finds, and what is said of what is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from drawings import draw_shape
from pipelines.core.errors import DataError
from pipelines.data import SPLIT_NAMES, Splits, detection
from pipelines.data.checks import classification
from pipelines.data.checks import detection as object_checks
from pipelines.data.detection import is_detection
from pipelines.data.formats.parsing import part_in
from pipelines.images.boxes import Objects
from pipelines.images.image_header import upright_size
from places import SHARED

SIZE = (20, 24)
BOX = (4, 2, 16, 18)
COUNT = 24


def picture(path: Path, number: int, size: tuple[int, int] = SIZE) -> str:
    """Draw an image; even numbers show a cross, odd ones a disc."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = ("cross", "disc")[number % 2]
    draw_shape(kind, number, size).save(path)
    return kind


def only(splits: Splits[Objects], part: str = "train") -> Objects:
    """Give the objects of the first example of a part."""
    return next(splits[part].examples()).label


def ids(splits: Splits[Objects]) -> dict[str, list[str]]:
    return {part: [example.id for example in splits[part].examples()] for part in SPLIT_NAMES}


# === A tiny set in each format ===


def xml(kind: str, box: tuple[float, ...] = BOX, extra: str = "", size: tuple[int, int] = SIZE) -> str:
    """Write edges as VOC does: the indices of the first and the last pixel, from 1."""
    left, top, right, bottom = box
    return (
        f"<annotation><filename>gone.jpg</filename><size><width>{size[1]}</width><height>{size[0]}</height></size>"
        f"<object><name>{kind}</name>{extra}<bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object></annotation>"
    )


def make_voc(root: Path, sets: bool = True) -> Path:
    names: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    (root / "Annotations").mkdir(parents=True)
    for number in range(COUNT):
        kind = picture(root / "JPEGImages" / f"{number:02d}.png", number)
        (root / "Annotations" / f"{number:02d}.xml").write_text(xml(kind))
        names[("train", "train", "train", "train", "val", "test")[number // 2 % 6]].append(f"{number:02d}")
    if sets:
        (root / "ImageSets" / "Main").mkdir(parents=True)
        for stem, listed in names.items():
            (root / "ImageSets" / "Main" / f"{stem}.txt").write_text("\n".join(listed) + "\n")
    return root


def coco(images: list[tuple[str, int]]) -> dict:
    """Write the dictionary of a COCO file; the ids of its categories are neither from 0 nor without gaps."""
    left, top, right, bottom = BOX
    return {
        "categories": [{"id": 70, "name": "disc"}, {"id": 3, "name": "cross"}],
        "images": [
            {"id": 1000 + number, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for name, number in images
        ],
        "annotations": [
            {
                "image_id": 1000 + number,
                "category_id": (3, 70)[number % 2],
                "bbox": [left, top, right - left, bottom - top],
            }
            for _, number in images
        ],
    }


def make_coco(root: Path, parts: tuple[str, ...] = ("train", "val", "test")) -> Path:
    (root / "annotations").mkdir(parents=True)
    for offset, part in enumerate(parts):
        images = [(f"{number}.png", number) for number in range(offset * 8, offset * 8 + 8)]
        for name, number in images:
            picture(root / f"{part}2017" / name, number)
        (root / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(coco(images)))
    return root


def make_coco_file(root: Path) -> Path:
    images = [(f"{number}.png", number) for number in range(COUNT)]
    for name, number in images:
        picture(root / "all" / name, number)
    (root / "all.json").write_text(json.dumps(coco(images)))
    return root / "all.json"


def yolo(number: int) -> str:
    left, top, right, bottom = BOX
    height, width = SIZE
    middle = ((left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height)
    return f"{number % 2} " + " ".join(f"{value:.8f}" for value in middle) + "\n"


def make_yolo(root: Path, parts: tuple[str, ...] = ("train", "val", "test"), with_yaml: bool = True) -> Path:
    for offset, part in enumerate(parts):
        for number in range(offset * 8, offset * 8 + COUNT // len(parts)):
            picture(root / "images" / part / f"{number}.png", number)
            label = root / "labels" / part / f"{number}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(yolo(number))
    if with_yaml:
        content = {"path": "/somewhere/else", "names": {0: "cross", 1: "disc"}}
        write_yaml(root, **content, **{part: f"images/{part}" for part in parts})
    else:
        (root / "classes.txt").write_text("cross\ndisc\n\n")
    return root


def write_yaml(root: Path, **content: object) -> None:
    (root / "data.yaml").write_text(yaml.safe_dump(content))


def make_windows(root: Path) -> Path:
    for number in range(3 * COUNT):
        kind = ("cross", "disc", "background")[number % 3]
        path = root / kind / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_shape("disc", number, SIZE).save(path)
    return root


MAKERS: dict[str, Callable[[Path], Path]] = {
    "voc": make_voc,
    "voc-hashed": lambda root: make_voc(root, sets=False),
    "coco": make_coco,
    "coco-file": make_coco_file,
    "yolo": make_yolo,
    "yolo-folders": lambda root: make_yolo(root, with_yaml=False),
    "yolo-flat": lambda root: make_yolo(root, parts=("",), with_yaml=False),
}
HASHED = {"voc-hashed", "coco-file", "yolo-flat"}


@pytest.mark.parametrize("name", MAKERS)
def test_a_format_gives_its_images_and_boxes_in_pixels(name: str, tmp_path: Path, quiet):
    data = str(MAKERS[name](tmp_path / "d"))
    assert is_detection(data)
    splits = detection.load(data, seed=1)
    assert splits.classes == ("cross", "disc")
    assert splits.mirrored
    assert sum(splits[part].size for part in SPLIT_NAMES) == COUNT
    for part in SPLIT_NAMES:
        examples = list(splits[part].examples())
        assert len(examples) == splits[part].size
        for one in examples:
            np.testing.assert_allclose(one.label.boxes, [BOX], atol=1e-5)
            assert one.label.boxes.dtype == np.float32
            assert one.label.class_ids.tolist() == [int(Path(one.id).stem) % 2]
            assert upright_size(one.image, one.id) == SIZE
    assert not [problem for problem in object_checks.check(data, None, 1, quiet).problems if problem.serious]


@pytest.mark.parametrize("name", MAKERS)
def test_a_set_loads_the_same_way_every_time(name: str, tmp_path: Path):
    data = str(MAKERS[name](tmp_path / "d"))
    first, again, other = (detection.load(data, seed=seed) for seed in (1, 1, 2))
    assert ids(first) == ids(again)
    assert first.fingerprint == again.fingerprint
    assert (ids(first) != ids(other)) == (first.fingerprint != other.fingerprint) == (name in HASHED)


def test_windows_are_the_objects_and_background_holds_none(tmp_path: Path):
    splits = detection.load(str(make_windows(tmp_path)))
    assert splits.classes == ("cross", "disc")
    examples = [one for part in SPLIT_NAMES for one in splits[part].examples()]
    assert len(examples) == 3 * COUNT
    for one in examples:
        kind = one.id.split("/")[0]
        assert one.label.boxes.tolist() == ([] if kind == "background" else [[0, 0, SIZE[1], SIZE[0]]])
        assert [splits.classes[label] for label in one.label.class_ids] == ([] if kind == "background" else [kind])


def test_characters_are_not_mirrored(tmp_path: Path):
    make_windows(tmp_path)
    (tmp_path / "cross").rename(tmp_path / "3")
    (tmp_path / "disc").rename(tmp_path / "A")
    assert not detection.load(str(tmp_path)).mirrored


# === Parts ===


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("instances_train2017", "train"),
        ("valid", "validation"),
        ("Validation", "validation"),
        ("testing", "test"),
        ("test_single_scale", "test"),
        ("_annotations.coco", None),
        ("trainval", None),
        ("latest", None),
    ],
)
def test_the_part_is_read_from_a_name(name: str, part: str | None):
    assert part_in(name) == part


def test_of_two_stated_parts_the_second_is_for_the_test(tmp_path: Path):
    splits = detection.load(str(make_coco(tmp_path, parts=("train", "val"))), seed=1)
    found = ids(splits)
    assert all(one.startswith("val2017/") for one in found["test"])
    assert all(one.startswith("train2017/") for one in found["train"] + found["validation"])
    assert found["validation"]
    assert found["train"]


@pytest.mark.parametrize("parts", [("train", "val", "test"), ("train", "test"), ("train", "val"), ("train",)])
def test_another_set_is_the_whole_of_the_test_part(tmp_path: Path, parts: tuple[str, ...]):
    data = str(make_coco(tmp_path / "a", parts))
    other = make_coco_file(tmp_path / "b")
    splits = detection.load(data, seed=1, test=str(other))
    found = ids(splits)
    assert splits.test.size == len(found["test"]) == COUNT
    assert splits.source == "a, tested on all.json"
    learned = [part for part in parts if part != "test"]
    assert len(found["train"]) + len(found["validation"]) == 8 * len(learned)
    assert found["train"]
    assert found["validation"]


def test_classes_of_another_test_set_are_found_by_name(tmp_path: Path):
    data = str(make_yolo(tmp_path / "a"))
    content = json.loads(make_coco_file(tmp_path / "b").read_text())
    for one in content["annotations"]:
        one["category_id"] = 70
    content["categories"] = content["categories"][:1]
    (tmp_path / "b" / "all.json").write_text(json.dumps(content))
    splits = detection.load(data, test=str(tmp_path / "b" / "all.json"))
    assert splits.classes == ("cross", "disc")
    assert {label for example in splits.test.examples() for label in example.label.class_ids} == {1}
    content["categories"][0]["name"] = "ring"
    (tmp_path / "b" / "all.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"all\.json: class 'ring' is not a class of a: cross, disc"):
        detection.load(data, test=str(tmp_path / "b" / "all.json"))


def test_the_embedded_scenes_are_tested_on_others_too(tmp_path: Path):
    make_yolo(tmp_path)
    write_yaml(tmp_path, names=["3", "7"], train="images/train", val="images/val", test="images/test")
    splits = detection.load("scenes", test=str(tmp_path))
    assert (splits.train.size, splits.test.size) == (2000, COUNT)
    assert next(splits.test.examples()).label.class_ids.tolist() == [3]


def test_images_that_are_trained_on_are_no_test(tmp_path: Path):
    data = str(make_voc(tmp_path))
    with pytest.raises(DataError, match=r"is in the (train|validation) part and in .*which is the test part"):
        detection.load(data, test=data)


def test_a_test_set_needs_objects_and_no_parts(tmp_path: Path):
    make_coco_file(tmp_path)
    content = json.loads((tmp_path / "all.json").read_text())
    content["images"] = content["images"][:2]
    content["annotations"] = content["annotations"][:2]
    (tmp_path / "all.json").write_text(json.dumps(content))
    assert detection.load_whole(str(tmp_path / "all.json")).test.size == 2
    (tmp_path / "all.json").write_text(json.dumps(content | {"annotations": []}))
    with pytest.raises(DataError, match="has 2 images but no object"):
        detection.load_whole(str(tmp_path / "all.json"))


def test_a_growing_set_keeps_every_image_in_its_part(tmp_path: Path):
    before = ids(detection.load(str(make_voc(tmp_path, sets=False)), seed=1))
    picture(tmp_path / "JPEGImages" / "another.png", 0)
    (tmp_path / "Annotations" / "another.xml").write_text(xml("cross"))
    after = ids(detection.load(str(tmp_path), seed=1))
    assert all(set(before[part]) <= set(after[part]) for part in SPLIT_NAMES)


def test_trainval_is_the_training_part_less_validation(tmp_path: Path):
    sets = make_voc(tmp_path) / "ImageSets" / "Main"
    before = ids(detection.load(str(tmp_path)))
    (sets / "trainval.txt").write_text((sets / "train.txt").read_text() + (sets / "val.txt").read_text())
    (sets / "train.txt").unlink()
    assert ids(detection.load(str(tmp_path))) == before


def test_an_image_in_two_parts_is_refused(tmp_path: Path):
    sets = make_voc(tmp_path) / "ImageSets" / "Main"
    (sets / "test.txt").write_text((sets / "train.txt").read_text())
    with pytest.raises(DataError, match=r"00 is in train\.txt and in test\.txt"):
        detection.load(str(tmp_path))
    make_yolo(tmp_path / "y")
    write_yaml(tmp_path / "y", names=["cross", "disc"], train="images", val="images/val", test="images/test")
    with pytest.raises(DataError, match=r"png: is listed twice \(in train and validation\)"):
        detection.load(str(tmp_path / "y"))


def test_a_part_without_objects_and_a_class_without_training_objects_are_named(tmp_path: Path):
    make_yolo(tmp_path)
    write_yaml(tmp_path, names=["cross", "disc", "square"], train="images/train", val="images/val", test="images/test")
    with pytest.raises(DataError, match="class 'square' has no object in the training part"):
        detection.load(str(tmp_path))
    for file in (tmp_path / "labels" / "test").iterdir():
        file.write_text("")
    with pytest.raises(DataError, match="the test part has 8 images but no object"):
        detection.load(str(tmp_path))


# === What each format does its own way ===


def test_voc_counts_pixels_from_one_and_a_box_of_one_index_is_none(tmp_path: Path):
    make_voc(tmp_path)
    whole = (0, 0, SIZE[1], SIZE[0])
    (tmp_path / "Annotations" / "00.xml").write_text(xml("cross", whole))
    assert only(detection.load(str(tmp_path))).boxes.tolist() == [list(whole)]
    (tmp_path / "Annotations" / "00.xml").write_text(xml("cross", (-1, -1, 5.5, 6.25)))
    assert only(detection.load(str(tmp_path))).boxes.tolist() == [[0, 0, 5.5, 6.25]]
    (tmp_path / "Annotations" / "00.xml").write_text(xml("cross", (4, 4, 5, 9)))
    assert len(only(detection.load(str(tmp_path)))) == 0


def test_difficult_objects_and_crowds_are_ignored(tmp_path: Path):
    make_voc(tmp_path / "v")
    (tmp_path / "v" / "Annotations" / "00.xml").write_text(xml("cross", extra="<difficult>1</difficult>"))
    assert only(detection.load(str(tmp_path / "v"))).ignored.tolist() == [True]
    file = make_coco(tmp_path / "c") / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["iscrowd"] = 1
    file.write_text(json.dumps(content))
    assert only(detection.load(str(tmp_path / "c"))).ignored.tolist() == [True]


def test_boxes_outside_are_kept_and_those_without_area_are_left_out(tmp_path: Path):
    file = make_coco(tmp_path) / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    for box in ([-5, -4, 60, 70], [3, 3, 0, 5], [9, 9, -4, 5]):
        content["annotations"].append({"image_id": 1000, "category_id": 3, "bbox": box})
    file.write_text(json.dumps(content))
    assert only(detection.load(str(tmp_path))).boxes.tolist() == [list(BOX), [-5, -4, 55, 66]]


@pytest.mark.parametrize("place", ["images/val", "val", "images", "."])
def test_coco_images_are_found_wherever_they_lie(tmp_path: Path, place: str):
    make_coco(tmp_path)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    if place in (".", "images"):
        (tmp_path / place).mkdir(exist_ok=True)
        for image in (tmp_path / "val2017").iterdir():
            image.rename(tmp_path / place / image.name)
    else:
        (tmp_path / "val2017").rename(tmp_path / place)
    assert detection.load(str(tmp_path)).validation.size == 8


def test_coco_beside_its_images_in_folders_of_parts(tmp_path: Path):
    make_coco(tmp_path)
    for part, folder in (("train", "train"), ("val", "valid"), ("test", "test")):
        (tmp_path / f"{part}2017").rename(tmp_path / folder)
        (tmp_path / "annotations" / f"instances_{part}2017.json").rename(tmp_path / folder / "_annotations.coco.json")
    (tmp_path / "annotations").rmdir()
    assert [detection.load(str(tmp_path))[part].size for part in SPLIT_NAMES] == [8, 8, 8]


def test_yolo_outlines_become_the_boxes_around_them(tmp_path: Path):
    make_yolo(tmp_path)
    (tmp_path / "labels" / "train" / "0.txt").write_text("0 0.25 0.5 0.75 0.1 0.5 0.9\n\n1 0.5 0.5 1 1")
    found = only(detection.load(str(tmp_path)))
    np.testing.assert_allclose(found.boxes, [[6, 2, 18, 18], [0, 0, 24, 20]], rtol=1e-6)
    assert found.class_ids.tolist() == [0, 1]


@pytest.mark.parametrize("entry", ["../images/train", "./images/train", ["images/train"], "train.txt"])
def test_yolo_parts_are_read_as_tools_write_them(tmp_path: Path, entry: object):
    make_yolo(tmp_path)
    (tmp_path / "train.txt").write_text("\n".join(f"./images/train/{number}.png" for number in range(8)))
    write_yaml(tmp_path, names=["cross", "disc"], train=entry, val="images/val", test="images/test")
    assert [detection.load(str(tmp_path / "data.yaml"))[part].size for part in SPLIT_NAMES] == [8, 8, 8]


def test_yolo_with_the_training_images_for_validation_is_split_by_name(tmp_path: Path):
    make_yolo(tmp_path, parts=("train",))
    write_yaml(tmp_path, names=["cross", "disc"], train="images/train", val="images/train", test=None)
    found = ids(detection.load(str(tmp_path)))
    assert sum(map(len, found.values())) == len({one for part in found.values() for one in part}) == COUNT


def test_yolo_images_without_a_text_are_background(tmp_path: Path):
    make_yolo(tmp_path)
    (tmp_path / "labels" / "train" / "0.txt").unlink()
    assert len(only(detection.load(str(tmp_path)))) == 0


def test_sizes_are_those_of_the_upright_image(tmp_path: Path):
    make_yolo(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (24, 20)).save(tmp_path / "images" / "train" / "0.png", exif=exif)
    (tmp_path / "labels" / "train" / "0.txt").write_text("0 0.5 0.5 1 1")
    assert only(detection.load(str(tmp_path))).boxes.tolist() == [[0, 0, 20, 24]]


# === What is wrong is named ===


def test_a_path_without_a_set_is_answered_with_what_sets_look_like(tmp_path: Path):
    (tmp_path / "d").mkdir()
    with pytest.raises(DataError, match=r"holds no detection set(.|\n)*Pascal VOC(.|\n)*COCO(.|\n)*YOLO(.|\n)*windows"):
        detection.load(str(tmp_path / "d"))
    make_voc(tmp_path / "d" / "inner")
    with pytest.raises(DataError, match=r"Did you mean .*inner\?"):
        detection.load(str(tmp_path / "d"))
    with pytest.raises(DataError, match="there is no such file or folder"):
        detection.load(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"unknown detection data source 'scene'.*Did you mean 'scenes'"):
        detection.load("scene")


def test_other_sets_are_not_taken_for_detection(tmp_path: Path, shapes: Path):
    shutil.copytree(shapes, tmp_path / "d")
    (tmp_path / "d" / "names.json").write_text('{"cross": 1}')
    assert not is_detection(str(tmp_path / "d"))
    assert not is_detection(str(tmp_path / "nowhere"))
    assert not is_detection("digits")
    assert not is_detection("a\0b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>", "is not XML"),
        ("<a/>", "has the root 'a'"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><annotation/>', "has a DOCTYPE"),
        ('<?xml version="1.0" encoding="no-such"?><annotation/>', "is not XML"),
        (xml("cross").replace("<xmin>5</xmin>", ""), r"object\[0\]\.bndbox\.xmin: is missing"),
        (xml("cross").replace("<xmin>5</xmin>", "<xmin>nan</xmin>"), r"xmin: received 'nan'; expected a number"),
        (xml("cross").replace("<xmin>5</xmin>", "<xmin>1e30</xmin>"), r"xmin: received '1e30'; expected a number"),
        (xml("cross").replace("bndbox", "box"), r"object\[0\]\.bndbox: is missing"),
        (xml(""), r"object\[0\]\.name: is missing"),
        (xml("two&#10;lines"), r"name: received 'two\\nlines'; expected the name of a class, on one line"),
        (xml("cross", extra="<difficult>perhaps</difficult>"), "difficult: received 'perhaps'; expected 0 or 1"),
        (xml("cross").replace(">24<", ">wide<"), r"size\.width: received 'wide'"),
    ],
)
def test_what_is_wrong_with_a_voc_file_is_named(tmp_path: Path, text: str, message: str):
    file = make_voc(tmp_path) / "Annotations" / "00.xml"
    file.write_text(text)
    with pytest.raises(DataError, match=rf"00\.xml: .*{message}"):
        detection.load(str(tmp_path))


def test_a_doctype_is_seen_in_any_encoding(tmp_path: Path):
    file = make_voc(tmp_path) / "Annotations" / "00.xml"
    file.write_bytes('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE annotation><annotation/>'.encode("utf-16"))
    with pytest.raises(DataError, match="has a DOCTYPE"):
        detection.load(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../../secret.png", "'../../secret.png' leads outside"),
        ("x" * 5000, "there is no image"),
        ("&#32;", "is missing"),
    ],
)
def test_the_name_of_an_image_that_is_not_called_like_its_voc_file_is_checked(tmp_path: Path, name: str, message: str):
    file = make_voc(tmp_path) / "Annotations" / "00.xml"
    file.write_text(xml("cross").replace("gone.jpg", name))
    (tmp_path / "JPEGImages" / "00.png").rename(tmp_path / "JPEGImages" / "other.png")
    with pytest.raises(DataError, match=rf"00\.xml: filename: {message}"):
        detection.load(str(tmp_path))
    file.write_text(xml("cross").replace("gone.jpg", "other.png"))
    assert "JPEGImages/other.png" in ids(detection.load(str(tmp_path)))["train"]


def test_a_voc_annotation_without_image_and_a_name_without_annotation_are_named(tmp_path: Path):
    make_voc(tmp_path)
    (tmp_path / "JPEGImages" / "00.png").unlink()
    with pytest.raises(DataError, match=r"00\.xml: filename: there is no image .*gone\.jpg"):
        detection.load(str(tmp_path))
    (tmp_path / "Annotations" / "00.xml").unlink()
    with pytest.raises(DataError, match=r"train\.txt: line 1: there is no annotation '00\.xml'"):
        detection.load(str(tmp_path))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("annotations", None, "annotations: received None; expected a list"),
        ("annotations.0", 7, r"annotations\[0\]: received 7; expected an object"),
        ("annotations.0.bbox", [1, 2, 3], r"annotations\[0\]\.bbox: received \[1, 2, 3\]; expected \[x, y"),
        ("annotations.0.bbox", [1, 2, 3, None], r"annotations\[0\]\.bbox: received None; expected a number"),
        ("annotations.0.bbox", [1, 2, 3, float("nan")], r"bbox: received nan; expected a number"),
        ("annotations.0.bbox", [1, 2, 3, 10**400], r"bbox: received 1000.*; expected a number"),
        ("annotations.0.category_id", 4, r"annotations\[0\]\.category_id: there is no category 4"),
        ("annotations.0.category_id", [4], "category_id: there is no category"),
        ("annotations.0.image_id", 4, r"annotations\[0\]\.image_id: there is no image 4"),
        ("annotations.0.image_id", {}, r"image_id: received {}; expected the id of an image"),
        ("annotations.0.iscrowd", "yes", "iscrowd: received 'yes'; expected 0 or 1"),
        ("images.0.file_name", "../../secret.png", r"images\[0\]\.file_name: '../../secret.png' leads outside"),
        ("images.0.file_name", "/etc/passwd", r"images\[0\]\.file_name: '/etc/passwd' leads outside"),
        ("images.0.file_name", "gone.png", r"images\[0\]\.file_name: there is no image 'gone.png'; looked in"),
        ("images.0.file_name", "x" * 5000, r"file_name: there is no image"),
        ("images.0.file_name", None, r"file_name: received None; expected the name of a file"),
        ("images.0.width", "wide", r"images\[0\]\.width: received 'wide'; expected a number"),
        ("images.1.id", 1000, r"images\[1\]\.id: 1000 is the id of another image"),
        ("categories", [], "categories: is empty"),
        ("categories.0.id", "70", r"categories\[0\]\.id: received '70'; expected an integer"),
        ("categories.0.name", "cross", r"categories\[1\]\.name: 'cross' is the name of another category"),
        ("categories.0.name", ["disc"], r"categories\[0\]\.name: received \['disc'\]; expected the name of a class"),
    ],
)
def test_what_is_wrong_with_a_coco_file_is_named(tmp_path: Path, key: str, value: object, message: str):
    file = make_coco_file(tmp_path)
    content = json.loads(file.read_text())
    *steps, last = [int(step) if step.isdigit() else step for step in key.split(".")]
    inner = content
    for step in steps:
        inner = inner[step]
    inner[last] = value
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"all\.json: (.*\.)?{message}"):
        detection.load(str(file))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "7", '{"images": 1' + "0" * 5000 + "}", "\udcff"])
def test_what_is_no_coco_file_is_refused(tmp_path: Path, text: str):
    file = tmp_path / "a.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"a\.json: (is not JSON|received)"):
        detection.load(str(file))


def test_several_coco_files_of_one_part_are_refused(tmp_path: Path):
    make_coco(tmp_path)
    folder = tmp_path / "annotations"
    shutil.copy(folder / "instances_train2017.json", folder / "instances_train2014.json")
    with pytest.raises(DataError, match="expected one file with 'train' in its name"):
        detection.load(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0.5 0.5 1", "received 4 numbers; expected class cx cy width height"),
        ("0 0.5 0.5 1 1 0.9", "received 6 numbers"),
        ("2 0.5 0.5 1 1", "class 2 does not exist; expected 0 to 1"),
        ("-1 0.5 0.5 1 1", "class -1 does not exist"),
        ("0.5 0.5 0.5 1 1", "class 0.5 does not exist"),
        ("0 0.5 0.5 1 nan", "received 'nan'; expected a number"),
        ("cross 0.5 0.5 1 1", "received 'cross'; expected a number"),
        ("0 120 80 40 40", "received 120; expected fractions"),
        ("\x00\udcff", "expected a number"),
    ],
)
def test_what_is_wrong_with_a_yolo_line_is_named(tmp_path: Path, text: str, message: str):
    file = make_yolo(tmp_path) / "labels" / "train" / "0.txt"
    file.write_bytes(b"\n" + text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=rf"0\.txt: line 2: .*{message}"):
        detection.load(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [", "is not YAML"),
        ("[1, 2]", r"received \[1, 2\]; expected the keys"),
        ("!!python/object/apply:os.system [ls]", "is not YAML"),
        ("!!int ''", "is not YAML"),
        ("names: 7", "names: received 7; expected a list"),
        ("names: {0: a, 2: b}", r"names: received the indices \[0, 2\]"),
        ("names: [a, a]", r"names\[1\]: 'a' is the name of another class"),
        ("names: [[a]]", r"names\[0\]: received \['a'\]; expected the name of a class"),
        ("names: [cross, disc]\ntrain: ../../../etc", "train: '../../etc' leads outside|train: .* leads outside"),
        ("names: [cross, disc]\ntrain: images/gone", "train: there is no folder .*gone"),
        ("names: [cross, disc]\ntrain: {a: b}", "train: received {'a': 'b'}; expected the name of a file"),
        ("&a [*a]", "received"),
    ],
)
def test_what_is_wrong_with_data_yaml_is_named(tmp_path: Path, text: str, message: str):
    make_yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=rf"data\.yaml: ({message})"):
        detection.load(str(tmp_path))


def test_yolo_without_names_says_where_they_belong(tmp_path: Path):
    make_yolo(tmp_path, with_yaml=False)
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"the classes are not named; expected data\.yaml"):
        detection.load(str(tmp_path))


def test_a_list_of_images_that_leads_outside_is_refused(tmp_path: Path):
    make_yolo(tmp_path / "d")
    (tmp_path / "d" / "train.txt").write_text("./images/train/0.png\n../secret.png\n")
    write_yaml(tmp_path / "d", names=["cross", "disc"], train="train.txt", val="images/val", test="images/test")
    with pytest.raises(DataError, match=r"train\.txt: line 2: '../secret\.png' leads outside"):
        detection.load(str(tmp_path / "d"))


def test_windows_of_background_alone_and_an_empty_class_are_refused(tmp_path: Path):
    make_windows(tmp_path)
    (tmp_path / "square").mkdir()
    with pytest.raises(DataError, match="square: the class folder holds no image"):
        detection.load(str(tmp_path))
    for name in ("square", "cross", "disc"):
        shutil.rmtree(tmp_path / name)
    with pytest.raises(DataError, match="holds only background"):
        detection.load(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path):
    make_voc(tmp_path)
    (tmp_path / "JPEGImages").chmod(0)
    try:
        with pytest.raises(DataError, match="cannot be read: Permission denied"):
            detection.load(str(tmp_path))
    finally:
        (tmp_path / "JPEGImages").chmod(0o755)


# === Anything at all in the place of an annotation ===

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of each format, of which a test spoils a file."""
    root = tmp_path_factory.mktemp("sets")
    make_voc(root / "voc")
    make_coco_file(root / "coco")
    make_yolo(root / "yolo")
    return root


def load_or_refuse(path: Path) -> None:
    """Load a set and read it; nothing but a refusal by name may come of what is wrong with it."""
    try:
        splits = detection.load(str(path), seed=1)
        for one in splits.train.examples():
            assert np.isfinite(one.label.boxes).all()
            assert set(one.label.class_ids.tolist()) <= set(range(len(splits.classes)))
    except DataError as error:
        refusal = str(error)
    else:
        refusal = str(path)
    assert str(path) in refusal
    assert len(refusal) < 2000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@example(content=b"%YAML 9.9\n---\n")
@example(content=b"<annotation><object/></annotation>")
def test_any_bytes_in_the_place_of_an_annotation_are_read_or_refused(sets: Path, content: bytes):
    for name, file in (("voc", "Annotations/00.xml"), ("yolo", "labels/train/0.txt"), ("yolo", "data.yaml")):
        kept = (sets / name / file).read_bytes()
        (sets / name / file).write_bytes(content)
        try:
            load_or_refuse(sets / name)
        finally:
            (sets / name / file).write_bytes(kept)


@given(place=st.tuples(st.sampled_from(["images", "annotations", "categories"]), st.integers(0, 1)), value=ANYTHING,
       data=st.data())  # fmt: skip
def test_any_value_in_a_coco_file_is_read_or_refused(sets: Path, place: tuple[str, int], value: object, data):
    file = sets / "coco" / "all.json"
    kept = file.read_text()
    content = json.loads(kept)
    record = content[place[0]][place[1]]
    key = data.draw(st.sampled_from(sorted(record)))
    record[key] = value
    file.write_text(json.dumps(content))
    try:
        load_or_refuse(file)
    finally:
        file.write_text(kept)


@given(value=ANYTHING, key=st.sampled_from(["names", "path", "train", "val", "test"]))
def test_any_value_in_data_yaml_is_read_or_refused(sets: Path, value: object, key: str):
    file = sets / "yolo" / "data.yaml"
    kept = file.read_text()
    file.write_text(yaml.safe_dump({**yaml.safe_load(kept), key: value}))
    try:
        load_or_refuse(sets / "yolo")
    finally:
        file.write_text(kept)


# === tensorflow-datasets ===


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real, prepared sets: one of objects, one of images with a label."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    root = tmp_path_factory.mktemp("tfds")
    objects = {
        "bbox": tfds.features.BBoxFeature(),
        "label": tfds.features.ClassLabel(names=["cross", "disc"]),
        "is_crowd": tfds.features.Scalar(dtype=np.bool_),
    }
    image = tfds.features.Image(shape=(None, None, 3))
    left, top, right, bottom = BOX
    box = [top / SIZE[0], left / SIZE[1], bottom / SIZE[0], right / SIZE[1]]

    def part(count: int) -> tf.data.Dataset:
        pictures = np.stack(
            [np.asarray(draw_shape(("cross", "disc")[n % 2], n + 100 * count, SIZE)) for n in range(count)]
        )
        boxes = np.tile(np.array([box, [0.5, 0.5, 0.5, 0.5]], np.float32), (count, 1, 1))
        labels = np.array([[n % 2, 1] for n in range(count)], np.int64)
        crowds = np.zeros((count, 2), bool)
        crowds[0, 0] = True
        inner = {"bbox": boxes, "label": labels, "is_crowd": crowds}
        return tf.data.Dataset.from_tensor_slices({"image": pictures, "objects": inner})

    def plain(count: int) -> tf.data.Dataset:
        return part(count).map(lambda one: {"image": one["image"], "label": one["objects"]["label"][0]})

    for name, features, make in (
        ("tiny_objects", {"image": image, "objects": tfds.features.Sequence(objects)}, part),
        ("tiny_plain", {"image": image, "label": objects["label"]}, plain),
    ):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            data_dir=root,
            config="default",
            features=tfds.features.FeaturesDict(features),
            split_datasets={split: make(count) for split, count in {"train": 40, "validation": 10}.items()},
            disable_shuffling=True,
        )
    return root


def test_a_prepared_detection_set_is_read(prepared: Path, quiet):
    splits = detection.load("tfds:tiny_objects", prepared)
    assert splits.classes == ("cross", "disc")
    assert splits.test.size == 10
    assert splits.train.size + splits.validation.size == 40
    examples = [one for part in SPLIT_NAMES for one in splits[part].examples()]
    assert len({one.id for one in examples}) == 50
    for one in examples:
        number = int(one.id.rsplit("/", 1)[1])
        np.testing.assert_allclose(one.label.boxes, [BOX], atol=1e-5)
        assert one.label.class_ids.tolist() == [number % 2]
        assert one.label.ignored.tolist() == [number == 0]
    found = object_checks.check("tfds:tiny_objects", prepared, 0, quiet)
    assert sum("has no area" in problem.what for problem in found.problems) == 50
    assert not any(problem.serious for problem in found.problems)


def test_which_prepared_sets_are_of_detection_is_told_by_their_features(prepared: Path):
    assert is_detection("tfds:tiny_objects", prepared)
    assert not is_detection("tfds:tiny_plain", prepared)
    assert not is_detection("tfds:nothing_like_it", prepared)
    with pytest.raises(DataError, match=r"tfds:tiny_plain: has the features image, label; expected 'image', 'objects"):
        detection.load("tfds:tiny_plain", prepared)
    with pytest.raises(DataError, match=r"'tiny_object'; prepared in .*Did you mean 'tiny_objects'"):
        detection.load("tfds:tiny_object", prepared)


# === Checks ===


def listed(found: classification.Checked) -> str:
    return "\n".join(f"{'error' if problem.serious else 'note'} {problem}" for problem in found.problems)


def test_everything_that_is_wrong_with_a_coco_file_is_listed_at_once(tmp_path: Path, quiet):
    file = make_coco_file(tmp_path)
    content = json.loads(file.read_text())
    (tmp_path / "all" / "0.png").unlink()
    (tmp_path / "all" / "1.png").write_text("no image")
    shutil.copy(tmp_path / "all" / "2.png", tmp_path / "all" / "3.png")
    picture(tmp_path / "all" / "spare.png", 0)
    content["images"][4]["width"] = 99
    content["annotations"][5]["category_id"] = 8
    content["annotations"][6]["bbox"] = [-3, 2, 10, 10]
    content["annotations"][7]["bbox"] = [24, 2, 10, 10]
    content["annotations"][8]["bbox"] = [2, 2, -1, 10]
    content["annotations"][9]["bbox"] = "everywhere"
    content["categories"].append({"id": 99, "name": "square"})
    file.write_text(json.dumps(content))
    text = listed(object_checks.check(str(file), None, 1, quiet))
    for expected in (
        "error .*file_name: there is no image '0.png'",
        "error .*1.png: is not an image",
        "(error|note) .*3.png: .*has the same content as",
        "note .*1 images have no annotation and are not used: spare.png",
        "error .*4.png: is 24 x 20 pixels .*annotated as 99 x 20",
        r"error .*annotations\[5\].category_id: there is no category 8",
        "note .*1 boxes extend beyond their image .*: 6.png",
        "error .*7.png: the box of disc at 24, 2, 34, 12 lies entirely outside the image of 24 x 20",
        "note .*8.png: the box of cross at 2, 2, 1, 12 has no area",
        r"error .*annotations\[9\].bbox: received 'everywhere'",
        "error .*class 'square' has no object in the train part",
        "note .*class 'square' has no object in the test part",
    ):
        with_line = [line for line in text.splitlines() if re.match(expected, line)]
        assert len(with_line) == 1, (expected, text)


def test_the_same_image_in_two_parts_and_texts_without_image_are_found(tmp_path: Path, quiet):
    make_yolo(tmp_path)
    shutil.copy(tmp_path / "images" / "train" / "0.png", tmp_path / "images" / "test" / "16.png")
    (tmp_path / "labels" / "train" / "nothing.txt").write_text("")
    (tmp_path / "labels" / "train" / "1.txt").unlink()
    (tmp_path / "labels" / "train" / "2.txt").write_text("9 0 0 1 1\nx\n" + yolo(2))
    text = listed(object_checks.check(str(tmp_path), None, 0, quiet))
    assert "duplicate across parts" in text
    assert "nothing.txt: is an annotation without an image" in text
    assert "1 images have no annotation and are treated as background: 1.png" in text
    assert "2.txt: line 1: class 9 does not exist" in text
    assert "2.txt: line 2: received 'x'" in text


def test_a_part_without_objects_is_listed(tmp_path: Path, quiet):
    make_yolo(tmp_path)
    for file in (tmp_path / "labels" / "val").iterdir():
        file.write_text("")
    assert "error" in (text := listed(object_checks.check(str(tmp_path), None, 0, quiet)))
    assert "the validation part has no object" in text


def test_objects_too_small_for_the_scale_of_the_others_are_counted(tmp_path: Path, quiet):
    file = make_coco_file(tmp_path)
    content = json.loads(file.read_text())
    for annotation in content["annotations"][:3]:
        annotation["bbox"][2:] = [6, 9]
    file.write_text(json.dumps(content))
    text = listed(object_checks.check(str(file), None, 1, quiet))
    assert "note" in text
    assert "3 objects" in text
    assert "are smaller than 8 x 8 pixels: at the scale of 1 that training chooses" in text


def test_the_summary_counts_and_measures(tmp_path: Path, quiet):
    found = object_checks.check(str(make_voc(tmp_path)), None, 0, quiet)
    assert found.summary[:3] == [
        "24 images: 16 train, 4 validation, 4 test",
        "24 objects: 16 train, 4 validation, 4 test",
        "2 classes: cross 12, disc 12",
    ]
    assert found.summary[3].startswith("box widths: 12 to 12 pixels, median 12")
    assert "cross of 12 x 16 in 00.png" in found.summary[5]
    assert not found.problems


# === Real data ===


def test_real_blood_cells_are_split_as_published_and_have_two_boxes_without_area(shared_data: Path, quiet):
    data = str(shared_data / "bccd" / "BCCD")
    splits = detection.load(data)
    assert splits.classes == ("Platelets", "RBC", "WBC")
    assert [splits[part].size for part in SPLIT_NAMES] == [205, 87, 72]
    found = object_checks.check(data, None, 0, quiet)
    assert found.summary[1].startswith("4,886 objects")
    assert sorted(problem.what for problem in found.problems) == [
        "the box of RBC at 180, 328, 180, 328 has no area; it is skipped",
        "the box of RBC at 503, 336, 503, 336 has no area; it is skipped",
    ]
    assert not any(problem.serious for problem in found.problems)


@pytest.mark.parametrize(("name", "images", "cars", "outside"), [("single", 170, 200, 18), ("multi", 108, 139, 19)])
def test_real_cars_keep_the_boxes_that_reach_outside(
    shared_data: Path, quiet, name: str, images: int, cars: int, outside: int
):
    data = str(shared_data / "uiuc_cars" / f"test_{name}_scale.json")
    splits = detection.load(data)
    assert splits.classes == ("car",)
    assert sum(splits[part].size for part in SPLIT_NAMES) == images
    assert sum(len(one.label) for part in SPLIT_NAMES for one in splits[part].examples()) == cars
    found = object_checks.check(data, None, 0, quiet)
    assert [problem.what.split(":")[0] for problem in found.problems] == [
        f"{outside} boxes extend beyond their image and are kept unclipped"
    ]


def test_real_windows_of_cars_are_the_objects(shared_data: Path):
    data = str(shared_data / "uiuc_cars" / "windows")
    assert is_detection(data)
    splits = detection.load(data)
    assert splits.classes == ("car",)
    boxes = [one.label.boxes.tolist() for part in SPLIT_NAMES for one in splits[part].examples()]
    assert boxes.count([[0, 0, 100, 40]]) == 550
    assert boxes.count([]) == 500


def test_other_real_sets_are_not_taken_for_detection():
    for name in ("camvid", "sign_language_digits", "uiuc_cars/windows/car"):
        assert not is_detection(str(SHARED / name))
