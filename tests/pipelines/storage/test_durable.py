"""Files that are whole at every moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.storage import durable


def test_a_file_is_written_in_one_piece_or_in_several(tmp_path: Path):
    path = tmp_path / "record.json"
    durable.write_atomically(path, b"one")
    assert path.read_bytes() == b"one"
    durable.write_atomically(path, (piece for piece in (b"t", b"wo")))
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["record.json"]


def test_a_failure_leaves_the_file_before_and_nothing_else(tmp_path: Path):
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise OSError("no space left")

    path = tmp_path / "record.json"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="no space left"):
        durable.write_atomically(path, broken())
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["record.json"]


def test_a_name_of_any_length_that_a_disk_takes_is_written(tmp_path: Path):
    path = tmp_path / ("ü" * 127)
    durable.write_atomically(path, b"x")
    assert path.read_bytes() == b"x"


def test_files_and_folders_are_flushed_before_the_rename_and_the_folder_after_it(tmp_path: Path, monkeypatch):
    done: list[str] = []
    fsync, rename = os.fsync, os.replace

    def flushed(descriptor: int) -> None:
        done.append(f"flush {Path(os.readlink(f'/proc/self/fd/{descriptor}')).relative_to(tmp_path)}")
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        done.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    building = tmp_path / "building"
    (building / "variables").mkdir(parents=True)
    (building / "variables" / "index").write_bytes(b"1")
    (building / "link").symlink_to(tmp_path / "elsewhere")
    durable.sync_tree(building)
    durable.replace(building, tmp_path / "1")
    assert done == ["flush building/variables/index", "flush building/variables", "flush building", "rename", "flush ."]
