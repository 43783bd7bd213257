"""The manifest: whatever is not as it was written is noticed, and named. All on copies of a model that ships."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from cards import as_earlier_versions, edit_card
from pipelines.artifacts import manifest, model_card
from pipelines.artifacts.manifest import MANIFEST, SIGNATURE
from pipelines.artifacts.model_card import CARD, check_files, doubts, faults, read_card, write_card
from pipelines.core.errors import ModelError
from pipelines.reporting import notes
from places import ROOT
from profiles import examples

SHIPPED = sorted((ROOT / "saved_models").glob("*/*"))
DIGITS = ROOT / "saved_models" / "digits" / "1"
LABELS = "assets/labels.txt"


def refusal(directory: Path) -> str:
    """Return why a saved model is refused, as everything that loads one asks; nothing where it is taken."""
    try:
        problems = check_files(directory, read_card(directory))
    except ModelError as error:
        return str(error)
    return problems[0] if problems else ""


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of a saved model, to be altered."""
    return Path(shutil.copytree(DIGITS, tmp_path / "digits" / "1"))


@pytest.mark.parametrize("directory", SHIPPED, ids=lambda path: path.parent.name)
def test_a_shipped_model_has_one_and_is_as_it_is_listed(directory: Path):
    listed = manifest.read_manifest(directory)
    assert listed is not None
    assert (refusal(directory), doubts(directory), faults(directory)) == ("", [], [])
    assert set(listed.files) == {*read_card(directory).files, CARD}


def test_what_is_read_is_written_again_with_the_same_bytes(copied: Path):
    before = (copied / MANIFEST).read_bytes()
    listed = manifest.read_manifest(copied)
    assert listed is not None
    assert listed.encoded() == before
    assert manifest.seal(copied) == listed
    assert (copied / MANIFEST).read_bytes() == before


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def survivors(directory: Path, count: int) -> list[tuple[str, int]]:
    """Return the bits of card, manifest and class names that could be flipped and were not noticed."""
    drawn, found = random.Random(0), []
    for name in (CARD, MANIFEST, LABELS):
        path = directory / name
        bits = range(8 * path.stat().st_size)
        for bit in drawn.sample(bits, min(count, len(bits))):
            flip(path, bit)
            said = refusal(directory)
            if not said or (Path(name).name not in said and name != MANIFEST):
                found.append((name, bit))
            flip(path, bit)
    return found


def test_a_bit_that_flips_is_noticed(copied: Path):
    assert survivors(copied, 30) == []
    assert refusal(copied) == ""


@pytest.mark.slow
@pytest.mark.parametrize("directory", SHIPPED, ids=lambda path: path.parent.name)
def test_thousands_of_bits_that_flip_are_noticed(directory: Path, tmp_path: Path):
    copy = Path(shutil.copytree(directory, tmp_path / "1"))
    assert survivors(copy, 1500) == []
    assert refusal(copy) == ""


@hypothesis.settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(
    data=st.binary(max_size=400) | st.text(max_size=200).map(str.encode), name=st.sampled_from([CARD, MANIFEST])
)
def test_whatever_stands_in_card_or_manifest_is_refused_in_a_line(copied: Path, data: bytes, name: str):
    before = (copied / name).read_bytes()
    (copied / name).write_bytes(data)
    said = refusal(copied)
    assert said
    assert "\n" not in said
    (copied / name).write_bytes(before)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.sampled_from(["files", "sha256"]), inner)
    ),
    max_leaves=8,
)


@hypothesis.settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(value=JSON, field=st.sampled_from([*model_card.ModelCard.model_fields, "files.x", "strange"]))
def test_a_card_that_says_anything_is_read_or_refused_in_a_line(copied: Path, value: object, field: str):
    """Also where its author lists it as it is."""
    before = (copied / CARD).read_bytes()
    edit_card(copied, lambda record: record.update({field: value}))
    assert "\n" not in refusal(copied)
    (copied / CARD).write_bytes(before)


@pytest.mark.parametrize("name", ["saved_model.pb", CARD, LABELS, "golden/input-3.png"])
def test_a_file_that_is_missing_is_named(copied: Path, name: str):
    (copied / name).unlink()
    assert f"{name}: is missing" in refusal(copied)
    assert faults(copied)


