"""Segmentation sources: what each format gives, what a check finds, and what is said of what is wrong."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from drawings import draw_shape
from pipelines.core.errors import ConfigError, DataError
from pipelines.core.percent import percent
from pipelines.data import SPLIT_NAMES, Splits, segmentation
from pipelines.data.checks import classification
from pipelines.data.checks import segmentation as mask_checks
from pipelines.data.embedded import scenes
from pipelines.data.masks.class_table import ClassTable, read_table
from pipelines.data.masks.mask_file import decode, turn
from pipelines.data.masks.polygons import Outlines, runs_of, take_outline
from pipelines.data.partition import refuse
from pipelines.data.segmentation import is_segmentation
from pipelines.images import image_io
from pipelines.images.image_header import Header, upright_size
from pipelines.images.masks import IGNORED, colours, to_png
from places import SHARED

SIZE = (20, 24)
COUNT = 24
CLASSES = ("background", "disc", "cross")
COLOURS = ((0, 0, 0), (10, 200, 30), (128, 128, 128))


def truth(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Draw the mask of an image: a rectangle of its class, with a border of which nothing is said."""
    mask = np.zeros(size, np.uint8)
    mask[3:12, 4 : 9 + number % 5] = IGNORED
    mask[4:11, 5 : 8 + number % 5] = 1 + number % 2
    return mask


