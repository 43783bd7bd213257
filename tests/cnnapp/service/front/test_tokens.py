"""Files of tokens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnnapp.service.front.tokens import Tokens, read_tokens, readable_by_others
from pipelines.core.errors import ConfigError

FIRST, SECOND = "a" * 20, "b-._~+/b" * 4 + "=="


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.txt"
    path.write_text(f"# of the page\n{FIRST}\n\n  {SECOND}  \n")
    path.chmod(0o600)
    return path


def test_a_client_is_known_by_its_token(file: Path):
    tokens = Tokens(file)
    assert read_tokens(file) == (FIRST, SECOND)
    first, second = tokens.client(f"Bearer {FIRST}"), tokens.client(f"bearer  {SECOND} ")
    assert first is not None
    assert second is not None
    assert first != second
    assert FIRST not in first
    for wrong in (
        "",
        "Bearer",
        FIRST,
        f"Basic {FIRST}",
        f"Bearer {FIRST}x",
        f"Bearer {FIRST} {SECOND}",
        "Bearer \udc80",
    ):
        assert tokens.client(wrong) is None


def test_tokens_are_read_again_and_stay_where_they_cannot_be(file: Path):
    tokens = Tokens(file)
    file.write_text(f"{SECOND}\n")
    assert tokens.read() == 1
    assert tokens.client(f"Bearer {FIRST}") is None
    file.write_text("short\n")
    with pytest.raises(ConfigError):
        tokens.read()
    assert tokens.client(f"Bearer {SECOND}") is not None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has no token; make one with: python -c"),
        (b"# nothing\n\n", "has no token"),
        (f"{FIRST}\nclassified word!\n".encode(), "line 2 of .* is no token"),
        (b"short\n", "line 1 .* at least 16"),
        (b"\xff\xfe\x00a", "cannot be read: it is not text"),
        (b"a" * 2**21, "at most 1,048,576 bytes"),
    ],
)
def test_what_is_no_file_of_tokens_is_said_without_repeating_it(tmp_path: Path, content: bytes, reason: str):
    path = tmp_path / "tokens.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as found:
        read_tokens(path)
    assert "classified" not in str(found.value)
    assert FIRST not in str(found.value)


def test_only_files_are_read(tmp_path: Path):
    """A pipe would be waited for without end."""
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("pipe", "is a FIFO"), (".", "is a folder"), ("none", "there is no such file")):
        with pytest.raises(ConfigError, match=reason):
            read_tokens(tmp_path / name)
    (tmp_path / "link").symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="is a device"):
        read_tokens(tmp_path / "link")


@pytest.mark.parametrize(
    ("mode", "others"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o660, True)]
)
def test_a_file_that_others_can_read_is_told(file: Path, mode: int, others: bool):
    file.chmod(mode)
    assert readable_by_others(file) is others
