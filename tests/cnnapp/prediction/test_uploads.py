"""Files that somebody hands in, and zips that mean harm."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnapp.prediction.uploads import Limits, gather, label_of, unpack
from pipelines.core.errors import DataError


def zipped(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, how)
    return buffer.getvalue()


def test_images_of_nested_folders_are_taken_in_order_and_junk_is_not():
    files = {
        "photos/b/2.JPG": b"two",
        "photos/a/1.png": b"one",
        "photos/readme.txt": b"text",
        "photos/.hidden.png": b"x",
        "__MACOSX/photos/a/._1.png": b"x",
        "photos/Thumbs.db": b"x",
        "photos/@eaDir/1.png": b"x",
        "photos/empty/": b"",
    }
    found = unpack("photos.zip", zipped(files))
    assert found.images == [("photos/a/1.png", b"one"), ("photos/b/2.JPG", b"two")]
    assert found.notes == ["photos.zip: 1 file skipped (not an image), such as photos/readme.txt"]


@pytest.mark.parametrize("path", ["../../etc/a.png", "/etc/a.png", "..\\..\\etc\\a.png", "./etc/../etc/a.png"])
def test_no_name_leads_out_of_the_zip(path: str):
    ((name, _),) = unpack("a.zip", zipped({path: b"x"})).images
    assert not name.startswith("/")
    assert ".." not in name.split("/")
    assert name.endswith("etc/a.png")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not a zip file"),
        (b"PK\x03\x04 and no more", "is not a zip file"),
        (zipped({"a.txt": b"x"}), "holds no image; expected files that end in .bmp"),
        (zipped({}), "holds no image"),
    ],
)
def test_what_is_no_zip_of_images_is_said(data: bytes, said: str):
    with pytest.raises(DataError, match=r"a\.zip: ") as refused:
        unpack("a.zip", data)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(images=2), "holds 3 images; at most 2 are taken"),
        (Limits(entries=2), "holds 3 files; at most 2"),
        (Limits(file_bytes=99), "0.png is larger than 99 bytes unpacked"),
        (Limits(total_bytes=250), "its images together are larger than 250 bytes"),
    ],
)
def test_more_than_the_limits_is_refused_with_what_to_do(limits: Limits, said: str):
    data = zipped({f"{number}.png": bytes(100) for number in range(3)})
    with pytest.raises(DataError, match="divide it") as refused:
        unpack("a.zip", data, limits)
    assert said in str(refused.value)


def test_a_bomb_that_lies_about_its_size_is_not_unpacked():
    """64 MiB of zeros are some 64 KiB; the header is made to say that they are 10 bytes."""
    size = 64 * 2**20
    data = zipped({"bomb.png": bytes(size)})
    assert len(data) < 100_000
    lying = data.replace(struct.pack("<I", size), struct.pack("<I", 10))
    assert lying != data
    for bomb in (data, lying):
        with pytest.raises(DataError, match=r"bomb\.png"):
            unpack("bomb.zip", bomb, Limits(file_bytes=2**20))


def test_damaged_and_encrypted_files_are_named():
    data = bytearray(zipped({"a.png": bytes(range(256)) * 40}, zipfile.ZIP_STORED))
    data[200] ^= 255
    with pytest.raises(DataError, match=r"a\.png is damaged"):
        unpack("a.zip", bytes(data))
    data = bytearray(zipped({"a.png": b"x"}))
    for at in (6, data.index(b"PK\x01\x02") + 8):
        data[at] |= 1
    with pytest.raises(DataError, match=r"a\.png is encrypted"):
        unpack("a.zip", bytes(data))


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
def test_whatever_is_sent_is_answered_or_refused(noise: bytes, place: int, value: int):
    data = bytearray(zipped({"a/1.png": b"one" * 50, "a/2.png": b"two" * 50}))
    data[place % len(data)] = value
    for sent in (bytes(data), b"PK\x03\x04" + noise, bytes(data[:place])):
        try:
            said = unpack("a.zip", sent).images
        except DataError as error:
            said = str(error).startswith("a.zip: ")
        assert said


def test_files_and_zips_are_taken_together_and_told_apart():
    data = zipped({"b.png": b"inside"})
    found = gather([("a.png", b"1"), ("folder.zip", data), ("a.png", b"2"), ("a.png (2)", b"3"), ("bad.zip", b"x")])
    assert [name for name, _ in found.images] == ["a.png", "b.png", "a.png (2)", "a.png (2) (2)"]
    assert found.notes == ["bad.zip: is not a zip file that can be read; make it again"]


def test_more_images_than_are_taken_at_once_are_cut_and_said():
    found = gather([(f"{number}.png", b"x") for number in range(5)], Limits(images=3))
    assert len(found.images) == 3
    assert "5 images given; only the first 3" in found.notes[0]


def test_a_label_is_the_innermost_folder_that_is_a_class():
    assert label_of("crow/robin/1.png", ["crow", "robin"]) == "robin"
    assert label_of("crow/1.png", ["robin"]) is None
    assert label_of("crow", ["crow"]) is None
