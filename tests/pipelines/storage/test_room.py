"""What is asked of a disk before hours of work."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.core.errors import ConfigError
from pipelines.storage.room import check_room, check_writable


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path):
    check_writable(tmp_path / "a" / "b", "--saved-models")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    check_writable(tmp_path / "a", "--saved-models")
    assert list(tmp_path.rglob("*")) == [tmp_path / "a"]


def test_what_cannot_be_written_to_is_said_with_the_option(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"file/models: cannot be written to: .*choose another folder with --log-dir"):
        check_writable(tmp_path / "file" / "models", "--log-dir")


def test_a_file_system_is_asked_once_for_all_that_goes_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10 << 20))
    check_room({tmp_path / "new": 4 << 20, tmp_path: 6 << 20})
    with pytest.raises(ConfigError, match=r"about 11 MiB are needed .*, and 10 MiB are free"):
        check_room({tmp_path / "new": 5 << 20, tmp_path: 6 << 20})
