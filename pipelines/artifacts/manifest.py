"""The list of a saved model's files, ``manifest.json``: size and SHA-256 of every one, the card included.

Its own bytes are those that are written for what it says, and no others, so that a bit that flips in it is noticed as
well. A signature, ``model.sig``, is of this list, and therefore not in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.errors import ModelError
from pipelines.storage import leftovers, regular_file
from pipelines.storage.durable import write_atomically
from pipelines.storage.names import is_component
from pipelines.storage.regular_file import NotRegularError

__all__ = [
    "MANIFEST",
    "SIGNATURE",
    "Entry",
    "Manifest",
    "check",
    "files_in",
    "read_listed",
    "read_manifest",
    "rewrite",
    "seal",
]

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
"""The signature of the manifest, where there is one."""

_LARGEST = 16 * 2**20  # bytes of the manifest: some hundred thousand files
_AGAIN = "download it again or retrain it"


class Entry(BaseModel):
    """A file, as it was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    before: Entry | None = Field(default=None, description="What it may be still, while it is written anew.")

    def takes(self, digest: str, size: int) -> bool:
        """Return whether a file of this hash and size is the one that is listed."""
        return (digest, size) == (self.sha256, self.size) or (
            self.before is not None and self.before.takes(digest, size)
        )

    def has_size(self, size: int) -> bool:
        """Return whether the one that is listed may be of this size."""
        return size == self.size or (self.before is not None and self.before.has_size(size))


def _inside(name: str) -> str:
    if not all(map(is_component, name.split("/"))) or name in (MANIFEST, SIGNATURE):
        raise ValueError(f"lists {name!r}, which is no file that a saved model has inside its folder")
    return name


