"""Every example is looked at before the first step: all that cannot be used are named at once, or left out."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drawings import make_folder
from pipelines.core.errors import DataError
from pipelines.core.progress import Reporter
from pipelines.data import SPLIT_NAMES, Example, Split, Splits, inspection, proof
from pipelines.data.splits import Item, everything
from pipelines.tasks.registry import find_task
from small_sets import CUT, MADE, NONE, PARTS, boxes, classes, files_of, load, masks, spoil, task_of


@pytest.fixture(params=MADE)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(name: str, tmp_path: Path) -> Path:
    return MADE[name](tmp_path / "set")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNAPP_CACHE", str(tmp_path / "cache"))


def refused(name: str, splits: Splits[Any], quiet: Reporter, **options: Any) -> str:
    with pytest.raises(DataError) as raised:
        proof.proven(splits, task_of(name), quiet, **options)
    return str(raised.value)


# === What is found ===


def test_a_set_in_which_all_is_well_is_left_as_it_is(name: str, root: Path, quiet):
    splits = load(name, root)
    assert proof.proven(splits, task_of(name), quiet) is splits
    assert proof.proven(splits, task_of(name), quiet, skip=True) is splits
    assert proof.on_card(splits) == {}


def test_all_that_cannot_be_used_are_named_at_once(name: str, root: Path, quiet):
    bad = spoil(name, root)
    text = refused(name, load(name, root), quiet)
    assert f"set: {len(bad)} of " in text
    for path, reason in bad.items():
        where = path.name if name == "regression" and reason != CUT else str(path)
        if name != "regression":
            assert f"\n  {where}: {reason}" in text
        else:  # reads bytes as they are, so that it is the decoder that refuses them
            assert f"\n  {path}: the image cannot be decoded" in text
    assert "--skip-bad-images" in text
    assert text.count("\n") == len(bad) + 1


def test_without_them_all_others_stay_where_they_were(name: str, root: Path, quiet):
    before = load(name, root)
    ids = {part: [example.id for example in before[part].examples()] for part in SPLIT_NAMES}
    bad = spoil(name, root)
    whole = load(name, root)
    left = proof.proven(whole, task_of(name), quiet, skip=True)
    skipped = {one.id for one in left.skipped}
    assert len(left.skipped) == len(skipped) == len(bad)
    for part in SPLIT_NAMES:
        kept = [example.id for example in left[part].examples()]
        assert kept == [one for one in ids[part] if one not in skipped]
        assert left[part].size == len(kept) == whole[part].size - 2
        assert [item.id for item in left[part].items()] == kept  # type: ignore[misc]
    assert [example.id for example in everything(left).examples()] == [
        one for part in SPLIT_NAMES for one in ids[part] if one not in skipped
    ]
    assert left.fingerprint != whole.fingerprint
    assert left.fingerprint == proof.proven(load(name, root), task_of(name), quiet, skip=True).fingerprint
    card = proof.on_card(left)["skipped"]
    assert card["count"] == len(bad)
    assert str(root) not in json.dumps(card)


def test_other_images_that_are_left_out_make_another_set(root: Path, name: str, quiet):
    spoil(name, root)
    first = proof.proven(load(name, root), task_of(name), quiet, skip=True)
    third = files_of(name, root)["test"][2]
    third.write_bytes(bytes(len(third.read_bytes())))  # of the same size, so that the set itself has the same hash
    whole = load(name, root)
    second = proof.proven(whole, task_of(name), quiet, skip=True)
    assert len(second.skipped) == len(first.skipped) + 1
    assert second.fingerprint != first.fingerprint


def test_a_file_that_vanishes_after_it_was_listed_is_named(name: str, root: Path, quiet):
    splits, gone = load(name, root), [paths[1] for paths in files_of(name, root).values()]
    for path in gone:
        path.unlink()
    text = refused(name, splits, quiet)
    assert "3 of " in text
    assert all(path.name in text for path in gone)
    assert len(proof.proven(splits, task_of(name), quiet, skip=True).skipped) == 3


def test_a_file_that_vanishes_before_its_size_is_asked_for_is_named(
    name: str, root: Path, quiet, monkeypatch: pytest.MonkeyPatch
):
    """A link to nothing is listed as a file is."""
    link = files_of(name, root)["test"][0]
    link.unlink()
    link.symlink_to(root / "nowhere.png")
    with pytest.raises(DataError, match=link.name):
        proof.proven(load(name, root), task_of(name), quiet)


def test_a_folder_and_a_file_that_may_not_be_read_are_named(
    name: str, root: Path, quiet, monkeypatch: pytest.MonkeyPatch
):
    splits, files = load(name, root), files_of(name, root)
    folder, locked = files["test"][0], files["train"][1]
    folder.unlink()
    folder.mkdir()
    if os.geteuid() == 0:  # who may read everything
        for owner, reads in ((os, "open"), (Path, "read_bytes")):
            given = getattr(owner, reads)

            def refuse(path: Any, *args: Any, given: Any = given) -> Any:
                if str(path) == str(locked):
                    raise PermissionError(13, "Permission denied", str(path))
                return given(path, *args)

            monkeypatch.setattr(owner, reads, refuse)
    else:
        locked.chmod(0)
    text = refused(name, splits, quiet)
    assert "2 of " in text
    assert "Permission denied" in text
    assert folder.name in text


def test_masks_that_do_not_fit_are_named_with_the_images(tmp_path: Path, quiet):
    root = masks(tmp_path / "set")
    Image.new("L", (10, 8)).save(root / "test" / "masks" / "1.png")
    Image.fromarray(np.full((37, 50), 77, np.uint8)).save(root / "val" / "masks" / "2.png")
    (root / "train" / "masks" / "3.png").write_bytes(b"")
    (root / "train" / "masks" / "4.png").unlink()
    (root / "train" / "masks" / "4.png").symlink_to(root / "nowhere.png")
    (root / "test" / "images" / "0.png").write_text("text")
    splits = load("segmentation", root)
    text = refused("segmentation", splits, quiet)
    assert "5 of 20" in text
    assert f"{root}/test/masks/1.png: is 10 x 8 pixels (width x height), but its image 1.png is 50 x 37" in text
    assert f"{root}/val/masks/2.png: holds the value 77" in text
    assert f"{root}/train/masks/3.png: the file is empty" in text
    assert f"{root}/train/masks/4.png: there is no such file" in text
    left = proof.proven(splits, task_of("segmentation"), quiet, skip=True)
    assert [left[part].size for part in SPLIT_NAMES] == [10, 3, 2]
    reasons = {one["image"]: one["reason"] for one in proof.on_card(left)["skipped"]["images"]}
    assert reasons["train/images/3.png"] == "masks/3.png: the file is empty"
    assert reasons["test/images/0.png"] == NONE


def test_a_mask_of_another_size_than_what_is_decoded_is_refused():
    task = find_task("segmentation")
    with pytest.raises(DataError, match=r"a\.png: its mask is 3 x 2 .* decoded to 2 x 3"):
        task.examine(Example("a.png", b"", np.zeros((2, 3), np.uint8)), (3, 2))


def test_many_are_counted(tmp_path: Path, quiet):
    root = make_folder(tmp_path / "set", count=40, parts=tuple(PARTS))
    for path in sorted((root / "train" / "cross").iterdir())[:30]:
        path.write_bytes(b"")
    text = refused("classification", load("classification", root), quiet)
    assert "30 of 240" in text
    assert text.count("the file is empty") == 20
    assert "and 10 more" in text
    assert "cnnapp check" in text


def test_only_the_parts_that_are_asked_for_are_looked_at(tmp_path: Path, quiet):
    root = classes(tmp_path / "set")
    files_of("classification", root)["train"][0].write_bytes(b"")
    splits = load("classification", root)
    assert proof.proven(splits, task_of("classification"), quiet, parts=("test",)) is splits


# === What is left ===


@pytest.mark.parametrize("part", SPLIT_NAMES)
def test_a_part_that_is_left_without_images_is_refused(name: str, root: Path, part: str, quiet):
    for path in files_of(name, root)[part]:
        path.write_bytes(b"")
    assert f"the {part} part has no image left" in refused(name, load(name, root), quiet, skip=True)


@pytest.mark.parametrize("name", ["classification", "detection", "segmentation"])
def test_a_class_that_is_left_without_training_images_is_refused(name: str, root: Path, quiet):
    splits = load(name, root)
    disc = splits.classes.index("disc")
    for item in splits.train.items():  # type: ignore[misc]
        if disc in item.classes():
            item.files[0].write_bytes(b"")
    assert "no image of class 'disc' left" in refused(name, load(name, root), quiet, skip=True)


def test_a_class_that_is_left_without_test_images_is_not(tmp_path: Path, quiet):
    root = classes(tmp_path / "set")
    for path in (root / "test" / "disc").iterdir():
        path.write_bytes(b"")
    left = proof.proven(load("classification", root), task_of("classification"), quiet, skip=True)
    assert left.test.size == 4


def test_a_detection_part_that_is_left_with_background_alone_is_refused(tmp_path: Path, quiet):
    root = boxes(tmp_path / "set")
    record = json.loads((root / "test.json").read_text())
    record["annotations"] = [one for one in record["annotations"] if one["image_id"] == 0]
    (root / "test.json").write_text(json.dumps(record))
    (root / "test" / "0.png").write_bytes(b"")
    assert "the test part has no image left in which" in refused("detection", load("detection", root), quiet, skip=True)


# === What is wrong before an image is opened ===


def test_images_that_an_annotation_lists_and_that_are_not_there_are_named_at_once(tmp_path: Path):
    root = boxes(tmp_path / "set")
    gone = [root / "train" / "3.png", root / "train" / "5.png", root / "test" / "1.png"]
    for path in gone:
        path.unlink()
    with pytest.raises(DataError, match="3 things are wrong") as raised:
        load("detection", root)
    assert all(path.name in str(raised.value) for path in gone)


def test_images_without_a_mask_are_named_at_once(tmp_path: Path):
    root = masks(tmp_path / "set")
    for number in range(3):
        (root / "test" / "masks" / f"{number}.png").unlink()
    with pytest.raises(DataError, match="3 things are wrong") as raised:
        load("segmentation", root)
    assert str(raised.value).count("has no mask") == 3


# === Sources without files ===


@pytest.mark.parametrize(("task", "source"), [("classification", "digits"), ("detection", "scenes")])
def test_embedded_sources_are_looked_at_too(task: str, source: str, quiet, monkeypatch: pytest.MonkeyPatch):
    splits = load(task, Path(source))
    short = Splits(
        **{**vars(splits), **{part: splits[part].without(range(9, splits[part].size)) for part in SPLIT_NAMES}}
    )
    assert proof.proven(short, task_of(task), quiet) is short
    monkeypatch.setattr(inspection, "decoded_size", None)  # the second time nothing is decoded
    assert proof.proven(short, task_of(task), quiet) is short


def given(examples: Iterator[Example[int]], size: int) -> Splits[int]:
    """Make a set of a source that knows nothing of items."""
    found = list(examples)
    part = {one: Split(one, size, lambda: iter(found)) for one in SPLIT_NAMES}
    return Splits("other", ("a", "b"), part["train"], part["validation"], part["test"], False, "hash")


def test_a_source_with_examples_alone_is_gone_through_as_well(quiet):
    png = (Path(__file__).parents[3] / "saved_models/digits/1/golden/input-0.png").read_bytes()
    images = [png, b"no image", png, png[:40]]
    splits = given((Example(f"{at}.png", image, at % 2) for at, image in enumerate(images)), 4)
    text = refused("classification", splits, quiet)
    assert "6 of 12" in text
    assert "  1.png: the image cannot be decoded" in text
    left = proof.proven(splits, task_of("classification"), quiet, skip=True)
    assert [example.id for example in left.test.examples()] == ["0.png", "2.png"]


def test_where_such_a_source_ends_is_said_and_cannot_be_passed_over(quiet):
    png = (Path(__file__).parents[3] / "saved_models/digits/1/golden/input-0.png").read_bytes()

    def examples() -> Iterator[Example[int]]:
        yield Example("0.png", png, 0)
        yield Example("1.png", b"no image", 0)
        raise FileNotFoundError(2, "No such file or directory", "2.png")

    good = given(iter([Example("0.png", png, 0)]), 1)
    splits = Splits(**{**vars(good), "test": Split("test", 4, examples)})
    for skip in (False, True):
        text = refused("classification", splits, quiet, skip=skip)
        assert "  1.png: the image cannot be decoded" in text
        assert "  2.png: No such file or directory; what is behind it cannot be reached" in text


# === What is remembered ===


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what is decoded."""
    names: list[str] = []
    decode = inspection.decoded_size

    def listening(data: bytes, name: str) -> tuple[int, int]:
        names.append(Path(name).name)
        return decode(data, name)

    monkeypatch.setattr(inspection, "decoded_size", listening)
    return names