def picture(path: Path, number: int, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_shape(("disc", "cross")[number % 2], number, size).save(path)
    return path


def write(path: Path, mask: np.ndarray, kind: str = "index") -> None:
    """Write a mask as an index, palette or colour PNG, or in 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "palette":
        path.write_bytes(to_png(mask))
    elif kind == "colour":
        table = np.full((256, 3), 255, np.uint8)
        table[: len(COLOURS)] = COLOURS
        Image.fromarray(table[mask]).save(path)
    elif kind == "16bit":
        Image.fromarray(mask.astype(np.uint16)).save(path)
    else:
        Image.fromarray(mask).save(path)


def number_of(key: str) -> int:
    return int(Path(key).stem)


def ids(splits: Splits[np.ndarray]) -> dict[str, list[str]]:
    return {part: [one.id for one in splits[part].examples()] for part in SPLIT_NAMES}


def everything(splits: Splits[np.ndarray]) -> dict[str, np.ndarray]:
    return {one.id: one.label for part in SPLIT_NAMES for one in splits[part].examples()}


# === A tiny set in each format ===


def make_folders(
    root: Path, parts: tuple[str, ...] = ("train", "val", "test"), kind: str = "index", inner: bool = False
) -> Path:
    for offset, part in enumerate(parts):
        for number in range(offset * 8, offset * 8 + COUNT // len(parts)):
            images, masks = (
                root / Path(name, part) if inner else root / Path(part, name) for name in ("images", "masks")
            )
            picture(images / f"{number}.jpg", number)
            write(masks / f"{number}.png", truth(number), kind)
    if kind == "colour":
        rows = [f"{name},{r},{g},{b}" for name, (r, g, b) in zip(CLASSES, COLOURS, strict=True)]
        (root / "classes.csv").write_text("\n".join(["name, r, g, b", *rows, "Void,255,255,255"]))
    else:
        (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return root


def make_voc(root: Path) -> Path:
    names: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number in range(COUNT):
        picture(root / "JPEGImages" / f"{number:02d}.jpg", number)
        write(root / "SegmentationClass" / f"{number:02d}.png", truth(number), "palette")
        names[("train", "train", "train", "train", "val", "test")[number // 2 % 6]].append(f"{number:02d}")
    picture(root / "JPEGImages" / "99.jpg", 99)
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    for stem, listed in names.items():
        (root / "ImageSets" / "Segmentation" / f"{stem}.txt").write_text("\n".join(listed) + "\n")
    (root / "classes.txt").write_text("\n".join(CLASSES))
    return root


def runs(mask: np.ndarray) -> list[int]:
    """Write a mask in run lengths, down the columns."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    lengths = np.diff([0, *edges.tolist(), mask.size]).tolist()
    return lengths if lengths[-1] else lengths[:-1]


def coco(images: list[tuple[str, int]]) -> dict:
    """Write the dictionary of a COCO file: odd images in polygons, even ones in run lengths, borders as crowds."""
    annotations = []
    for _, number in images:
        mask = truth(number)
        right = 8 + number % 5
        inside = mask == 1 + number % 2
        polygon = [[5, 4, right, 4, right, 11, 5, 11]]
        written = polygon if number % 2 else {"size": list(SIZE), "counts": runs(inside)}
        common = {"image_id": 1000 + number, "category_id": (3, 70)[number % 2]}
        annotations += [
            common | {"segmentation": written},
            common | {"iscrowd": 1, "segmentation": {"size": list(SIZE), "counts": runs(mask > 0)}},
        ]
    return {
        "categories": [{"id": 70, "name": "cross"}, {"id": 3, "name": "disc"}],
        "images": [
            {"id": 1000 + number, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for name, number in images
        ],
        "annotations": annotations,
    }


def make_coco(root: Path) -> Path:
    (root / "annotations").mkdir(parents=True)
    for offset, part in enumerate(("train", "val", "test")):
        images = [(f"{number}.jpg", number) for number in range(offset * 8, offset * 8 + 8)]
        for name, number in images:
            picture(root / f"{part}2017" / name, number)
        (root / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(coco(images)))
    return root


def make_coco_file(root: Path) -> Path:
    images = [(f"{number}.jpg", number) for number in range(COUNT)]
    for name, number in images:
        picture(root / "all" / name, number)
    (root / "all.json").write_text(json.dumps(coco(images)))
    return root / "all.json"


MAKERS: dict[str, Callable[[Path], Path]] = {
    "folders": make_folders,
    "folders-16bit": lambda root: make_folders(root, kind="16bit"),
    "folders-palette": lambda root: make_folders(root, kind="palette"),
    "folders-colour": lambda root: make_folders(root, kind="colour"),
    "folders-inner": lambda root: make_folders(root, inner=True),
    "folders-flat": lambda root: make_folders(root, parts=("",)),
    "voc": make_voc,
    "coco": make_coco,
    "coco-file": make_coco_file,
}
HASHED = {"folders-flat", "coco-file"}


@pytest.mark.parametrize("name", MAKERS)
def test_a_format_gives_its_images_and_masks(name: str, tmp_path: Path, quiet):
    data = str(MAKERS[name](tmp_path / "d"))
    assert is_segmentation(data)
    splits = segmentation.load(data, seed=1)
    assert splits.classes == CLASSES
    assert splits.mirrored
    assert sum(splits[part].size for part in SPLIT_NAMES) == COUNT
    for part in SPLIT_NAMES:
        examples = list(splits[part].examples())
        assert len(examples) == splits[part].size
        for one in examples:
            assert one.label.dtype == np.uint8
            np.testing.assert_array_equal(one.label, truth(number_of(one.id)))
            assert upright_size(one.image, one.id) == one.label.shape
    assert not [problem for problem in mask_checks.check(data, None, 1, quiet).problems if problem.serious]


@pytest.mark.parametrize("name", MAKERS)
def test_a_set_loads_the_same_way_every_time(name: str, tmp_path: Path):
    data = str(MAKERS[name](tmp_path / "d"))
    first, again, other = (segmentation.load(data, seed=seed) for seed in (1, 1, 2))
    assert ids(first) == ids(again)
    assert first.fingerprint == again.fingerprint
    assert (ids(first) != ids(other)) == (first.fingerprint != other.fingerprint) == (name in HASHED)


@pytest.mark.parametrize("name", ["folders", "coco-file"])
def test_another_mask_gives_another_fingerprint(name: str, tmp_path: Path):
    path = MAKERS[name](tmp_path)
    before = segmentation.load(str(path)).fingerprint
    assert segmentation.load(str(path), ignore=1).fingerprint != before
    if name == "folders":
        write(path / "train" / "masks" / "0.png", truth(0) * 0)
    else:
        content = json.loads(path.read_text())
        content["annotations"][2]["segmentation"][0][0] += 1
        path.write_text(json.dumps(content))
    assert segmentation.load(str(path)).fingerprint != before


def test_the_embedded_scenes_have_masks():
    splits = segmentation.load("scenes")
    assert splits.classes == ("background", *scenes.CLASSES)
    assert not splits.mirrored
    assert [splits[part].size for part in SPLIT_NAMES] == list(scenes.MASK_SIZES.values())
    one = next(splits.train.examples())
    drawn = scenes.scene(0, "train", 0)
    np.testing.assert_array_equal(one.label, drawn.mask)
    assert one.image == next(scenes.load(0).train.examples()).image
    assert splits.fingerprint != scenes.load(0).fingerprint
    with pytest.raises(ConfigError, match="every pixel of the scenes is labelled"):
        segmentation.load("scenes", ignore=0)


# === Parts ===


def test_of_two_stated_parts_the_second_is_for_the_test(tmp_path: Path):
    found = ids(segmentation.load(str(make_folders(tmp_path, parts=("train", "val"))), seed=1))
    assert all(one.startswith("val/images/") for one in found["test"])
    assert all(one.startswith("train/images/") for one in found["train"] + found["validation"])
    assert found["validation"]
    assert found["train"]


def test_another_set_is_the_whole_of_the_test_part_and_its_classes_are_found_by_name(tmp_path: Path):
    data = str(make_folders(tmp_path / "a"))
    other = make_folders(tmp_path / "b")
    (other / "classes.txt").write_text("background\ncross\ndisc\n")
    splits = segmentation.load(data, test=str(other))
    assert splits.source == "a, tested on b"
    assert (splits.train.size, splits.validation.size, splits.test.size) == (8, 8, COUNT)
    for one in splits.test.examples():
        swapped = np.array([0, 2, 1, *[IGNORED] * 253], np.uint8)
        np.testing.assert_array_equal(one.label, swapped[truth(number_of(one.id))])
    (other / "classes.txt").write_text("background\nring\ndisc\n")
    with pytest.raises(DataError, match="b: class 'ring' is not a class of a: background, disc, cross"):
        segmentation.load(data, test=str(other))
    with pytest.raises(DataError, match=r"is in the (train|validation) part and in .*which is the test part"):
        segmentation.load(data, test=data)
    assert segmentation.load_whole(data).test.size == COUNT


def test_a_growing_set_keeps_every_image_in_its_part(tmp_path: Path):
    before = ids(segmentation.load(str(make_folders(tmp_path, parts=("",))), seed=1))
    picture(tmp_path / "images" / "another.png", 0)
    write(tmp_path / "masks" / "another.png", truth(0))
    after = ids(segmentation.load(str(tmp_path), seed=1))
    assert all(set(before[part]) <= set(after[part]) for part in SPLIT_NAMES)


def test_a_part_without_images_is_named(tmp_path: Path):
    make_folders(tmp_path)
    for name in ("images", "masks"):
        shutil.rmtree(tmp_path / "test" / name)
        (tmp_path / "test" / name).mkdir()
        for file in (tmp_path / "val" / name).iterdir():
            file.unlink()
    for number in range(2, 8):
        (tmp_path / "train" / "images" / f"{number}.jpg").unlink()
    with pytest.raises(DataError, match=r"the \w+ part has no image"):
        segmentation.load(str(tmp_path))


# === What the values of a mask stand for ===

MASKS = npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 255))