@pytest.mark.parametrize("name", ["stray.txt", "assets/more.txt", ".DS_Store", "golden/x/y", ".model_card.json.x"])
def test_a_file_that_is_not_listed_is_named(copied: Path, name: str):
    (copied / name).parent.mkdir(exist_ok=True)
    (copied / name).write_text("")
    assert refusal(copied) == f"{name}: is not in manifest.json"


def test_a_signature_and_what_is_being_written_are_no_strangers(copied: Path):
    from pipelines.storage.leftovers import beside

    (copied / SIGNATURE).write_text("signed")
    beside(copied / CARD).write_text("{")
    beside(copied / MANIFEST).write_text("{")
    assert refusal(copied) == ""
    beside(copied / "other").write_text("{")
    assert "is not in manifest.json" in refusal(copied)


def test_links_pipes_and_devices_are_refused_by_name(copied: Path):
    path = copied / "golden" / "input-0.png"
    elsewhere = copied.parent / "elsewhere.png"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert "golden/input-0.png: is a symbolic link" in refusal(copied)
    path.unlink()
    os.mkfifo(path)
    assert "golden/input-0.png: is no regular file" in refusal(copied)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path may have 107 characters
        try:
            bound.bind(path.name)
        finally:
            os.chdir(here)
        assert "golden/input-0.png: is no regular file" in refusal(copied)
    path.unlink()
    elsewhere.rename(path)
    assert refusal(copied) == ""
    shutil.move(copied / "golden", copied.parent / "golden")
    (copied / "golden").symlink_to(copied.parent / "golden")
    assert "golden: is a symbolic link" in refusal(copied)


@pytest.mark.parametrize("name", [CARD, MANIFEST, LABELS])
def test_what_is_read_first_is_no_link_pipe_or_endless_device(copied: Path, name: str):
    path = copied / name
    data = path.read_bytes()
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "is a symbolic link" in refusal(copied)
    path.unlink()
    os.mkfifo(path)
    assert f"{Path(name).name}: is no regular file" in refusal(copied)
    path.unlink()
    path.write_bytes(data)
    assert refusal(copied) == ""


def test_a_card_of_any_size_is_not_read(copied: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(model_card, "_LARGEST", 1000)
    assert f"{CARD}: has more than" in refusal(copied)
    with (copied / MANIFEST).open("r+b") as file:
        file.truncate(2**40)  # which takes no space
    assert "manifest.json: has more than 16 MiB" in refusal(copied)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "assets/../../x", "assets//x", "a\\b", "C:x", "", ".", MANIFEST, SIGNATURE]
)
def test_a_manifest_that_lists_what_is_elsewhere_is_refused_by_name(copied: Path, name: str):
    record = json.loads((copied / MANIFEST).read_text())
    record["files"][name] = record["files"][CARD]
    (copied / MANIFEST).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    said = refusal(copied)
    assert "manifest.json: is damaged" in said
    assert repr(name) in said


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", ""),
        lambda text: text + " ",
        lambda text: text.replace('"format": 1', '"format": 1.0'),
        lambda text: text.replace('"format": 1', '"format": true'),
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"files": {', '"files": {"x": {"sha256": "", "size": 1},', 1),
        lambda text: text.replace('"size": 97', '"size": -97'),
        lambda text: text.replace('"size": 97', '"size": 97, "size": 97'),
        lambda text: "[" * 100_000,
    ],
)
def test_a_manifest_that_is_written_otherwise_is_refused(copied: Path, change):
    text = (copied / MANIFEST).read_text()
    (copied / MANIFEST).write_text(change(text))
    assert "manifest.json: is damaged" in refusal(copied)


# === Class names ===


def test_class_names_are_those_of_the_graph(copied: Path, caplog: pytest.LogCaptureFixture):
    notes.forget()
    edit_card(copied, lambda record: record["classes"].__setitem__(3, "eight"))
    assert read_card(copied).classes == [str(number) for number in range(10)]
    assert "calls class 3 'eight', and the graph calls it '3'" in caplog.text
    assert len(doubts(copied)) == 1
    edit_card(copied, lambda record: record.update(classes=["only"]))
    assert read_card(copied).classes[9] == "9"
    assert "names 1 classes, and the graph has 10" in doubts(copied)[0]


# === Without one ===