def settle(root: Path) -> None:
    """Make files older than what is not trusted yet."""
    before = time.time_ns() - 10**10
    for path in root.rglob("*.*"):
        os.utime(path, ns=(before, before))
    time.sleep(2.1)  # their time of change cannot be set


def test_what_was_good_is_not_decoded_again_and_what_changed_is(
    name: str, root: Path, quiet, decoded: list[str], monkeypatch: pytest.MonkeyPatch
):
    settle(root)
    files = [path for paths in files_of(name, root).values() for path in paths]
    assert proof.proven(load(name, root), task_of(name), quiet).skipped == ()
    assert len(decoded) == len(files)
    decoded.clear()
    hashed = proof.verdicts.hash_of
    monkeypatch.setattr(proof.verdicts, "hash_of", None)  # nor is a file opened
    proof.proven(load(name, root), task_of(name), quiet)
    assert decoded == []
    monkeypatch.setattr(proof.verdicts, "hash_of", hashed)
    os.utime(files[0])  # touched: hashed, and not decoded
    shutil.copy(files[1], root / "copy")  # copied back: the same content in another file
    os.replace(root / "copy", files[1])
    proof.proven(load(name, root), task_of(name), quiet)
    assert decoded == []
    files[2].write_bytes(b"spoilt")
    assert files[2].name in refused(name, load(name, root), quiet)
    assert decoded == ([files[2].name] if name == "regression" else [])  # elsewhere it is reading that fails