@given(mask=MASKS, kind=st.sampled_from(["index", "palette", "16bit"]))
def test_masks_of_indices_come_back_as_they_are(mask: np.ndarray, kind: str, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / f"{kind}.png"
    write(file, mask, kind)
    pixels = decode(file.read_bytes(), "m")
    assert not pixels.coloured
    np.testing.assert_array_equal(pixels.values, mask)


@given(mask=MASKS, count=st.integers(1, 255))
def test_masks_of_colours_come_back_as_the_rows_of_their_table(mask: np.ndarray, count: int):
    table = colours(256)
    codes = [int(r) << 16 | int(g) << 8 | int(b) for r, g, b in table[:count]]
    classes = ClassTable.of({number: f"c{number}" for number in range(count)}, where="t", colours=codes)
    buffer = io.BytesIO()
    Image.fromarray(table[mask]).save(buffer, "PNG")
    found, strange = classes.label(decode(buffer.getvalue(), "m"), "m")
    np.testing.assert_array_equal(found, np.where(mask < count, mask, IGNORED))
    assert sum(strange.values()) == (mask >= count).sum()


@given(mask=MASKS, names=st.lists(st.sampled_from(["a", "b", "c", "d", "Void", "ignore"]), unique=True),
       ignore=st.none() | st.integers(0, 7))  # fmt: skip
def test_what_is_void_or_ignored_is_no_class_and_the_others_move_up(mask: np.ndarray, names: list[str], ignore):
    table = ClassTable.of(dict(enumerate(names)), where="t", ignore=ignore)
    found, strange = table.label(decode(to_png(mask), "m"), "m")
    for value in range(256):
        there = found[mask == value]
        void = value < len(names) and names[value].lower() in ("void", "ignore")
        if value < len(names) and not void and value != ignore:
            assert (there == table.names.index(names[value])).all()
        else:
            assert (there == IGNORED).all()
            known = void or value in (ignore, 255)
            assert strange.get(value, 0) == (0 if known else there.size)


def grey_png(values: list[list[int]], depth: int) -> bytes:
    """Write a grey PNG of few bits, which Pillow does not."""
    rows = []
    for row in values:
        bits = "".join(f"{value:0{depth}b}" for value in row)
        rows.append(b"\0" + int(bits.ljust(-len(bits) % 8 + len(bits), "0"), 2).to_bytes(-(-len(bits) // 8), "big"))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", len(values[0]), len(values), depth, 0, 0, 0, 0)
    body = zlib.compress(b"".join(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_indices_of_few_bits_are_not_spread(depth: int):
    values = [[0, 1, min(2, 2**depth - 1)], [2**depth - 1, 0, 1]]
    assert decode(grey_png(values, depth), "m").values.tolist() == values


def test_values_of_16_bits_are_no_colours(tmp_path: Path):
    make_folders(tmp_path)
    Image.fromarray(np.full(SIZE, 300, np.uint16)).save(tmp_path / "train" / "masks" / "0.png")
    with pytest.raises(DataError, match=r"0\.png: holds the value 300 \(480 pixels\): none of the 3 classes"):
        list(segmentation.load(str(tmp_path)).train.examples())
    label = everything(segmentation.load(str(tmp_path), ignore=300))["train/images/0.jpg"]
    assert (label == IGNORED).all()


def test_classes_that_nothing_names_are_called_by_their_indices(tmp_path: Path):
    make_folders(tmp_path)
    (tmp_path / "classes.txt").unlink()
    splits = segmentation.load(str(tmp_path))
    assert splits.classes == ("0", "1", "2")
    assert splits.mirrored
    write(tmp_path / "val" / "masks" / "8.png", np.full(SIZE, 4, np.uint8))
    assert segmentation.load(str(tmp_path)).classes == ("0", "1", "2", "3", "4")
    assert segmentation.load(str(tmp_path), ignore=4).classes == ("0", "1", "2")


def test_black_and_white_are_classes_where_a_table_says_so(tmp_path: Path, quiet):
    for number in range(COUNT):
        picture(tmp_path / "images" / f"{number}.jpg", number)
        write(tmp_path / "masks" / f"{number}.png", np.where(truth(number) > 0, 255, 0).astype(np.uint8))
    with pytest.raises(DataError, match=r"a single class; .* name both in classes\.csv"):
        segmentation.load(str(tmp_path), seed=1)
    assert "a single class" in listed(mask_checks.check(str(tmp_path), None, 1, quiet))
    (tmp_path / "classes.txt").write_text("ground 0 0 0\nthing 255 255 255\n")
    splits = segmentation.load(str(tmp_path), seed=1)
    assert splits.classes == ("ground", "thing")
    for key, label in everything(splits).items():
        np.testing.assert_array_equal(label, truth(number_of(key)) > 0)


def test_a_void_class_in_the_middle_is_left_out(tmp_path: Path):
    make_folders(tmp_path)
    (tmp_path / "classes.txt").write_text("background\nUnlabelled\ncross\n")
    splits = segmentation.load(str(tmp_path))
    assert splits.classes == ("background", "cross")
    expected = np.array([0, IGNORED, 1, *[IGNORED] * 253], np.uint8)
    for key, label in everything(splits).items():
        np.testing.assert_array_equal(label, expected[truth(number_of(key))])


def test_a_grey_mask_saved_in_colour_holds_indices(tmp_path: Path):
    make_folders(tmp_path)
    for mask in tmp_path.glob("*/masks/*.png"):
        Image.open(mask).convert("RGB").save(mask)
    for key, label in everything(segmentation.load(str(tmp_path))).items():
        np.testing.assert_array_equal(label, truth(number_of(key)))


def test_voc_has_its_own_classes_where_the_indices_fit(tmp_path: Path):
    make_voc(tmp_path)
    (tmp_path / "classes.txt").unlink()
    splits = segmentation.load(str(tmp_path))
    assert len(splits.classes) == 21
    assert splits.classes[:3] == ("background", "aeroplane", "bicycle")
    mask = truth(0)
    mask[0, 0] = 30
    write(tmp_path / "SegmentationClass" / "00.png", mask)
    assert segmentation.load(str(tmp_path)).classes == tuple(map(str, range(31)))


# === Orientation ===


def upright_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_a_mask_of_the_stored_size_is_turned_with_its_image(tmp_path: Path, orientation: int, ending: str):
    make_folders(tmp_path)
    stored = np.zeros((16, 32), np.uint8)
    stored[:8, :16] = 2
    (tmp_path / "train" / "images" / "0.jpg").unlink()
    image = tmp_path / "train" / "images" / f"0.{ending}"
    Image.fromarray(np.where(stored, 255, 0).astype(np.uint8)).convert("RGB").save(
        image, exif=upright_exif(orientation), quality=95
    )
    write(tmp_path / "train" / "masks" / "0.png", stored)
    one = next(iter(segmentation.load(str(tmp_path)).train.examples()))
    assert number_of(one.id) == 0
    shown = np.asarray(image_io.open_rgb(one.image))[..., 0] > 127
    np.testing.assert_array_equal(one.label, np.where(shown, 2, 0))
    np.testing.assert_array_equal(one.label, turn(stored, orientation))


def test_a_mask_that_is_upright_already_is_left_as_it_is(tmp_path: Path, quiet):
    make_folders(tmp_path)
    Image.new("RGB", (32, 16)).save(tmp_path / "train" / "images" / "0.jpg", exif=upright_exif(6))
    write(tmp_path / "train" / "masks" / "0.png", truth(0, (32, 16)))
    np.testing.assert_array_equal(
        everything(segmentation.load(str(tmp_path)))["train/images/0.jpg"], truth(0, (32, 16))
    )
    found = mask_checks.check(str(tmp_path), None, 0, quiet)
    assert "1 images are rotated upright according to EXIF" in listed(found)
    mask = Image.fromarray(turn(truth(0, (32, 16)), 8))
    mask.save(tmp_path / "train" / "masks" / "0.png", exif=upright_exif(6))
    np.testing.assert_array_equal(
        everything(segmentation.load(str(tmp_path)))["train/images/0.jpg"], truth(0, (32, 16))
    )


# === COCO ===


@given(mask=npst.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_the_text_of_run_lengths_is_read_as_pycocotools_writes_it(mask: np.ndarray):
    from pycocotools import mask as official

    written = official.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert list(runs_of(written["counts"].decode())) == runs(mask)
    outline = take_outline({"size": list(mask.shape), "counts": written["counts"].decode()}, "f", "s")
    drawn = Outlines(Path("f"), None, [(1, outline)]).pixels(Header(mask.shape, 1))
    np.testing.assert_array_equal(drawn.values, mask)


@given(text=st.text(max_size=30))
def test_any_text_of_run_lengths_is_taken_or_refused(text: str):
    with contextlib.suppress(DataError):
        assert sum(take_outline({"size": [4, 5], "counts": text}, "f.json", "s").runs) == 20


def test_small_objects_lie_on_large_ones_and_later_ones_on_earlier_of_their_size(tmp_path: Path):
    def square(left: int, top: int, side: int) -> list[list[int]]:
        return [[left, top, left + side, top, left + side, top + side, left, top + side]]

    file = make_coco_file(tmp_path)
    content = json.loads(file.read_text())
    shapes = [(70, square(6, 6, 4)), (3, square(2, 2, 12)), (3, square(16, 2, 4)), (70, square(18, 2, 4))]
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] != 1000] + [
        {"image_id": 1000, "category_id": category, "segmentation": polygons} for category, polygons in shapes
    ]
    file.write_text(json.dumps(content))
    expected = np.zeros(SIZE, np.uint8)
    expected[2:14, 2:14] = 1
    expected[6:10, 6:10] = 2
    expected[2:6, 16:20] = 1
    expected[2:6, 18:22] = 2
    np.testing.assert_array_equal(everything(segmentation.load(str(file)))["all/0.jpg"], expected)


def test_an_image_without_outlines_is_background_and_a_category_of_that_name_is_the_same(tmp_path: Path):
    file = make_coco_file(tmp_path)
    content = json.loads(file.read_text())
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] != 1000]
    content["categories"].insert(0, {"id": 0, "name": "background"})
    file.write_text(json.dumps(content))
    splits = segmentation.load(str(file))
    assert splits.classes == CLASSES
    assert not everything(splits)["all/0.jpg"].any()


def test_outlines_of_the_stored_size_are_turned_with_the_image(tmp_path: Path):
    file = make_coco_file(tmp_path)
    image = Image.open(tmp_path / "all" / "1.jpg")
    image.save(tmp_path / "all" / "1.jpg", exif=upright_exif(6))
    label = everything(segmentation.load(str(file)))["all/1.jpg"]
    np.testing.assert_array_equal(label, turn(truth(1), 6))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, r"received None; expected a list of polygons, or counts and size"),
        ([], r"received \[\]; expected a list of polygons"),
        ([[1, 2, 3, 4]], r"segmentation\[0\]: received \[1, 2, 3, 4\]; expected x and y of three points"),
        ([[1, 2, 3, 4, 5, 6, 7]], "expected x and y of three points"),
        ([[1, 2, 3, 4, 5, float("nan")]], "expected x and y of three points"),
        ([[1, 2, 3, 4, 5, 10**400]], "expected x and y of three points"),
        ([["a"] * 6], "expected x and y of three points"),
        ([[[1, 2]] * 3], "expected x and y of three points"),
        ([7], "expected x and y of three points"),
        ([[1, 2, 3, 4, 5, 1e9]], r"a polygon reaches to 1e\+09; expected pixels of an image of 24 x 20"),
        ({}, r"size: received None; expected \[height, width\]"),
        ({"size": [20, 24]}, "counts: received None; expected a list of run lengths or a text"),
        ({"size": [20, 24], "counts": [3, 4]}, "counts: received the runs .*together 20 x 24 pixels"),
        ({"size": [20, 24], "counts": [-5, 485]}, "counts: received the runs"),
        ({"size": [20, 24], "counts": [1.5, 478.5]}, "counts: received .*; expected a list of run lengths"),
        ({"size": [20, 24], "counts": "no runs"}, "counts: received the runs"),
        ({"size": [10**6, 10**6], "counts": [10**12]}, "counts: received the runs .*at most"),
        ({"size": [10, 10], "counts": [100]}, r"size: received \[10, 10\]; expected \[20, 24\]"),
    ],
)
def test_what_is_wrong_with_an_outline_is_named(tmp_path: Path, value: object, message: str):
    file = make_coco_file(tmp_path)
    content = json.loads(file.read_text())
    content["annotations"][0]["segmentation"] = value
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"all\.json: (annotations\[0\]\.)?(segmentation)?(.*\.)?.*{message}"):
        everything(segmentation.load(str(file)))


