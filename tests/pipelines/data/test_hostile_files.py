"""Every reader of every file that somebody gives, with what is no file to read, or means harm."""

from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from hostile_files import KINDS, within
from pipelines.core.errors import DataError
from pipelines.core.progress import Reporter
from pipelines.data import SPLIT_NAMES
from places import ROOT
from sets_of_formats import READERS, Reader, coco

QUIET = Reporter(quiet=True)
BY_FILE = pytest.mark.parametrize("reader", READERS, ids=str)


def sources(task: str) -> Any:
    name = "pipelines.data.classification" if task == "classification" else f"pipelines.data.{task}"
    return importlib.import_module(name)


def read(reader: Reader, data: Path) -> None:
    """Read a set as a training does."""
    splits = sources(reader.task).load(str(data))
    for part in SPLIT_NAMES:
        for _ in splits[part].examples():
            pass


def check(reader: Reader, data: Path) -> list[str]:
    """Read a set as `cnnapp check` does; give the problems."""
    found = importlib.import_module(f"pipelines.data.checks.{reader.task}").check(str(data), None, 0, QUIET)
    return [str(problem) for problem in found.problems]


@BY_FILE
def test_the_smallest_sets_are_read(reader: Reader, tmp_path: Path):
    data = reader.make(tmp_path / "set")
    assert (data / reader.file).is_file()
    with within(60):
        read(reader, data)


@pytest.mark.parametrize("kind", KINDS)
@BY_FILE
def test_what_is_no_regular_file_is_named(reader: Reader, kind: str, tmp_path: Path):
    make, said = KINDS[kind]
    data = reader.make(tmp_path / "set")
    file = data / reader.file
    file.unlink()
    make(file)
    with within(30), pytest.raises(DataError, match=rf"{file.name}: ({said})"):
        read(reader, data)
    with within(30):
        try:
            said_of = check(reader, data)
        except DataError as error:
            said_of = [str(error)]
    assert any(file.name in line for line in said_of)


NESTED = b"[" * 100_000
CONTENTS: dict[str, list[bytes]] = {
    "json": [
        NESTED,
        b'{"images": ' + NESTED,
        b'{"a":' * 100_000,
        b"NaN",
        b"null",
        b"[]",
        b'{"images": [], "annotations": [], "categories": []}',
        b'{"images": NaN, "annotations": Infinity, "categories": -Infinity}',
        b'{"images": "\\ud800"}',
        b"9" * 10_000,
    ],
    "xml": [
        b"<annotation>" * 100_000,
        b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>',
        b'<?xml version="1.0" encoding="nothing"?><annotation/>',
        b"<annotation><object><name>a</name><bndbox><xmin>NaN</xmin><ymin>1e999</ymin><xmax>1</xmax><ymax>1</ymax>"
        b"</bndbox></object></annotation>",
        b"<annotation><size><width>1e400</width><height>-1</height></size></annotation>",
    ],
    "yaml": [
        NESTED,
        b"a: &a [*a]",
        b"names: {0x" + b"f" * 5000 + b": a}",
        b"names: [0x" + b"f" * 5000 + b"]",
        b"names: {? [1, 2] : a}",
        b"names: {1.5: a, null: b}",
        b'names: [cross]\ntrain: "\\ud800"',
        b"names: [cross]\ntrain: [[[a]]]\nval: {a: 1}",
        b"names: [cross]\npath: 7\ntrain: 2001-01-01",
        b"names: !!binary aGVsbG8=",
        b"names: !!set {a, b}",
        b"names: [cross]\nkpt_shape: .nan\ntrain: .inf",
    ],
    "text": [b"0 nan nan nan nan", b"0 1e999 0 0 0", b"9" * 10_000, b"a," * 10_000, b'"' * 1000, b"name,r,g,b\n,,,"],
    "image": [b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"BM", b"II*\0\xff\xff\xff\xff", b"P5 9 9 1"],
}
EVERYWHERE = [b"", b"\0" * 1000, b"\xff\xfe\0", b"\xef\xbb\xbf", b"\xed\xa0\x80", bytes(range(256))]


@BY_FILE
def test_whatever_a_file_holds_is_read_or_refused_in_one_line(reader: Reader, tmp_path: Path):
    data = reader.make(tmp_path / "set")
    for content in CONTENTS[reader.kind] + EVERYWHERE:
        (data / reader.file).write_bytes(content)
        for look in (read, check):
            with within(60):
                said = ""
                try:
                    look(reader, data)
                except DataError as error:
                    said = str(error).split("\nDid you mean")[0]
                # Several things that are wrong have a line each.
                several = "expected one of:" in said or " things are wrong:\n" in said
                assert "\n" not in said or several, said[:500]
                assert len(said) < 2000, said[:500]


VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    float("nan"),
    float("inf"),
    10**400,
    "",
    "\ud800",
    "a\0b",
    "../../etc/passwd",
    "n" * 5000,
    [],
    [[]],
    [[[[1]]]],
    {},
    {"size": [10**9, 10**9], "counts": "0" * 50},
    {"size": [2, 2], "counts": [4, 10**30]},
    [["1", None, {}, 2, 3, 4]],
]


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths of all values in a document."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(found for key, value in inner for found in places(value, (*path, key)))]


def put(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = put(node[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_any_value_at_any_place_of_an_annotation_is_read_or_refused(task: str, tmp_path: Path):
    data = coco(tmp_path / "set")
    file = data / "annotations" / "instances_train.json"
    document = json.loads(file.read_text())
    module = sources(task)
    for path in places(document):
        for value in VALUES:
            file.write_text(json.dumps(put(document, path, value)))
            faults: list[DataError] = []
            with within(30):
                try:
                    found = module.read(data, faults.append)
                    if task == "segmentation":
                        for one in found.images:
                            module.label(one, found.table)
                except DataError as error:
                    faults.append(error)
            for fault in faults:
                assert "\n" not in str(fault).split("expected one of:")[0]


def test_a_million_categories_take_no_time_that_grows_with_their_square(tmp_path: Path):
    data = coco(tmp_path / "set")
    file = data / "annotations" / "instances_train.json"
    document = json.loads(file.read_text())
    document["categories"] = [{"id": number, "name": f"c{number}"} for number in range(50_000)]
    file.write_text(json.dumps(document))
    with within(60), pytest.raises(DataError):
        sources("detection").load(str(data))


# === The table has all of them ===


def test_every_module_that_reads_a_format_is_in_the_table():
    known = {reader.module for reader in READERS}
    for folder in ("formats", "masks"):
        for path in (ROOT / "pipelines" / "data" / folder).glob("*.py"):
            module = ast.parse(path.read_text())
            defined = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
            if {"recognises", "read", "read_table", "load"} & defined:
                assert f"pipelines.data.{folder}.{path.stem}" in known, path.name


READ_OTHERWISE = {
    "cnnapp/cli/models/cross_check.py": "what it wrote itself",
    "cnnapp/cli/models/trash.py": "what it wrote itself",
    "cnnapp/cli/training/run_folders.py": "what training wrote",
    "cnnapp/prediction/pins.py": "what it wrote itself",
    "cnnapp/results/writers.py": "it writes",
    "cnnapp/service/signatures.py": "a saved model, whose files are checked before",
    "pipelines/data/embedded": "bytes",
    "pipelines/artifacts": "saved models, whose files are checked",
    "pipelines/core/tensorflow_import.py": "it writes",
    "pipelines/data/proof.py": "the modules of this project",
    "pipelines/export": "what it wrote itself",
    "pipelines/images/image_io.py": "bytes",
    "pipelines/images/formats/transparency.py": "bytes",
    "pipelines/images/windowed_reader.py": "by windows, once it is known to be a regular file",
    "pipelines/intake": "it is what the others read with",
    "pipelines/segmentation/tiled_files.py": "what it wrote itself",
    "pipelines/storage": "it writes, and reads what saved models hold",
    "pipelines/training": "what training wrote",
    "cnnapp/reports/inspection_plot.py": "bytes",
}
"""Modules that open files by themselves, and why they may."""
OPENING = {"read_bytes", "read_text", "open", "load", "ZipFile", "fromfile", "genfromtxt", "loadtxt", "imread"}
OF = {"np", "numpy", "Image", "rasterio", "zipfile", "tarfile", "gzip", "io"}


def opens(node: ast.AST) -> bool:
    """Say whether a call opens a file by its name."""
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id == "open"
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in OPENING:
        return False
    owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
    return (
        node.func.attr in ("read_bytes", "read_text", "ZipFile")
        or owner in OF
        or bool(node.func.attr == "open" and node.args and isinstance(node.args[0], ast.Constant))
    )


def test_no_other_module_opens_what_somebody_gives():
    for package in ("pipelines", "cnnapp", "ui"):
        for path in sorted((ROOT / package).rglob("*.py")):
            relative = path.relative_to(ROOT).as_posix()
            if any(relative.startswith(known) for known in READ_OTHERWISE):
                continue
            lines = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if opens(node)]
            assert not lines, f"{relative}:{lines[0]} opens a file; read it with pipelines.intake.regular_file"


def test_what_may_open_files_by_itself_is_still_there():
    assert all((ROOT / known).exists() for known in READ_OTHERWISE)