def test_content_that_is_replaced_under_the_old_time_is_noticed(tmp_path: Path, quiet):
    root = classes(tmp_path / "set")
    settle(root)
    splits = load("classification", root)
    proof.proven(splits, task_of("classification"), quiet)
    path = files_of("classification", root)["test"][0]
    found = path.stat()
    path.write_bytes(bytes(found.st_size))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert str(path) in refused("classification", splits, quiet)


def test_what_is_bad_is_looked_at_every_time(tmp_path: Path, quiet):
    root = classes(tmp_path / "set")
    path = files_of("classification", root)["test"][0]
    content = path.read_bytes()
    path.write_bytes(content[:20])
    for _ in range(2):
        refused("classification", load("classification", root), quiet)
    path.write_bytes(content)
    proof.proven(load("classification", root), task_of("classification"), quiet)


def test_the_same_files_with_other_classes_are_looked_at_again(tmp_path: Path, quiet, decoded: list[str]):
    root = masks(tmp_path / "set")
    proof.proven(load("segmentation", root), task_of("segmentation"), quiet)
    (root / "classes.txt").write_text("background\ncross\n")  # of a value there is no class left
    assert "holds the value 2" in refused("segmentation", load("segmentation", root), quiet)


def test_another_decoder_decides_anew(tmp_path: Path, quiet, decoded: list[str], monkeypatch: pytest.MonkeyPatch):
    root = classes(tmp_path / "set")
    for decoder in ("one", "two", "two"):
        monkeypatch.setattr(proof, "_decoder", lambda decoder=decoder: decoder)
        proof.proven(load("classification", root), task_of("classification"), quiet)
    assert len(decoded) == 2 * 40