class Manifest(BaseModel):
    """The files of a saved model."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    files: dict[Annotated[str, AfterValidator(_inside)], Entry]

    def encoded(self) -> bytes:
        """Return the only bytes that say this."""
        record = self.model_dump(exclude_none=True)
        return (json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_manifest(directory: Path) -> Manifest | None:
    """Read the list of a saved model's files; None where there is none, as in models of earlier versions.

    Args:
        directory: of the saved model.

    Raises:
        ModelError: if it is damaged, or lists what cannot be inside the folder.
    """
    path = directory / MANIFEST
    try:
        data = regular_file.read(path, _LARGEST)
        found = Manifest.model_validate_json(data)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except NotRegularError as error:
        raise ModelError(f"{path}: {error.strerror}; {_AGAIN}") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ModelError(f"{path}: is damaged: {reason}; {_AGAIN}") from None
    if found.encoded() != data:
        raise ModelError(f"{path}: is damaged: it is not as it was written; {_AGAIN}")
    return found


def files_in(directory: Path) -> Iterator[str]:
    """Give every file of a saved model that its manifest lists, by path inside the folder, sorted.

    What is begun and not finished beside a file, because its writer was killed or is still at it, is none.

    Args:
        directory: of the saved model.

    Raises:
        ModelError: if something is a link or no regular file, named.
    """
    found = []
    try:
        for entry in _entries(directory):
            name = Path(entry.path).relative_to(directory).as_posix()
            if entry.is_symlink():
                raise ModelError(f"{directory}: {name}: is a symbolic link; a saved model has regular files alone")
            if not entry.is_file(follow_symlinks=False):
                raise ModelError(f"{directory}: {name}: is no regular file; a saved model has regular files alone")
            name.encode()
            found.append(name)
    except UnicodeEncodeError:
        raise ModelError(f"{directory}: {name!a}: is a name that is not UTF-8; rename or remove the file") from None
    except OSError as error:
        raise ModelError(f"{directory}: cannot be read: {error.strerror}") from None
    there = {*found, MANIFEST}
    for name in sorted(found):
        at, _, last = name.rpartition("/")
        begun = leftovers.begun_for(last)
        finished = f"{at}/{begun}".lstrip("/") if begun else ""
        if name not in (MANIFEST, SIGNATURE) and finished not in there:
            yield name


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path))
            else:
                yield entry


def check(directory: Path, manifest: Manifest, contents: bool = True) -> list[str]:
    """Compare the files of a saved model with its manifest.

    Args:
        directory: of the saved model.
        manifest: as it was read there.
        contents: whether every file is read; else what can be told without, by names and sizes.

    Returns:
        One line for each file that is missing, differs, or is not listed; none where all are as they were written.
    """
    try:
        there = set(files_in(directory))
    except ModelError as error:
        return [str(error).removeprefix(f"{directory}: ")]
    problems = []
    for name, entry in manifest.files.items():
        if name not in there:
            problems.append(f"{name}: is missing")
        elif not _as_listed(directory / name, entry, contents):
            problems.append(f"{name}: differs from what was exported")
    return problems + [f"{name}: is not in {MANIFEST}" for name in sorted(there - manifest.files.keys())]


def _as_listed(path: Path, entry: Entry, contents: bool) -> bool:
    try:
        return entry.takes(*regular_file.digest(path)) if contents else entry.has_size(path.lstat().st_size)
    except OSError:
        return False


def read_listed(directory: Path, name: str, manifest: Manifest | None, most: int) -> bytes:
    """Read a file of a saved model, if it is as its manifest lists it.

    Args:
        directory: of the saved model.
        name: of the file, by path inside the folder.
        manifest: of the saved model; None where it has none, and the file is taken as it is.
        most: bytes that it may have.

    Raises:
        FileNotFoundError: if there is none.
        ModelError: if it is not as it is listed, is no regular file, or cannot be read.
    """
    try:
        data = regular_file.read(directory / name, most)
    except FileNotFoundError:
        if manifest is not None and name in manifest.files:
            raise ModelError(f"{directory}: {name}: is missing; {_AGAIN}") from None
        raise
    except NotRegularError as error:
        raise ModelError(f"{directory / name}: {error.strerror}; {_AGAIN}") from None
    except OSError as error:
        raise ModelError(f"{directory / name}: cannot be read: {error.strerror}") from None
    if manifest is None:
        return data
    if name not in manifest.files:
        raise ModelError(f"{directory}: {name}: is not in {MANIFEST}; {_AGAIN}")
    if not manifest.files[name].takes(hashlib.sha256(data).hexdigest(), len(data)):
        raise ModelError(f"{directory}: {name}: differs from what was exported; {_AGAIN}")
    return data


def seal(directory: Path) -> Manifest:
    """Write the manifest of the files that are there, as they are.

    Args:
        directory: of a saved model that was just written.

    Returns:
        The manifest.

    Raises:
        ModelError: if something in it is no regular file.
        OSError: if it cannot be written.
    """
    digests = {name: regular_file.digest(directory / name) for name in files_in(directory)}
    manifest = Manifest(files={name: Entry(sha256=digest, size=size) for name, (digest, size) in digests.items()})
    write_atomically(directory / MANIFEST, manifest.encoded())
    return manifest


def rewrite(directory: Path, name: str, data: bytes) -> None:
    """Write a file of a saved model anew, and the manifest with it, where there is one.

    The manifest takes the old file and the new one before the file is replaced, and the new one alone after that: at
    every moment there is a model that loads.

    Args:
        directory: of the saved model.
        name: of the file, by path inside the folder.
        data: its content.

    Raises:
        ModelError: if the file that is there is not the one that is listed.
        OSError: if something cannot be written.
    """
    with _alone(directory):
        manifest = read_manifest(directory)
        if manifest is None:
            write_atomically(directory / name, data)
            return
        new = Entry(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        old = _there(directory, name, manifest)
        either = new if old in (None, new) else new.model_copy(update={"before": old})
        for entry in (either, new):
            listed = Manifest(files={**manifest.files, name: entry})
            if listed != manifest:
                write_atomically(directory / MANIFEST, listed.encoded())
                manifest = listed
            if old != new:
                write_atomically(directory / name, data)
                old = new


def _there(directory: Path, name: str, manifest: Manifest) -> Entry | None:
    """Return the file that is there, as it would be listed."""
    try:
        digest, size = regular_file.digest(directory / name)
    except FileNotFoundError:
        return None
    if name not in manifest.files or not manifest.files[name].takes(digest, size):
        raise ModelError(f"{directory}: {name}: differs from what was exported; {_AGAIN}")
    return Entry(sha256=digest, size=size)


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep other processes that would rewrite the same model waiting, where the system can."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # of a file system that has no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