def test_outlines_of_an_image_without_measure_are_refused_before_they_are_drawn(tmp_path: Path):
    file = make_coco_file(tmp_path)
    content = json.loads(file.read_text())
    content["images"][0] |= {"width": 10**7, "height": 10**7}
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"an image of 24 x 20 pixels .*is annotated as 10000000 x 10000000"):
        everything(segmentation.load(str(file)))


def test_a_set_of_boxes_is_no_segmentation_set(tmp_path: Path):
    file = make_coco_file(tmp_path)
    content = json.loads(file.read_text())
    for one in content["annotations"]:
        one |= {"bbox": [1, 1, 2, 2], "segmentation": []}
    file.write_text(json.dumps(content))
    assert not is_segmentation(str(file))
    with pytest.raises(DataError, match=r"holds no segmentation set(.|\n)*Pascal VOC(.|\n)*COCO"):
        segmentation.load(str(file))


def test_outlines_draw_nothing_where_there_are_none():
    drawn = Outlines(Path("a.json"), None, []).pixels(Header((3, 4), 6))
    assert drawn.values.tolist() == np.zeros((4, 3)).tolist()


# === What is wrong is named ===


def test_a_path_without_a_set_is_answered_with_what_sets_look_like(tmp_path: Path):
    (tmp_path / "d").mkdir()
    with pytest.raises(DataError, match=r"holds no segmentation set(.|\n)*images/ and masks/(.|\n)*VOC(.|\n)*COCO"):
        segmentation.load(str(tmp_path / "d"))
    make_folders(tmp_path / "d" / "inner")
    with pytest.raises(DataError, match=r"Did you mean .*inner\?"):
        segmentation.load(str(tmp_path / "d"))
    with pytest.raises(DataError, match="there is no such file or folder"):
        segmentation.load(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"unknown segmentation data source 'scene'.*Did you mean 'scenes'"):
        segmentation.load("scene")


