"""What is remembered of files: for how long it holds, and that nothing depends on the database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.data.verdicts import Stamp, Verdicts, hash_of, stamp_of
from places import ROOT

OLD = time.time_ns() - 10**10


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "readable.sqlite"


def stamp(number: int, size: int = 3) -> Stamp:
    return Stamp(f"/data/{number}.png".encode(), size, OLD, OLD)


def filled(path: Path, said: list[str], count: int = 3, most: int = 1000) -> None:
    with closing(Verdicts(path, said.append, most)) as kept:
        for number in range(count):
            kept.keep_file(stamp(number), bytes([number % 256]) * 32)
            kept.keep(b"key %d" % number)


def known(path: Path, said: list[str], count: int = 3) -> list[bool]:
    with closing(Verdicts(path, said.append)) as kept:
        return [kept.hash_of(stamp(number)) is not None and kept.holds(b"key %d" % number) for number in range(count)]


def test_what_was_kept_is_known_in_another_process(path: Path, said: list[str]):
    filled(path, said)
    assert known(path, said, 4) == [True, True, True, False]
    assert not said


def test_a_file_of_another_size_or_time_is_not_known(path: Path, said: list[str]):
    filled(path, said)
    with closing(Verdicts(path, said.append)) as kept:
        for change in ({"size": 4}, {"mtime": OLD + 1}, {"ctime": OLD + 1}, {"path": b"/data/x.png"}):
            assert kept.hash_of(stamp(0)._replace(**change)) is None
        assert kept.hash_of(stamp(0)) == bytes(32)


def test_a_file_that_was_written_but_now_is_not_trusted_by_its_time(path: Path, said: list[str]):
    new = stamp(0)._replace(mtime=time.time_ns())
    with closing(Verdicts(path, said.append)) as kept:
        kept.keep_file(new, bytes(32))
        assert kept.hash_of(new) is None


def test_the_stamp_tells_what_can_change_of_a_file(tmp_path: Path):
    file = tmp_path / "a.png"
    file.write_bytes(b"one")
    before = stamp_of(file)
    assert before is not None
    assert hash_of(before) is not None
    time.sleep(0.02)
    file.write_bytes(b"two")
    os.utime(file, ns=(before.mtime, before.mtime))
    after = stamp_of(file)
    assert after is not None
    assert (after.size, after.mtime) == (before.size, before.mtime)
    assert after != before
    assert hash_of(before) is None
    assert stamp_of(tmp_path) is stamp_of(tmp_path / "gone") is None
    os.mkfifo(tmp_path / "endless.png")
    assert stamp_of(tmp_path / "endless.png") is None
    with open(file, "wb") as large:
        large.truncate(2**40)  # a hole
    stamped = stamp_of(file)
    assert stamped is not None
    assert hash_of(stamped) is None


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100, None], ids=["empty", "text", "torn"])
def test_a_damaged_database_is_thrown_away_and_that_is_said(path: Path, said: list[str], content: bytes | None):
    filled(path, said, 3000)
    whole = path.read_bytes()
    if content is None:
        content = whole[:5000] + os.urandom(len(whole) - 5000)
    path.write_bytes(content)
    found = known(path, said, 3000)
    assert not all(found)
    assert (len(said) == 1 and "is damaged" in said[0]) or not content
    filled(path, said)
    assert known(path, said) == [True] * 3
    assert len(said) <= 1


def test_a_database_of_other_tables_is_made_anew(path: Path, said: list[str]):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE files (name TEXT)")
        database.execute("PRAGMA user_version = 1")
        database.commit()
    assert known(path, said) == [False] * 3
    filled(path, said)
    assert known(path, said) == [True] * 3


def test_one_of_another_version_is_emptied(path: Path, said: list[str]):
    filled(path, said)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 7")
    assert known(path, said) == [False] * 3
    assert not said


def test_where_it_cannot_be_written_nothing_is_kept_and_that_is_said_once(tmp_path: Path, said: list[str]):
    (tmp_path / "file").write_text("")
    filled(tmp_path / "file" / "readable.sqlite", said)
    assert len(said) == 1
    assert "is not remembered" in said[0]


def test_a_full_disk_costs_the_memory_alone(path: Path, said: list[str]):
    filled(path, said)
    with closing(Verdicts(path, said.append)) as kept:
        assert kept._database is not None
        pages = kept._database.execute("PRAGMA page_count").fetchone()[0]
        kept._database.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(5000):
            kept.keep(b"more %d" % number)
    assert len(said) == 1
    assert "is full" in said[0]
    assert known(path, said) == [True] * 3


def test_while_another_process_writes_nothing_is_said_or_lost_but_time(path: Path, said: list[str]):
    filled(path, said)
    with closing(sqlite3.connect(path)) as other, closing(Verdicts(path, said.append)) as kept:
        assert kept._database is not None
        kept._database.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN EXCLUSIVE")
        assert not kept.holds(b"key 0")
        kept.keep(b"another")
        kept._flush(1)
        other.rollback()
        assert kept.holds(b"key 0")
    assert not said


def test_it_does_not_grow_without_end(path: Path, said: list[str]):
    filled(path, said, 50, most=20)
    with closing(sqlite3.connect(path)) as database:
        for table in ("files", "readable"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 20


def test_what_was_not_used_for_longest_is_forgotten_first(path: Path, said: list[str]):
    filled(path, said, 4)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE readable SET day = 1")
        database.commit()
    with closing(Verdicts(path, said.append, most=2)) as kept:
        assert kept.holds(b"key 3")
        kept.keep(b"new")
    with closing(Verdicts(path, said.append)) as kept:
        assert [kept.holds(key) for key in (b"key 0", b"key 3", b"new")] == [False, True, True]


def test_several_processes_keep_at_once(path: Path, said: list[str]):
    code = (
        "import sys; from contextlib import closing; from pathlib import Path; from pipelines.data.verdicts import *\n"
        "with closing(Verdicts(Path(sys.argv[1]), print)) as kept:\n"
        "    for number in range(5000): kept.keep(f'{sys.argv[2]} {number}'.encode())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, path, str(one)], cwd=ROOT, stdout=subprocess.PIPE)
        for one in range(3)
    ]
    assert [process.communicate()[0] for process in running] == [b""] * 3
    with closing(Verdicts(path, said.append)) as kept:
        assert all(kept.holds(f"{one} {number}".encode()) for one in range(3) for number in range(0, 5000, 500))
