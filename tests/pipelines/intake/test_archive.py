"""Zips that mean harm: bombs of every method, damaged ones, and what they say of themselves."""

from __future__ import annotations

import bz2
import io
import lzma
import random
import struct
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from hostile_files import within
from pipelines.core.errors import DataError
from pipelines.intake.archive import Archive, ArchiveLimits, TooLargeError
from places import ROOT

METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "LZMA": zipfile.ZIP_LZMA,
}
if hasattr(zipfile, "ZIP_ZSTANDARD"):
    METHODS["Zstandard"] = zipfile.ZIP_ZSTANDARD
EVERY_METHOD = pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def handmade(packed: bytes, method: int, size: int, count: int = 1) -> bytes:
    """Write a zip whose table of contents lists one entry so many times."""
    local = struct.pack("<4sHHHIIIIHH", b"PK\3\4", 63, 0, method, 0, 0, len(packed), size, 1, 0) + b"a" + packed
    central = struct.pack(
        "<4sHHHHIIIIHHHHHII", b"PK\1\2", 63, 63, 0, method, 0, 0, len(packed), size, 1, 0, 0, 0, 0, 0, 0
    )
    table = (central + b"a") * count
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count & 65535, count & 65535, len(table), len(local), 0)
    return local + table + end


def read_all(data: bytes, limits: ArchiveLimits | None = None) -> list[bytes]:
    archive = Archive(data, "a.zip", limits)
    return [archive.read(entry) for entry in archive.entries]


@EVERY_METHOD
def test_what_is_packed_is_unpacked(method: int):
    noise = random.Random(0).randbytes(700_000)
    files = {"empty": b"", "short": b"x", "zeros": bytes(3 * 2**20), "noise": noise}
    assert read_all(zipped(files, method)) == list(files.values())


@EVERY_METHOD
def test_whatever_is_damaged_is_said(method: int):
    data = zipped({"a.png": bytes(range(256)) * 400, "b.png": b"short"}, method)
    dice = random.Random(method)
    for number in range(300):
        spoilt = bytearray(data)
        for _ in range(1 + number % 3):
            spoilt[dice.randrange(len(spoilt))] ^= 1 << dice.randrange(8)
        if number % 3 == 0:
            del spoilt[dice.randrange(len(spoilt)) :]
        elif number % 3 == 1:
            at = dice.randrange(len(spoilt))
            spoilt[at : at + 4] = dice.choice([b"\xff\xff\xff\xff", bytes(4)])
        said = "a.zip: "
        try:
            read_all(bytes(spoilt))
        except DataError as error:
            said = str(error)
        assert said.startswith("a.zip: ")
        assert "\n" not in said


@EVERY_METHOD
def test_an_entry_that_lies_about_its_size_is_not_unpacked_beyond_it(method: int):
    data = zipped({"a": bytes(2**20)}, method)
    lying = data.replace(struct.pack("<I", 2**20), struct.pack("<I", 10))
    if method == zipfile.ZIP_STORED:
        return  # Its packed size is the same number.
    with pytest.raises(DataError, match="a is damaged: it does not unpack to what the zip says of it"):
        read_all(lying)


_BOMB = """
    import resource, sys
    from pathlib import Path
    from pipelines.core.errors import DataError
    from pipelines.intake.archive import Archive, ArchiveLimits
    data = Path(sys.argv[1]).read_bytes()
    now = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmSize"))) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv[2]), now + int(sys.argv[2])))
    archive = Archive(data, "a.zip", ArchiveLimits(total=2**20))
    try:
        archive.read(archive.entries[0])
    except DataError as error:
        print(error)
"""


def bombs() -> dict[str, bytes]:
    zeros = bytes(2**26)
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 2**16}]
    properties = b"\x09\x04\x05\x00\x5d" + struct.pack("<I", 2**32 - 1)
    return {
        "bzip2": handmade(bz2.compress(zeros), 12, 2**20),
        "bzip2 that says it is small": handmade(bz2.compress(zeros), 12, 10),
        "LZMA": handmade(properties + lzma.compress(zeros, lzma.FORMAT_RAW, filters=filters), 14, 2**20),
        "LZMA that says it is small": handmade(
            properties + lzma.compress(zeros, lzma.FORMAT_RAW, filters=filters), 14, 10
        ),
        "deflate": zipped({"a": zeros}),
    }


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is that of Linux")
@pytest.mark.parametrize(
    "kind", ["bzip2", "bzip2 that says it is small", "LZMA", "LZMA that says it is small", "deflate"]
)
def test_a_bomb_takes_no_more_memory_than_what_is_taken_of_it(kind: str, tmp_path: Path):
    """With 24 MiB of memory to spare for 64 MiB of zeros; a dictionary of 4 GiB is asked for as well."""
    (tmp_path / "bomb.zip").write_bytes(bombs()[kind])
    command = [sys.executable, "-c", textwrap.dedent(_BOMB), str(tmp_path / "bomb.zip"), str(24 * 2**20)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a.zip: a is damaged") or "unpacked, which is the most that is" in done.stdout


def test_a_table_of_contents_without_end_is_not_read():
    """Each entry costs a kilobyte of memory and 47 bytes of the zip; all of them are the same file."""
    data = handmade(b"x", 0, 1, count=200_000)
    with within(10), pytest.raises(DataError, match="holds 200,000 files; at most 20,000 are taken"):
        Archive(data, "a.zip")


def test_entries_that_overlap_count_each_time():
    packed = zipped({"a": bytes(10**6)})
    data = handmade(packed, 0, len(packed), count=5)
    with pytest.raises(DataError):
        read_all(data, ArchiveLimits(total=3 * len(packed)))


def test_all_files_together_are_bounded_and_so_is_what_each_byte_may_become():
    data = zipped({str(number): bytes(10**5) for number in range(10)})
    with pytest.raises(TooLargeError, match="together are larger than 500,000 bytes unpacked"):
        read_all(data, ArchiveLimits(total=500_000))
    with pytest.raises(TooLargeError, match=r"unpack to more than 5 times its own [\d,]+ bytes, as no images do"):
        read_all(data, ArchiveLimits(ratio=5, free=1000))
    assert len(read_all(data, ArchiveLimits(ratio=5))) == 10


def test_methods_that_are_not_known_are_named():
    with pytest.raises(DataError, match="a is packed by method 9, which is not read; make the zip with deflate"):
        read_all(handmade(b"x", 9, 1))
    if "Zstandard" not in METHODS:
        with pytest.raises(DataError, match="method 93"):
            read_all(handmade(b"x", 93, 1))


def test_an_entry_without_a_name_is_a_file():
    data = zipped({"a": b"x"})
    nameless = bytearray(data)
    for at in (26, data.index(b"PK\1\2") + 28):
        nameless[at : at + 2] = bytes(2)
    with pytest.raises(DataError):
        read_all(bytes(nameless))
