"""Files that somebody names: what is none is said, and no file is read beyond its limit."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from hostile_files import KINDS, within
from pipelines.core.errors import DataError
from pipelines.intake import regular_file
from pipelines.intake.regular_file import is_there, open_regular, read_bounded


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_named(kind: str, tmp_path: Path):
    make, said = KINDS[kind]
    make(tmp_path / "a.json")
    with within(5), pytest.raises(DataError, match=rf"a\.json: ({said})"):
        read_bounded(tmp_path / "a.json", 1000)
    assert is_there(tmp_path / "a.json")


def test_a_fifo_that_is_put_in_place_of_a_file_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Between being looked at and being opened: what was opened is looked at again."""
    os.mkfifo(tmp_path / "a")
    looked_at = os.stat(__file__)
    monkeypatch.setattr(regular_file.os, "stat", lambda path: looked_at)
    with within(5), pytest.raises(DataError, match="is a FIFO, not a file"):
        open_regular(tmp_path / "a")


def test_a_file_is_read_to_its_limit_and_no_further(tmp_path: Path):
    (tmp_path / "a").write_bytes(bytes(10))
    assert read_bounded(tmp_path / "a", 10) == bytes(10)
    with pytest.raises(DataError, match=re.escape("a: has 10 bytes; at most 9 bytes of an image are read")):
        read_bounded(tmp_path / "a", 9, "image")


def test_a_file_that_says_it_is_empty_is_read_to_its_limit():
    """Those of the system have no size that could be asked for."""
    assert read_bounded("/proc/self/status", 2**20).startswith(b"Name:")
    with pytest.raises(DataError, match="at most 10 bytes of a file are read"):
        read_bounded("/proc/self/status", 10)


def test_what_is_not_there_or_cannot_be_a_name_is_said(tmp_path: Path):
    for name, said in (
        ("gone", "there is no such file"),
        ("a\0b", "is not a name that a file can have"),
        ("n" * 300, "cannot be read: File name too long"),
        ("\ud800", "is not a name that a file can have"),
        ("", "is a folder, not an image; expected a regular file"),
    ):
        with pytest.raises(DataError, match=said):
            read_bounded(tmp_path / name, 10, "image")
        assert not is_there(tmp_path / name)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DataError, match="loop: cannot be read"):
        read_bounded(tmp_path / "loop", 10)