def test_a_model_of_an_earlier_version_loads_with_a_note_said_once(copied: Path, caplog: pytest.LogCaptureFixture):
    notes.forget()
    as_earlier_versions(copied)
    assert refusal(copied) == ""
    assert read_card(copied).name == "digits"
    assert [record.message.split(": ")[1][:29] for record in caplog.records] == ["was saved without manifest.js"]
    assert len(doubts(copied)) == 1
    (copied / "fingerprint.pb").write_bytes(b"x")
    assert refusal(copied) == "fingerprint.pb: differs from what was exported"


def test_a_model_of_this_version_without_its_manifest_is_refused(copied: Path):
    edit_card(copied, lambda record: record.update(format=model_card.FORMAT))
    assert refusal(copied) == ""
    (copied / MANIFEST).unlink()
    assert "manifest.json: is missing" in refusal(copied)


def test_a_card_of_a_later_form_is_not_guessed_at(copied: Path):
    edit_card(copied, lambda record: record.update(format=3))
    assert "is damaged or of another version: format" in refusal(copied)


def test_a_card_whose_name_leads_elsewhere_is_refused(copied: Path):
    edit_card(copied, lambda record: record.update(name="../../x"))
    assert "name: received '../../x'; expected letters" in refusal(copied)


# === Written anew ===

_KILLED = """
import itertools, json, os, pathlib, shutil, sys
from pipelines.artifacts import manifest
from pipelines.artifacts.model_card import check_files, read_card, write_card

directory = pathlib.Path(sys.argv[1])
whole = shutil.copytree(directory, directory.parent / "whole")
told = []


def write(stop):
    seen = 0

    def watch(event, arguments):
        nonlocal seen
        if event in ("open", "os.rename", "os.remove") and str(directory) in str(arguments[0]):
            seen += 1
            if seen == stop:
                os.kill(os.getpid(), 9)

    card = read_card(directory).model_copy(update={"description": "anew"})
    sys.addaudithook(watch)
    write_card(directory, card)
    os._exit(0)


for stop in itertools.count(1):
    child = os.fork() or write(stop)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    card = read_card(directory)
    problems = check_files(directory, card)
    found = card.description
    # What comes after it finds its way from there.
    write_card(directory, card.model_copy(update={"description": "later"}))
    later = read_card(directory).description, check_files(directory, read_card(directory))
    pending = [name for name, each in manifest.read_manifest(directory).files.items() if each.before]
    told.append([status, found, problems, later, pending])
    if status == 0:
        break
    shutil.rmtree(directory)
    shutil.copytree(whole, directory)
print(json.dumps(told))
"""


def test_killed_at_any_moment_a_card_is_the_old_one_or_the_new_one_and_the_model_loads(copied: Path):
    old = read_card(copied).description
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(copied)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    told = json.loads(done.stdout)
    assert [status for status, *_ in told] == [-9] * (len(told) - 1) + [0]
    assert [problems for _, _, problems, *_ in told] == [[]] * len(told)
    said = [found for _, found, *_ in told]
    assert said == [old] * said.count(old) + ["anew"] * said.count("anew")
    assert min(said.count(old), said.count("anew")) > 2
    assert [(later, pending) for *_, later, pending in told] == [(["later", []], [])] * len(told)


def test_a_card_that_was_altered_is_not_written_over_as_if_it_were_not(copied: Path):
    card = read_card(copied)
    (copied / CARD).write_bytes(b"{}")
    before = (copied / MANIFEST).read_bytes()
    with pytest.raises(ModelError, match=r"model_card.json: differs"):
        write_card(copied, card)
    assert (copied / MANIFEST).read_bytes() == before


def test_a_reader_meanwhile_never_finds_it_broken(copied: Path):
    code = (
        "import sys, pathlib; from pipelines.artifacts.model_card import *; d = pathlib.Path(sys.argv[1])\n"
        "card = read_card(d)\n"
        "for number in range(20): write_card(d, card.model_copy(update={'description': 'x' * number}))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(copied)], cwd=ROOT) for _ in range(2)]
    while any(writer.poll() is None for writer in writers):
        assert refusal(copied) == ""
    assert [writer.returncode for writer in writers] == [0, 0]
    assert refusal(copied) == ""


def test_a_signature_of_the_card_before_is_said_to_be_stale(copied: Path, caplog: pytest.LogCaptureFixture):
    notes.forget()
    (copied / SIGNATURE).write_text("signed")
    write_card(copied, read_card(copied))
    assert "sign it again" in caplog.text