def test_a_damaged_memory_is_said_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = classes(tmp_path / "set")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "readable.sqlite").write_text("no database " * 100)
    proof.proven(load("classification", root), task_of("classification"), Reporter(quiet=False))
    assert "is damaged, and is made anew" in capsys.readouterr().err.replace("\n", " ")


# === Memory ===


def test_few_are_held_at_a_time():
    held, most, lock = 0, 0, threading.Lock()

    def things() -> Iterator[int]:
        nonlocal held, most
        for number in range(1000):
            with lock:
                held += 1
                most = max(most, held)
            yield number

    for _ in inspection.in_threads(lambda number: number, things()):
        with lock:
            held -= 1
    assert most <= 4 * 16 + 2


def test_large_images_wait_for_each_other():
    room, inside, most, lock = inspection._Room(100), 0, 0, threading.Lock()

    def enter(pixels: int) -> None:
        nonlocal inside, most
        with room.held(pixels):
            with lock:
                inside += pixels
                most = max(most, inside)
            time.sleep(0.001)
            with lock:
                inside -= pixels

    threads = [threading.Thread(target=enter, args=(60 if at % 3 else 30,)) for at in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most <= 100
    with room.held(1000):  # larger than all of it: alone
        assert room._taken == 1000


def test_an_item_is_read_where_the_source_does_not_turn_errors_into_words():
    def fail() -> Example[int]:
        raise MemoryError

    assert inspection.look_at(Item("a.png", fail)).fault == "a.png: needs more memory than there is"
