"""What was found to be readable once, kept so that the same content need not be decoded again.

A file is known by its path, size and times, from which its hash follows; what is kept of a hash, together with all else
that decides how the content is read, is that it can be used. A file that was touched is hashed, and not decoded. What
cannot be used is not kept: it is looked at every time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipelines.core import workspace
from pipelines.core.errors import DataError
from pipelines.intake.limits import LIMITS
from pipelines.intake.regular_file import open_regular

__all__ = ["FILE", "Stamp", "Verdicts", "hash_of", "opened", "stamp_of"]

FILE = "readable.sqlite"
"""In the folder :func:`pipelines.core.workspace.cache`."""
MOST = 1_000_000
"""Of each kind of record so many are kept, those that were used last: some hundreds of MiB."""

_SCHEMA = 1
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_OUT_OF_REACH = {
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_AUTH,
}  # fmt: skip
"""What may be wrong with a database that is not damaged."""
_BATCH = 2000
_BLOCK = 1 << 20
_SETTLED = 2_000_000_000
"""Nanoseconds: within so short a time a file may be written twice and show the same time of change."""
_TABLES = """
CREATE TABLE files (path BLOB PRIMARY KEY, size INTEGER, mtime INTEGER, ctime INTEGER, hash BLOB, day INTEGER)
WITHOUT ROWID;
CREATE TABLE readable (key BLOB PRIMARY KEY, day INTEGER) WITHOUT ROWID;
"""


class Stamp(NamedTuple):
    """By what a file is known without opening it.

    The time of change goes with the other: it tells a file whose content was replaced under its old time, and one whose
    permissions were taken away.
    """

    path: bytes
    size: int
    mtime: int
    ctime: int


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of a file; None where there is no regular one."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return Stamp(os.fsencode(os.path.abspath(path)), found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def hash_of(stamp: Stamp) -> bytes | None:
    """Return the SHA-256 of a file's content; None where it is not read, or is no longer that of the stamp.

    No file is hashed that is too large to be taken in: it may have holes, and no end that is worth waiting for.
    """
    path = Path(os.fsdecode(stamp.path))
    if stamp.size > LIMITS.image_bytes:
        return None
    try:
        with open_regular(path) as file:
            digest = hashlib.sha256()
            while block := file.read(_BLOCK):
                digest.update(block)
    except (DataError, OSError):
        return None
    return digest.digest() if stamp_of(path) == stamp else None


class Verdicts:
    """What is known to be readable: a database that several processes may use at once.

    Nothing depends on it but time. Where it is damaged it is thrown away, and where it cannot be written nothing is
    kept; either is said once.

    Args:
        path: of the database.
        say: is called with what went wrong.
        most: that are kept of each kind.
    """

    def __init__(self, path: Path, say: Callable[[str], object], most: int = MOST) -> None:
        self._path, self._say, self._most = path, say, most
        self._today = int(time.time() // 86400)
        self._lock = threading.Lock()
        self._files: dict[bytes, tuple[Stamp, bytes]] = {}
        self._keys: set[bytes] = set()
        self._written = False
        self._database = self._open()

    # === Asking ===

    def hash_of(self, stamp: Stamp) -> bytes | None:
        """Return the hash of the content of a file, where it is known."""
        kept = self._files.get(stamp.path)
        if kept is not None:
            return kept[1] if kept[0] == stamp else None
        row = self._ask("SELECT size, mtime, ctime, hash, day FROM files WHERE path = ?", stamp.path)
        if row is None or row[:3] != stamp[1:] or not isinstance(row[3], bytes):
            return None
        digest = row[3]
        if row[4] != self._today:
            self.keep_file(stamp, digest)
        return digest

    def holds(self, key: bytes) -> bool:
        """Say whether what this stands for is known to be readable."""
        if key in self._keys:
            return True
        row = self._ask("SELECT day FROM readable WHERE key = ?", key)
        if row is not None and row[0] != self._today:
            self.keep(key)
        return row is not None

    # === Keeping ===

    def keep_file(self, stamp: Stamp, digest: bytes) -> None:
        """Keep the hash of a file, unless it has changed but now: then it might change unseen."""
        if time.time_ns() - max(stamp.mtime, stamp.ctime) > _SETTLED:
            self._files[stamp.path] = (stamp, digest)
            self._flush(_BATCH)

    def keep(self, key: bytes) -> None:
        """Keep that what this stands for can be read."""
        self._keys.add(key)
        self._flush(_BATCH)

    def close(self) -> None:
        """Write what is left, forget what was not used for longest if there is too much, and close the database."""
        self._flush(1)
        if self._written:
            self._write(self._prune)
        self._drop()

    def _prune(self, database: sqlite3.Connection) -> None:
        for table, name in (("files", "path"), ("readable", "key")):
            count = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            if count > self._most:
                database.execute(
                    f"DELETE FROM {table} WHERE {name} IN (SELECT {name} FROM {table} ORDER BY day LIMIT ?)",
                    (count - self._most,),
                )

    def _flush(self, least: int) -> None:
        with self._lock:
            if len(self._files) + len(self._keys) < least:
                return
            files, keys = list(self._files.values()), list(self._keys)
            self._files.clear()
            self._keys.clear()
            self._written = True

        def write(database: sqlite3.Connection) -> None:
            rows = ((*stamp, digest, self._today) for stamp, digest in files)
            database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", rows)
            database.executemany("INSERT OR REPLACE INTO readable VALUES (?, ?)", ((key, self._today) for key in keys))

        self._write(write)

    # === The database ===

    def _open(self) -> sqlite3.Connection | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return _connect(self._path)
        except sqlite3.DatabaseError as error:
            if _code(error) not in _BUSY | _OUT_OF_REACH:
                return self._begin_again()
            self._report(f"cannot be used ({error})")
        except OSError as error:
            self._report(f"cannot be used ({error.strerror or error})")
        return None

    def _begin_again(self) -> sqlite3.Connection | None:
        """Throw a damaged database away."""
        self._say(f"{self._path}: is damaged, and is made anew; images are decoded again")
        try:
            for name in (self._path.name, f"{self._path.name}-journal"):
                self._path.with_name(name).unlink(missing_ok=True)
            return _connect(self._path)
        except (OSError, sqlite3.Error) as error:
            self._report(f"cannot be made anew ({error})")
            return None

    def _report(self, what: str) -> None:
        self._say(f"{self._path}: {what}; which images can be decoded is not remembered")

    def _drop(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _ask(self, question: str, about: bytes) -> tuple[int | bytes, ...] | None:
        with self._lock, self._handled():
            if self._database is not None:
                row: tuple[int | bytes, ...] | None = self._database.execute(question, (about,)).fetchone()
                return row
        return None

    def _write(self, write: Callable[[sqlite3.Connection], None]) -> None:
        with self._lock, self._handled():
            if self._database is not None:
                with self._database:
                    write(self._database)

    @contextmanager
    def _handled(self) -> Iterator[None]:
        """Go on without what the database would have said or taken."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = _code(error)
            if code in _BUSY:  # another process writes: then this is found out again some time
                return
            self._drop()
            if code in _OUT_OF_REACH:
                self._report(f"cannot be used ({error})")
            else:
                self._database = self._begin_again()


def _code(error: sqlite3.Error) -> int:
    """Return the kind of an error, without its finer distinctions; 0 where SQLite does not say."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=20, check_same_thread=False)
    try:
        if _version(database) != _SCHEMA:
            _make_tables(database)
        # What was cut short or written by something else is found at once, as far as a look at the tables shows it.
        database.execute("SELECT path, size, mtime, ctime, hash, day FROM files LIMIT 1").fetchone()
        database.execute("SELECT key, day FROM readable LIMIT 1").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _make_tables(database: sqlite3.Connection) -> None:
    """Make empty tables, once among processes that begin at the same time."""
    database.execute("BEGIN IMMEDIATE")
    if _version(database) != _SCHEMA:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            database.execute(f'DROP TABLE "{name}"')
        for statement in _statements(_TABLES):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {_SCHEMA}")
    database.commit()


def _statements(script: str) -> Iterable[str]:
    return filter(None, map(str.strip, script.split(";")))


def opened(say: Callable[[str], object]) -> Verdicts:
    """Open the database of this user."""
    return Verdicts(workspace.cache() / FILE, say)