def test_other_sets_are_not_taken_for_segmentation(tmp_path: Path, shapes: Path):
    shutil.copytree(shapes, tmp_path / "d")
    (tmp_path / "d" / "names.json").write_text('{"cross": 1}')
    for other in (tmp_path / "d", tmp_path / "nowhere", "digits", "a\0b"):
        assert not is_segmentation(str(other))


def test_an_image_without_mask_is_refused_and_a_mask_without_image_is_passed_over(tmp_path: Path):
    make_folders(tmp_path)
    (tmp_path / "train" / "images" / "1.jpg").unlink()
    assert segmentation.load(str(tmp_path)).train.size == 7
    (tmp_path / "train" / "masks" / "0.png").unlink()
    with pytest.raises(DataError, match=r"images/0\.jpg: has no mask; expected .*masks/0\.png"):
        segmentation.load(str(tmp_path))


def test_two_images_of_one_name_are_refused(tmp_path: Path):
    picture(make_folders(tmp_path) / "train" / "images" / "0.png", 0)
    with pytest.raises(DataError, match=r"0\.png: has the same name as 0\.jpg, so its mask is ambiguous"):
        segmentation.load(str(tmp_path))


def test_a_listed_voc_name_without_mask_or_image_is_named(tmp_path: Path):
    make_voc(tmp_path)
    (tmp_path / "JPEGImages" / "00.jpg").unlink()
    with pytest.raises(DataError, match=r"00\.png: is listed, but there is no image .*00\.jpg"):
        segmentation.load(str(tmp_path))
    (tmp_path / "SegmentationClass" / "00.png").unlink()
    with pytest.raises(DataError, match=r"train\.txt: line 1: there is no annotation '00\.png'"):
        segmentation.load(str(tmp_path))
    shutil.rmtree(tmp_path / "ImageSets")
    assert sum(segmentation.load(str(tmp_path), seed=1)[part].size for part in SPLIT_NAMES) == COUNT - 1


