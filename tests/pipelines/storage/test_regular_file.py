"""Files that are read: regular ones, of a size that was expected."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pipelines.storage import regular_file
from pipelines.storage.regular_file import NotRegularError


def test_a_regular_file_is_read_and_hashed(tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert regular_file.read(path, 3) == b"abc"
    digest, size = regular_file.digest(path)
    assert (digest[:8], size) == ("ba7816bf", 3)
    with pytest.raises(NotRegularError, match="has more than"):
        regular_file.read(path, 2)


def test_what_is_none_is_not_waited_for(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"abc")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        for name in ("pipe", "link", "device", "folder", "socket"):
            for read in (lambda path: regular_file.read(path, 10), regular_file.digest):
                with pytest.raises(NotRegularError, match=r"is a symbolic link|is no regular file|is a folder"):
                    read(tmp_path / name)
    with pytest.raises(NotRegularError, match="is no regular file"):
        regular_file.read(Path("/dev/zero"), 10)
    with pytest.raises(FileNotFoundError):
        regular_file.read(tmp_path / "nothing", 10)