def test_a_mask_of_another_size_is_refused_when_it_is_read(tmp_path: Path):
    make_folders(tmp_path)
    write(tmp_path / "train" / "masks" / "3.png", truth(3, (21, 24)))
    splits = segmentation.load(str(tmp_path))
    with pytest.raises(DataError, match=r"3\.png: is 24 x 21 pixels .*but its image 3\.jpg is 24 x 20"):
        list(splits.train.examples())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Image.fromarray(np.full(SIZE, 7, np.uint8)), r"holds the value 7 \(480 pixels\): .* pass --ignore 7"),
        (lambda: Image.new("RGB", SIZE[::-1], (9, 9, 9)), r"holds the value 9 \(480 pixels\)"),
        (lambda: draw_shape("disc", 0), r"holds colours that no class table names; .*classes\.csv"),
        (lambda: Image.new("CMYK", SIZE[::-1]), "image of mode CMYK; expected a grey, palette or RGB mask"),
        (lambda: Image.new("F", SIZE[::-1]), "image of mode F"),
    ],
)
def test_what_is_wrong_with_a_mask_is_named(tmp_path: Path, make: Callable[[], Image.Image], message: str):
    masks = make_folders(tmp_path) / "train" / "masks"
    (masks / "0.png").unlink()
    make().save(masks / "0.tif")
    splits = segmentation.load(str(tmp_path))
    with pytest.raises(DataError, match=rf"0\.tif: .*{message}"):
        list(splits.train.examples())


def test_a_jpeg_is_no_mask(tmp_path: Path):
    masks = make_folders(tmp_path) / "train" / "masks"
    (masks / "0.png").unlink()
    Image.fromarray(truth(0)).save(masks / "0.jpg")
    splits = segmentation.load(str(tmp_path))
    with pytest.raises(DataError, match=r"0\.jpg: is a JPEG, whose lossy compression changes the values"):
        list(splits.train.examples())


def test_a_colour_that_the_table_does_not_name_is_refused(tmp_path: Path):
    make_folders(tmp_path, kind="colour")
    Image.new("RGB", SIZE[::-1], (1, 2, 3)).save(tmp_path / "train" / "masks" / "0.png")
    splits = segmentation.load(str(tmp_path))
    with pytest.raises(
        DataError, match=r"holds the colour 1,2,3 \(480 pixels\): none of the 4 colours of classes\.csv"
    ):
        list(splits.train.examples())


def test_an_ignored_value_is_an_index(tmp_path: Path):
    make_folders(tmp_path)
    for value in (-1, 65536):
        with pytest.raises(ConfigError, match=f"ignore: received {value}; expected the index of a mask"):
            segmentation.load(str(tmp_path), ignore=value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("classes.txt", "", "is empty; expected the name of a class on each line"),
        ("classes.txt", "a\n\nb", "line 2: received ''; expected the name of a class"),
        ("classes.txt", "a\nb\na\n", "line 3: 'a' is the name of another class"),
        ("classes.txt", "a 1 2 3\nb", "line 2: received 'b'; expected 'name r g b'"),
        ("classes.txt", "a 1 2 3\nb 1 2 300", r"line 2: received the colour .*300.*; expected whole numbers 0 to 255"),
        ("classes.txt", "\n".join(f"c{number}" for number in range(256)), "names 256 classes; expected at most 255"),
        ("classes.csv", "", r"line 1: received the columns \[\]; expected name, r, g and b"),
        ("classes.csv", "name,r,g,b", "names no class"),
        ("classes.csv", "name,r,g,b\na,1,2", "line 2: has 3 columns; expected 4"),
        ("classes.csv", "name,r,g,b\na,1,2,x", "line 2: received 'x'; expected a number"),
        ("classes.csv", "name,r,g,b\na,1,2,2.5", "line 2: received the colour"),
        ("classes.csv", "name,r,g,b\na,1,2,3\n\nb,1,2,3", "line 4: the colour 1, 2, 3 is that of line 2"),
        ("class_dict.csv", "name,r,g,b\na,1,2,3\na,1,2,4", "line 3: 'a' is the name of another class"),
    ],
)
def test_what_is_wrong_with_a_table_of_classes_is_named(tmp_path: Path, name: str, text: str, message: str):
    make_folders(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=rf"{name}: {message}"):
        segmentation.load(str(tmp_path))


def test_a_table_is_read_with_its_columns_in_any_order(tmp_path: Path):
    (tmp_path / "class_dict.csv").write_text("R,G,B,Name,id\r\n1,2,3,a b,7\r\n\r\n255,0,0,void,8\r\n4,5,6,c,9\r\n")
    table = read_table(tmp_path, None)
    assert table is not None
    assert table.names == ("a b", "c")
    assert table.colours == {0x010203: 0, 0xFF0000: IGNORED, 0x040506: 1}


# === Anything at all in the place of a file ===


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of each kind, of which a test spoils a file."""
    root = tmp_path_factory.mktemp("sets")
    make_folders(root / "named")
    make_folders(root / "nameless")
    (root / "nameless" / "classes.txt").unlink()
    make_folders(root / "coloured", kind="colour")
    make_coco_file(root / "coco")
    return root


def load_or_refuse(path: Path) -> None:
    """Load a set and read it; nothing but a refusal by name may come of what is wrong with it."""
    try:
        splits = segmentation.load(str(path), seed=1)
        for one in splits.train.examples():
            assert set(np.unique(one.label).tolist()) <= {*range(len(splits.classes)), IGNORED}
            assert one.label.shape == upright_size(one.image, one.id)
    except DataError as error:
        refusal = str(error)
    else:
        refusal = str(path)
    assert str(path) in refusal
    assert len(refusal) < 2000


def spoil(file: Path, content: bytes, path: Path) -> None:
    kept = file.read_bytes()
    file.write_bytes(content)
    try:
        load_or_refuse(path)
    finally:
        file.write_bytes(kept)


def encoded(mode: str, ending: str) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, SIZE[::-1], 1).save(buffer, ending)
    return buffer.getvalue()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60))
@example(content=b"")
@example(content=to_png(truth(0))[:60])
@example(content=to_png(np.zeros((1, 1), np.uint8)))
@example(content=encoded("1", "PNG"))
@example(content=encoded("LA", "PNG"))
@example(content=encoded("RGBA", "PNG"))
@example(content=encoded("P", "GIF"))
@example(content=encoded("I", "TIFF"))
@example(content=encoded("RGB", "WEBP"))
@example(content=encoded("L", "JPEG"))
def test_any_bytes_in_the_place_of_a_mask_are_read_or_refused(sets: Path, content: bytes):
    for name in ("named", "nameless", "coloured"):
        spoil(sets / name / "train" / "masks" / "0.png", content, sets / name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_any_changed_byte_of_a_mask_is_read_or_refused(sets: Path, position: int, value: int):
    file = sets / "named" / "train" / "masks" / "0.png"
    content = bytearray(file.read_bytes())
    content[position % len(content)] = value
    spoil(file, bytes(content), sets / "named")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: ("name,r,g,b\n" + text).encode()))
@example(content=b'name,r,g,b\n"a\n')
def test_any_bytes_in_the_place_of_names_are_read_or_refused(sets: Path, content: bytes):
    spoil(sets / "named" / "classes.txt", content, sets / "named")
    spoil(sets / "coloured" / "classes.csv", content, sets / "coloured")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=ANYTHING | st.lists(st.lists(st.floats(-50, 50), min_size=6, max_size=8), min_size=1, max_size=3))
def test_any_outline_is_drawn_or_refused(sets: Path, value: object):
    file = sets / "coco" / "all.json"
    content = json.loads(file.read_text())
    for one in content["annotations"][:4]:
        one["segmentation"] = value
    spoil(file, json.dumps(content).encode(), file)


# === tensorflow-datasets ===


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real, prepared sets: without names and from 1, with names, and of images with a label."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    root = tmp_path_factory.mktemp("tfds")
    image = tfds.features.Image(shape=(None, None, 3))
    label = tfds.features.ClassLabel(names=["cross", "disc"])

    def part(count: int) -> tf.data.Dataset:
        pictures = np.stack([np.asarray(draw_shape("disc", n + 100 * count, SIZE)) for n in range(count)])
        masks = np.stack([np.where(truth(n) == IGNORED, 3, truth(n) % 2 + 1)[..., None] for n in range(count)])
        return tf.data.Dataset.from_tensor_slices({"image": pictures, "segmentation_mask": masks.astype(np.uint8)})

    masks = {
        "tiny_masks": tfds.features.Image(shape=(None, None, 1)),
        "tiny_named": tfds.features.LabeledImage(labels=["void", "other", "odd", "border"], shape=(None, None, 1)),
        "oxford_iiit_pet": tfds.features.Image(shape=(None, None, 1)),
    }
    for name, mask in masks.items():
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            data_dir=root,
            config="default",
            features=tfds.features.FeaturesDict({"image": image, "segmentation_mask": mask}),
            split_datasets={split: part(count) for split, count in {"train": 40, "test": 10}.items()},
            disable_shuffling=True,
        )
    plain = part(10).map(lambda one: {"image": one["image"], "label": tf.constant(0, tf.int64)})
    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny_plain",
        version="1.0.0",
        data_dir=root,
        config="default",
        features=tfds.features.FeaturesDict({"image": image, "label": label}),
        split_datasets={"train": plain, "test": plain},
        disable_shuffling=True,
    )
    return root


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("tiny_masks", ("1", "2", "3")),
        ("tiny_named", ("other", "odd", "border")),
        ("oxford_iiit_pet/default:1.0.0", ("pet", "background", "border")),
    ],
)
def test_a_prepared_segmentation_set_is_read(prepared: Path, quiet, name: str, classes: tuple[str, ...]):
    splits = segmentation.load(f"tfds:{name}", prepared)
    assert splits.classes == classes
    assert splits.mirrored
    assert splits.test.size == 10
    assert splits.train.size + splits.validation.size == 40
    masks = everything(splits)
    assert len(masks) == 50
    for key, mask in masks.items():
        expected = truth(int(key.rsplit("/", 1)[1]))
        np.testing.assert_array_equal(mask, np.where(expected == IGNORED, 2, expected % 2))
    found = mask_checks.check(f"tfds:{name}", prepared, 0, quiet)
    assert not found.problems
    assert found.summary[0].startswith("50 images")


def test_a_value_of_a_prepared_set_can_be_ignored(prepared: Path, quiet):
    plain, splits = (segmentation.load("tfds:tiny_masks", prepared, ignore=ignore) for ignore in (None, 3))
    assert splits.classes == ("1", "2")
    assert splits.fingerprint != plain.fingerprint
    assert set(np.unique(np.concatenate(list(everything(splits).values())))) == {0, 1, IGNORED}


def test_which_prepared_sets_are_of_segmentation_is_told_by_their_features(prepared: Path):
    assert is_segmentation("tfds:tiny_masks", prepared)
    assert not is_segmentation("tfds:tiny_plain", prepared)
    assert not is_segmentation("tfds:nothing_like_it", prepared)
    with pytest.raises(DataError, match=r"tfds:tiny_plain: has the features image, label; expected 'image' and 'segm"):
        segmentation.load("tfds:tiny_plain", prepared)


# === Checks ===


def listed(found: classification.Checked) -> str:
    return "\n".join(f"{'error' if problem.serious else 'note'} {problem}" for problem in found.problems)


def test_everything_that_is_wrong_with_folders_is_listed_at_once(tmp_path: Path, quiet):
    make_folders(tmp_path)
    train, val, test = (tmp_path / part for part in ("train", "val", "test"))
    (train / "masks" / "0.png").unlink()
    write(train / "masks" / "spare.png", truth(0))
    write(train / "masks" / "1.png", truth(1, (9, 9)))
    for number in (2, 3):
        mask = truth(number)
        mask[0, :number] = 77
        write(train / "masks" / f"{number}.png", mask)
    (train / "masks" / "4.png").write_text("no mask")
    (train / "images" / "5.jpg").write_text("no image")
    shutil.copy(train / "images" / "6.jpg", test / "images" / "16.jpg")
    shutil.copy(train / "masks" / "6.png", test / "masks" / "16.png")
    shutil.copy(train / "images" / "7.jpg", val / "images" / "8.jpg")
    write(val / "masks" / "9.png", np.full(SIZE, IGNORED, np.uint8))
    (tmp_path / "classes.txt").write_text("\n".join([*CLASSES, "square"]))
    text = listed(mask_checks.check(str(tmp_path), None, 0, quiet))
    for expected in (
        "error .*images/0.jpg: has no mask; expected .*masks/0.png",
        "error .*spare.png: is a mask without an image",
        "error .*1.png: is 9 x 9 pixels .*1.jpg is 24 x 20",
        r"error .*: 5 pixels in the masks of 2 images \(2.jpg, 3.jpg\) have the value 77, none of the 4 .*--ignore 77",
        "error .*4.png: is not an image that can be read",
        "error .*5.jpg: is not an image",
        r"error .*16.jpg: \(test\) has the same content as .*6.jpg \(train\): duplicate across parts",
        "error .*8.jpg: has the same content as .*7.jpg, with another mask",
        "note .*1 masks label no pixel: 9.jpg",
        "error .*: class 'square' has no pixel in the train part",
        "note .*: class 'square' has no pixel in the test part",
    ):
        with_line = [line for line in text.splitlines() if re.match(expected, line)]
        assert len(with_line) == 1, (expected, text)
    assert len(text.splitlines()) == 12


def test_the_summary_counts_and_measures(tmp_path: Path, quiet):
    found = mask_checks.check(str(make_voc(tmp_path)), None, 0, quiet)
    assert listed(found) == f"note {tmp_path}: 1 images have no mask and are not used: 99.jpg"
    assert found.summary[:3] == [
        "24 images: 16 train, 4 validation, 4 test",
        "all 24 x 20 pixels (width x height)",
        "3 classes, by share of labelled pixels:",
    ]
    masks = np.stack([truth(number) for number in range(COUNT)])
    labelled = masks[masks != IGNORED]
    share = f"{percent((labelled == 0).mean(), 3):>9}"
    assert found.summary[3] == f"  background  {share} of the pixels, in 100.0 % of the images"
    assert "in  50.0 % of the images" in found.summary[4]
    assert found.summary[6] == f"{percent((masks == IGNORED).mean(), 3)} of all pixels are ignored"
    picture(tmp_path / "JPEGImages" / "00.jpg", 0, (40, 50))
    write(tmp_path / "SegmentationClass" / "00.png", truth(0, (40, 50)))
    found = mask_checks.check(str(tmp_path), None, 0, quiet)
    assert found.summary[1] == "24 x 20 to 50 x 40 pixels (width x height), 2 sizes; 23 of 24 x 20"


def test_faults_of_the_format_are_listed_too(tmp_path: Path, quiet):
    file = make_coco_file(tmp_path)
    content = json.loads(file.read_text())
    content["annotations"][0]["segmentation"] = []
    content["annotations"][2]["category_id"] = 8
    content["images"][4]["width"] = 25
    file.write_text(json.dumps(content))
    text = listed(mask_checks.check(str(file), None, 1, quiet))
    assert "annotations[0].segmentation: received []" in text
    assert "annotations[2].category_id: there is no category 8" in text
    assert "an image of 24 x 20 pixels (width x height) is annotated as 25 x 20" in text


def test_the_scenes_have_nothing_wrong(quiet, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        segmentation, "load_drawn", lambda *_: scenes.load_masks(0, {"train": 60, "validation": 40, "test": 40})
    )
    found = mask_checks.check("scenes", None, 0, quiet)
    assert not found.problems
    assert found.summary[:2] == [
        "140 images: 60 train, 40 validation, 40 test",
        "all 128 x 96 pixels (width x height)",
    ]


# === Real data ===


def test_real_roads_are_split_as_published_with_their_void_value_named(shared_data: Path, quiet):
    data = str(shared_data / "camvid")
    assert is_segmentation(data)
    splits = segmentation.load(data, ignore=11)
    assert len(splits.classes) == 11
    assert splits.classes[0] == "Sky"
    assert splits.train.size + splits.validation.size == 367
    assert splits.test.size == 101
    for one in splits.test.examples():
        assert one.label.shape == (360, 480)
        assert one.label[one.label != IGNORED].max() <= 10
    with pytest.raises(
        DataError, match=r"holds the value 11 .*: none of the 11 classes of classes\.txt; .*--ignore 11"
    ):
        next(segmentation.load(data).train.examples())
    found = mask_checks.check(data, None, 0, quiet, ignore=11)
    assert not found.problems
    assert found.summary[1] == "all 480 x 360 pixels (width x height)"
    assert found.summary[-1] == "3.464 % of all pixels are ignored"


def test_other_real_sets_are_not_taken_for_segmentation():
    for name in ("bccd/BCCD", "sign_language_digits", "uiuc_cars", "uiuc_cars/test_single_scale.json"):
        assert not is_segmentation(str(SHARED / name))


def test_hostile_images_are_read_or_refused_as_masks(shared_data: Path):
    for file in sorted((shared_data / "robustness" / "pngsuite").rglob("*.png")):
        with contextlib.suppress(DataError):
            assert decode(file.read_bytes(), str(file)).values.ndim == 2


def test_nothing_wrong_is_passed_over_by_who_wants_the_set_whole(tmp_path: Path):
    found = segmentation.read(make_folders(tmp_path), refuse)
    assert [one.part for one in found.images] == ["train"] * 8 + ["validation"] * 8 + ["test"] * 8
